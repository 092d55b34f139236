from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from mmcaf.data.encoding import CLINICAL, TableEncoder
from mmcaf.explain.pictures import Box, mass_inside, shown_slices, strip, write_png
from mmcaf.explain.scales import banded, points_of, scales_of

BOX = Box(z=(2, 4), x=(4, 8), y=(0, 4))


def spot() -> np.ndarray:
    """A map that is 1 within the box on slice 3 and 0 elsewhere; slice 9 has no window."""
    whole = np.zeros((10, 16, 16), np.float32)
    whole[3, 0:4, 4:8] = 1
    whole[9] = np.nan
    return whole


def test_the_mass_inside_a_box_is_beside_what_chance_puts_there() -> None:
    assert mass_inside(spot(), BOX) == (1.0, pytest.approx(3 * 16 / (9 * 256)))
    assert mass_inside(0 * spot(), BOX)[0] is None
    assert mass_inside(spot(), Box((5, 8), (0, 16), (0, 16)))[0] == 0


def test_the_slices_with_most_map_and_the_lesions_middle_are_shown() -> None:
    whole = spot()
    whole[7] = 0.5
    assert shown_slices(whole, Box((0, 1), (0, 1), (0, 1)), most=3) == [1, 3, 7]
    assert 9 not in shown_slices(whole, None, most=10)


def test_the_picture_shows_hu_in_a_fixed_window_and_colour_where_the_map_is(
    tmp_path: Path,
) -> None:
    hu = np.full((10, 16, 16), -300, np.int16)
    write_png(tmp_path / "a.png", strip(hu, spot(), [0, 3], BOX, note="SYNTHETIC"))
    read = cv2.imread(str(tmp_path / "a.png")).astype(int)
    side, band, gap = 160, 22, 4
    assert read.shape == (band + 2 * side + gap + band, 2 * side + gap, 3)
    assert read[:band].max() > 200  # the word
    assert (read[band : band + side, :side] == 127).all()  # -300 is midway from -1000 to 400
    below = read[band + side + gap : band + 2 * side + gap]
    assert (below[:, :side] == 127).all()  # no map on slice 0, nor a box
    inside, outside = below[5:35, side + gap + 45 : side + gap + 75], below[60:, side + gap + 100 :]
    assert (inside.max(-1) - inside.min(-1) > 20).all()
    assert (outside == 127).all()
    assert (below[0, side + gap + 40 : side + gap + 80] == 255).all()  # the box's edge


def rows(n: int) -> pl.DataFrame:
    values = {name: [index % 2 for index in range(n)] for name in CLINICAL}
    values["age_years"] = [31 + 60 * index / (n - 1) for index in range(n)]  # type: ignore[misc]
    values["weight_kg"] = [52.3 + index for index in range(n)]  # type: ignore[misc]
    values["smoker"] = [-1] * n
    return pl.DataFrame(values)


def test_scales_are_the_attributes_own_and_tell_no_patients_value() -> None:
    many = rows(101)
    encoder = TableEncoder.fit(many)
    scales = {scale.name: scale for scale in scales_of(encoder, many)}
    age = scales["age_years"]
    assert (age.x[0], age.x[-1]) == pytest.approx((34, 88))  # not 31 and 91
    assert age.quantiles == pytest.approx((34, 46, 61, 76, 88))
    assert age.n_train == 101
    column = encoder.columns[1]
    np.testing.assert_allclose(column.low + (age.points + 1) / 2 * 60, age.x)
    assert (scales["sex"].x[0], scales["sex"].x[-1]) == (0, 1)
    assert scales["smoker"].n_train == 0
    assert points_of(list(scales.values())).shape == (33, 7)
    few = {s.name: s for s in scales_of(TableEncoder.fit(rows(5)), rows(5))}
    assert few["age_years"].quantiles == ()
    assert (few["age_years"].x[0], few["age_years"].x[-1]) == (30, 95)
    assert (few["weight_kg"].x[0], few["weight_kg"].x[-1]) == (50, 60)


@pytest.mark.parametrize(
    ("name", "row", "words"),
    [
        ("age_years", {"age_years": 67.2}, "65-69 years"),
        ("weight_kg", {"weight_kg": 50.0}, "50-59 kg"),
        ("log_max_diam_mm", {"max_diam_mm": 23.4}, "20-29 mm"),
        ("sex", {"sex": 0}, "female"),
        ("smoker", {"smoker": -1}, "unknown"),
        ("t_ord", {"t_ord": 3.0, "t_raw": "1c"}, "T1c"),
        ("n_ord", {"n_ord": 2.0}, "2"),
        ("m_ord", {"m_ord": None}, "unknown"),
    ],
)
def test_a_patients_value_is_told_in_bands(name: str, row: dict[str, object], words: str) -> None:
    assert banded(name, row) == words
