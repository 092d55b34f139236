"""What differs within a stack, or is unusual in all of it, has a code; clean stacks have none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmcaf.data.ingest.dicom import HEADER, read_header
from mmcaf.data.ingest.values.meaning import meaning_flags

USUAL: dict[str, Any] = {
    "slope": 1.0,
    "intercept": -1024.0,
    "rescale_type": "HU",
    "bits_allocated": 16,
    "bits_stored": 12,
    "high_bit": 11,
    "pixel_representation": 0,
    "photometric": "MONOCHROME2",
    "lossy": False,
    "rows": 512,
    "columns": 512,
    "orientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    "spacing_y_mm": 0.75,
    "spacing_x_mm": 0.75,
    "thickness_mm": 5.0,
    "between_mm": 5.0,
    "diameter_mm": 384.0,
}


def stack(change: dict[str, Any], *which: int, distance: float = 5.0) -> pl.DataFrame:
    """Fourteen slices, with a change on some of them or on all."""
    rows = [
        USUAL
        | {"position_mm": [0.0, 0.0, distance * z]}
        | (change if z in which or not which else {})
        for z in range(14)
    ]
    return pl.DataFrame([dict.fromkeys(HEADER) | row for row in rows], schema=HEADER)


def test_a_usual_stack_has_no_flag() -> None:
    assert meaning_flags(stack({})) == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"intercept": 0.0, "pixel_representation": 1}, "W_RESCALE_VARIES"),
        ({"intercept": -1023.0}, "W_RESCALE_VARIES"),
        ({"slope": 2.0}, "W_RESCALE_VARIES"),
        ({"rescale_type": None}, "W_RESCALE_VARIES"),
        ({"bits_stored": 16, "high_bit": 15}, "W_BITS_VARY"),
        ({"pixel_representation": 1}, "W_BITS_VARY"),
        ({"photometric": "MONOCHROME1"}, "W_BITS_VARY"),
        ({"bits_allocated": 8}, "W_BITS_VARY"),
        ({"padding": 0}, "W_PADDING_VARIES"),
        ({"padding": 0, "padding_limit": 4}, "W_PADDING_VARIES"),
        ({"thickness_mm": 4.9}, "W_SPACING"),
        ({"between_mm": None}, "W_SPACING"),
        ({"diameter_mm": 383.0}, "W_FIELD"),
        ({"lossy": True}, "W_LOSSY"),
    ],
)
def test_one_slice_that_differs_is_a_flag(change: dict[str, Any], code: str) -> None:
    assert code in meaning_flags(stack(change, 6))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"intercept": -1000.0}, "W_RESCALE_UNUSUAL"),
        ({"intercept": 0.0}, "W_RESCALE_UNUSUAL"),  # unsigned: nothing below water
        ({"slope": 1.001}, "W_RESCALE_UNUSUAL"),
        ({"rescale_type": "US"}, "W_RESCALE_UNUSUAL"),
        ({"padding": 1064}, "W_PADDING_HU"),
        ({"padding": 0, "padding_limit": 100}, "W_PADDING_HU"),
        ({"lossy": True}, "W_LOSSY"),
        ({"thickness_mm": 2.5, "between_mm": None}, "W_SPACING"),
        ({"thickness_mm": 25.0, "between_mm": None}, "W_SPACING"),
        ({"thickness_mm": None, "between_mm": 2.5}, "W_SPACING"),
        ({"spacing_x_mm": 0.7, "spacing_y_mm": 0.7}, "W_FIELD"),
        ({"spacing_x_mm": 0.74}, "W_FIELD"),
        ({"columns": 256, "rows": 256}, "W_FIELD"),
        ({"columns": 1024, "rows": 256, "diameter_mm": None}, "W_FIELD"),
    ],
)
def test_what_no_scanner_writes_is_a_flag_though_all_slices_agree(
    change: dict[str, Any], code: str
) -> None:
    assert meaning_flags(stack(change)) == (code,)


@pytest.mark.parametrize(
    ("change", "distance"),
    [
        ({"intercept": 0.0, "pixel_representation": 1, "rescale_type": None}, 5.0),
        ({"intercept": -1024.0, "pixel_representation": 1, "bits_stored": 16}, 5.0),
        ({"intercept": -8192.0, "bits_stored": 16}, 5.0),
        ({"rescale_type": "hu "}, 5.0),
        ({"padding": 63536}, 5.0),
        ({"padding": 63536, "bits_stored": 16}, 5.0),
        ({"padding": 0, "padding_limit": 0}, 5.0),
        ({"between_mm": -5.0}, 5.0),
        ({"thickness_mm": None, "between_mm": None, "diameter_mm": None}, 3.0),
        ({"thickness_mm": 1.0, "between_mm": 0.7}, 0.7),
        ({"thickness_mm": 0.625, "between_mm": None}, 0.625),
        ({"diameter_mm": 380.0}, 5.0),
    ],
)
def test_what_scanners_do_write_is_none(change: dict[str, Any], distance: float) -> None:
    assert meaning_flags(stack(change, distance=distance)) == ()


def test_one_slice_alone_has_no_distances() -> None:
    assert meaning_flags(stack({})[:1]) == ()


def test_a_clean_tree_has_no_flag(dicom_folder: Path) -> None:
    folders = {path.parent for path in dicom_folder.rglob("*.dcm")}
    for folder in folders:
        rows = [read_header(path, path.name) for path in sorted(folder.glob("*.dcm"))]
        assert meaning_flags(pl.DataFrame(rows, schema=HEADER)) == ()
