"""Which files are usable slices: each rule by itself, and their order."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from mmcaf.data.ingest.dicom import HEADER
from mmcaf.data.ingest.rules import CODES, CT_IMAGE, PET_IMAGE, RULES, Rule, reason_of

GOOD: dict[str, Any] = {
    "path": "Lung_Dx-A0001/s/1.dcm",
    "patient_id": "A0001",
    "sop_class": CT_IMAGE,
    "sop_uid": "1.2.3",
    "series_uid": "1.2",
    "samples": 1,
    "frames": 1,
    "image_type": "ORIGINAL\\PRIMARY\\AXIAL",
    "position_mm": [0.0, 0.0, 0.0],
    "orientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    "spacing_y_mm": 0.7,
    "spacing_x_mm": 0.7,
    "rows": 512,
    "columns": 512,
    "bits_allocated": 16,
    "compressed": False,
    "pixel_bytes": 512 * 512 * 2,
    "pixel_length": 512 * 512 * 2,
    "modality_lut": False,
    "slope": 1.0,
    "intercept": -1024.0,
    "rescale_type": "HU",
    "bits_stored": 12,
    "high_bit": 11,
    "pixel_representation": 0,
    "photometric": "MONOCHROME2",
    "padding": None,
    "padding_limit": None,
    "padding_unread": False,
}
ALONG_25 = [1.0, 0.0, 0.0, 0.0, 0.9063, 0.4226]


def test_a_good_slice_breaks_no_rule() -> None:
    assert reason_of(GOOD) is None
    assert [rule.code for rule in RULES if rule.holds(GOOD)] == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"sop_class": PET_IMAGE}, "E_SOP_CLASS"),
        ({"sop_class": None}, "E_SOP_CLASS"),
        ({"samples": 3}, "E_RGB"),
        ({"frames": 2}, "E_RGB"),
        ({"sop_uid": None}, "E_NO_UID"),
        ({"series_uid": "../etc/passwd"}, "E_NO_UID"),
        ({"sop_uid": "1" * 65}, "E_NO_UID"),
        ({"sop_uid": "1.2\n"}, "E_NO_UID"),
        ({"patient_id": None}, "E_PATIENT_ID"),
        ({"patient_id": "A0002"}, "E_PID_FOLDER_MISMATCH"),
        ({"image_type": "ORIGINAL\\PRIMARY\\LOCALIZER"}, "E_LOCALIZER"),
        ({"position_mm": None}, "E_NO_IPP"),
        ({"orientation": None}, "E_NO_IPP"),
        ({"spacing_x_mm": None}, "E_NO_IPP"),
        ({"orientation": [1.0, 0.0, 0.0, 0.0, 0.0, -1.0]}, "E_NON_AXIAL"),
        ({"orientation": [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}, "E_NON_AXIAL"),
        ({"orientation": [1.0, 0.0, 0.0, 0.0, -1.0, 0.0]}, "E_NON_AXIAL"),
        ({"orientation": [2.0, 0.0, 0.0, 0.0, 1.0, 0.0]}, "E_NON_AXIAL"),
        ({"orientation": [0.95, 0.0, 0.0, 0.0, 1.0, 0.0]}, "E_NON_AXIAL"),
        ({"orientation": [1.0, 0.0, 0.0, 0.0, 0.95, 0.0]}, "E_NON_AXIAL"),
        ({"rows": 15}, "E_SIZE"),
        ({"columns": 2049}, "E_SIZE"),
        ({"rows": None}, "E_SIZE"),
        ({"bits_allocated": 32}, "E_SIZE"),
        ({"pixel_bytes": 512 * 512 * 2 - 1}, "E_PIXEL_LEN"),
        ({"pixel_length": 513 * 512 * 2}, "E_PIXEL_LEN"),
        ({"rows": 511}, "E_PIXEL_LEN"),
        ({"columns": 256}, "E_PIXEL_LEN"),
        ({"modality_lut": True}, "E_MODALITY_LUT"),
        ({"modality_lut": True, "slope": None, "intercept": None}, "E_MODALITY_LUT"),
        ({"slope": None}, "E_RESCALE"),
        ({"intercept": None}, "E_RESCALE"),
        ({"intercept": float("nan")}, "E_RESCALE"),
        ({"slope": float("inf")}, "E_RESCALE"),
        ({"slope": 0.0}, "E_SLOPE"),
        ({"slope": -1.0}, "E_SLOPE"),
        ({"rescale_type": "MGML"}, "E_RESCALE_TYPE"),
        ({"rescale_type": "HU_MOD"}, "E_RESCALE_TYPE"),
        ({"bits_stored": None}, "E_BITS"),
        ({"bits_stored": 17, "high_bit": 16}, "E_BITS"),
        ({"bits_stored": 0, "high_bit": -1}, "E_BITS"),
        ({"high_bit": None}, "E_BITS"),
        ({"high_bit": 15}, "E_BITS"),
        ({"pixel_representation": None}, "E_SIGN"),
        ({"pixel_representation": 2}, "E_SIGN"),
        ({"photometric": None}, "E_PHOTOMETRIC"),
        ({"photometric": "PALETTE COLOR"}, "E_PHOTOMETRIC"),
        ({"padding_unread": True}, "E_PADDING"),
        ({"padding": 2**16}, "E_PADDING"),
        ({"padding": 0, "padding_limit": -(2**15) - 1}, "E_PADDING"),
    ],
)
def test_one_wrong_value_is_one_reason(change: dict[str, Any], code: str) -> None:
    assert reason_of(GOOD | change) == code


@pytest.mark.parametrize(
    "change",
    [
        {"orientation": ALONG_25},
        {"path": "anywhere/1.dcm"},
        {"path": "Lung_Dx-A0001x/1.dcm"},
        {"path": "Lung_Dx-B0009.dcm"},
        {"rows": 16, "columns": 16, "pixel_length": 16 * 16 * 2},
        {
            "bits_allocated": 8,
            "bits_stored": 8,
            "high_bit": 7,
            "pixel_bytes": 512 * 512,
            "pixel_length": 512 * 512,
        },
        {"compressed": True, "pixel_bytes": 100},
        {"pixel_bytes": 512 * 512 * 2 + 1},
        {"pixel_bytes": 512 * 512 * 3},  # other elements follow
        {"pixel_length": 512 * 512 * 2 + 2},
        {"pixel_length": None},
        {"rescale_type": None},
        {"rescale_type": " hu"},
        {"rescale_type": "US"},  # left open
        {"photometric": "MONOCHROME1"},
        {"bits_stored": 16, "high_bit": 15, "pixel_representation": 1},
        {"padding": 63536, "padding_limit": -2000},
        {"image_type": ""},
    ],
)
def test_what_is_unusual_but_right_is_kept(change: dict[str, Any]) -> None:
    assert reason_of(GOOD | change) is None


def test_the_folder_that_counts_is_a_patient_s_wherever_it_lies() -> None:
    elsewhere = {"path": "x/Lung_Dx-G0005/deep/1.dcm"}
    assert reason_of(GOOD | elsewhere) == "E_PID_FOLDER_MISMATCH"


def test_the_first_rule_that_holds_is_the_reason() -> None:
    worst = dict.fromkeys(GOOD) | {"path": "", "image_type": "", "sop_class": PET_IMAGE}
    assert reason_of(worst) == RULES[0].code


ODD = (None, 0, -1, 7, float("nan"), float("inf"), -float("inf"), 2**40, "", "x", True, [], [1.0])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_no_rule_raises_whatever_a_value_is(rule: Rule) -> None:
    for name, kind in {**HEADER, "path": pl.String}.items():
        for odd in (value for value in ODD if _may_be(value, kind)):
            assert rule.holds(GOOD | {name: odd}) in (True, False)
    assert rule.holds(dict.fromkeys(HEADER) | {"path": None}) in (True, False)


def _may_be(value: Any, kind: Any) -> bool:
    """Whether a column of that type can hold the value."""
    try:
        return value is None or pl.Series([value], dtype=kind, strict=True)[0] is not None
    except (TypeError, pl.exceptions.PolarsError, OverflowError):
        return False


def test_every_rule_has_its_meaning_in_the_table() -> None:
    for rule in RULES:
        assert CODES[rule.code] == rule.meaning
    assert all(code[:2] in ("E_", "W_") and meaning for code, meaning in CODES.items())
