"""A patient in the report: true proportions, mixed scans seen, the choice in a table."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.choose import Chosen
from mmcaf.data.ingest.rules import CODES
from mmcaf.data.ingest.series.cases import case, heading
from mmcaf.data.ingest.series.explanation import Choice, LeftOut, Told
from mmcaf.data.ingest.series.stacks import Stack
from support.dashboard_server import browser, chromium_path

ROW: dict[str, Any] = {
    "patient_id": "A0001",
    "label": 1,
    "long_side_mm": 76.2,
    "diagonal_mm": 91.4,
    "max_diam_mm": 62.0,
    "qc_flags": ["W_TILT"],
}
BOXES = {"z": pl.Int64, **dict.fromkeys(("x_min", "y_min", "x_max", "y_max"), pl.Float64)}


def stack(slices: int, spacing_mm: float, field_mm: float = 360.0, side: int = 64) -> Chosen:
    header = {"rows": side, "columns": side, "spacing_y_mm": field_mm / side}
    table = pl.DataFrame([header] * slices)
    z = np.arange(slices) * spacing_mm
    return Chosen(Stack("1", None, 0, table, z), pl.DataFrame(schema=BOXES))


def candidate(**changes: Any) -> Told:
    usual = Told(
        series="…-12345",
        decided_by=None,
        annotated_slices=4,
        coverage_mm=320.0,
        kernel="B31f",
        kernel_class="soft",
        spacing_mm=5.0,
        slices=64,
        phase=0,
    )
    return Told(**{**usual, **changes})  # type: ignore[typeddict-item]


def choice(*candidates: Told, left_out: list[LeftOut] | None = None) -> Choice:
    return Choice(
        patient_id="A0001", candidates=list(candidates) or [candidate()], left_out=left_out or []
    )


def shown(volume: NDArray[np.int16], of: Chosen, what: Choice | None = None, **row: Any) -> str:
    return case(ROW | row, what or choice(), volume, of)


def pictures(html: str) -> list[NDArray[np.uint8]]:
    """Pixels of the axial and the sagittal picture."""
    found = []
    for text in re.findall(r'base64,([^"]+)"', html):
        content = np.frombuffer(base64.b64decode(text), dtype=np.uint8)
        found.append(np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), dtype=np.uint8))
    return found


def air(slices: int, side: int = 64) -> NDArray[np.int16]:
    return np.full((slices, side, side), -1000, dtype=np.int16)


@pytest.mark.parametrize(
    ("slices", "spacing_mm", "size"),
    [
        (36, 5.0, (100, 200)),  # 180 mm of 360 mm
        (72, 2.5, (100, 200)),
        (72, 5.0, (200, 200)),
        (320, 1.0, (178, 200)),
        (200, 5.0, (256, 92)),  # a whole body: its length is what must fit
    ],
)
def test_the_sagittal_picture_has_true_proportions(
    slices: int, spacing_mm: float, size: tuple[int, int]
) -> None:
    html = shown(air(slices), stack(slices, spacing_mm))
    axial, sagittal = pictures(html)
    assert (axial.shape, sagittal.shape) == ((144, 144), size)
    assert f'width="{size[1]}" height="{size[0]}"' in html


def test_the_head_is_up_and_the_chest_to_the_left() -> None:
    volume = air(40)
    volume[-10:, :16, 32] = 400  # at the head end, in front
    _, sagittal = pictures(shown(volume, stack(40, 5.0)))
    high, wide = sagittal.shape
    assert sagittal[: high // 5, : wide // 5].mean() > 230
    assert sagittal[high // 2 :].mean() < 20
    assert sagittal[:, wide // 2 :].mean() < 20


@pytest.mark.parametrize("slices", [24, 64, 150, 300, 358, 400, 716])
def test_slices_that_alternate_between_two_scans_are_seen(slices: int) -> None:
    """Lines of the picture are single slices, and neighbours among them stay together."""
    volume = air(slices)
    volume[::2] = 400
    _, sagittal = pictures(shown(volume, stack(slices, 320 / slices)))
    line = sagittal[:, 100].astype(int)
    if slices > len(line):  # every line is a slice: half of the steps at least are seen
        assert (np.abs(np.diff(line)) > 120).mean() >= 0.45
    assert ((line < 60) | (line > 195)).mean() > 0.9
    assert 0.4 < (line > 128).mean() < 0.6


def test_the_largest_box_is_shown_and_drawn_in() -> None:
    of = stack(12, 5.0)
    rows = [(3, 8.0, 8.0, 16.0, 16.0), (7, 16.0, 16.0, 48.0, 48.0)]
    boxes = pl.DataFrame(rows, schema=BOXES, orient="row")
    volume = air(12)
    volume[7, 24:40, 24:40] = 400
    axial, _ = pictures(shown(volume, Chosen(of.stack, boxes)))
    assert axial[60:84, 60:84].mean() > 240  # the middle of slice 7
    assert axial[36, 40:100].mean() > 120  # the box's upper edge
    assert axial[20, 20:30].mean() < 30  # the other slice's box


def test_sizes_are_called_what_they_are() -> None:
    html = shown(air(12), stack(12, 5.0))
    assert "longest side 76 mm, diagonal 91 mm" in html
    assert "62" not in re.sub(r"base64,[^\"]+", "", html)
    without = shown(air(12), stack(12, 5.0), long_side_mm=None, diagonal_mm=None)
    assert "no box" in without
    assert "longest side and diagonal" in heading()


def test_candidates_stand_in_order_with_what_decided_marked() -> None:
    html = shown(
        air(12),
        stack(12, 5.0),
        choice(
            candidate(),
            candidate(series="…-2", kernel=None, kernel_class="unknown", decided_by="kernel"),
            candidate(series="…-3", coverage_mm=80.0, decided_by="coverage_mm"),
            candidate(series="…-4", decided_by="tie"),
        ),
    )
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    assert [re.findall(r"…-\d+", row) for row in rows[1:]] == [
        ["…-12345"],
        ["…-2"],
        ["…-3"],
        ["…-4"],
    ]
    assert "<td>taken</td>" in rows[1]
    assert '<td class="lost">no name (unknown)</td>' in rows[2]
    assert '<td class="n lost">80 mm</td>' in rows[3]
    assert rows[1].count("lost") == rows[4].count("lost") == 0


def test_slices_left_out_and_doubts_are_told_with_their_meaning() -> None:
    left_out = [LeftOut(series="…-12345", codes={"E_DUP_POSITION": 2, "E_SIZE": 1})]
    html = shown(air(12), stack(12, 5.0), choice(left_out=left_out))
    assert "…-12345: 2 <code" in html
    assert f'title="{CODES["E_DUP_POSITION"]}">E_DUP_POSITION' in html
    assert ">W_TILT</code>" in html
    assert "left out" not in shown(air(12), stack(12, 5.0))


def test_text_of_headers_is_escaped() -> None:
    html = shown(air(12), stack(12, 5.0), choice(candidate(kernel="<script>")))
    assert "<script>" not in html


@pytest.mark.slow
@pytest.mark.skipif(chromium_path() is None, reason="no Chromium")
def test_the_page_is_no_wider_than_a_telephone(cohort: Cohort) -> None:
    page_file = Path(cohort.folder / "ingest_report.html").as_uri()
    with browser() as chromium:
        for width in (390, 1280):
            page = chromium.new_page(viewport={"width": width, "height": 800})
            page.goto(page_file)
            wide = page.evaluate("document.documentElement.scrollWidth")
            drawn = page.evaluate("[...document.images].every(i => i.naturalWidth == i.width)")
            assert (wide, drawn) == (width, True)
