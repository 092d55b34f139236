"""Which files are usable CT slices: a table of rules over header values, each with a reason code.

Rules are asked in order and the first that holds turns the file away; they see plain values, never
DICOM, so a rule can be read, tested and changed by itself. `E_` codes exclude, `W_` codes warn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CODES", "CT_IMAGE", "MAX_BYTES", "PET_IMAGE", "RULES", "Rule", "reason_of"]

MAX_BYTES = 64 * 2**20  # of one file
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
PET_IMAGE = "1.2.840.10008.5.1.4.1.1.128"
_PATIENT_FOLDER = re.compile(r"(?:^|/)Lung_Dx-([ABEG]\d{4})(?=/)")
_UID = re.compile(r"[0-9.]{1,64}")
_SIDE_PX = (16, 2048)  # smallest and largest side of a slice
_UPRIGHT = 0.9  # cosine; gantries tilt by 25 degrees at most

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """`code` is given where `holds` is true of a header row (see `dicom.HEADER`)."""

    code: str
    meaning: str
    holds: Callable[[Row], bool]


def _lacks_identity(row: Row) -> bool:
    uids = (row["sop_uid"], row["series_uid"])
    return any(uid is None or _UID.fullmatch(uid) is None for uid in uids)


def _contradicts_folder(row: Row) -> bool:
    named = _PATIENT_FOLDER.search(row["path"])
    return named is not None and named.group(1) != row["patient_id"]


def _lacks_geometry(row: Row) -> bool:
    needed = (row["position_mm"], row["orientation"], row["spacing_y_mm"], row["spacing_x_mm"])
    return any(value is None for value in needed)


def _is_tipped(row: Row) -> bool:
    along_row, along_column = np.array(row["orientation"]).reshape(2, 3)
    unit = (
        abs(np.linalg.norm(along_row) - 1) < 0.01 and abs(np.linalg.norm(along_column) - 1) < 0.01
    )
    return not (unit and along_row[0] >= _UPRIGHT and along_column[1] >= _UPRIGHT)


def _has_odd_size(row: Row) -> bool:
    low, high = _SIDE_PX
    sides = (row["rows"] or 0, row["columns"] or 0)
    return not all(low <= side <= high for side in sides) or row["bits_allocated"] not in (8, 16)


def _lacks_pixels(row: Row) -> bool:
    needed = row["rows"] * row["columns"] * row["bits_allocated"] // 8
    return not row["compressed"] and row["pixel_bytes"] < needed


RULES = (
    Rule("E_SOP_CLASS", "not CT Image Storage", lambda row: row["sop_class"] != CT_IMAGE),
    Rule("E_RGB", "several samples or frames", lambda r: r["samples"] != 1 or r["frames"] != 1),
    Rule("E_NO_UID", "no valid SOP or series UID", _lacks_identity),
    Rule("E_PATIENT_ID", "PatientID is not of the collection", lambda r: r["patient_id"] is None),
    Rule("E_PID_FOLDER_MISMATCH", "its folder names another patient", _contradicts_folder),
    Rule("E_LOCALIZER", "a scout image", lambda row: "LOCALIZER" in row["image_type"]),
    Rule("E_NO_IPP", "no position, orientation or spacing", _lacks_geometry),
    Rule("E_NON_AXIAL", "not axial, head up, left at the right", _is_tipped),
    Rule("E_SIZE", "sides outside 16 to 2048 pixels, or neither 8 nor 16 bits", _has_odd_size),
    Rule("E_PIXEL_LEN", "fewer pixel bytes than its size needs", _lacks_pixels),
)

# Every code a file, a patient or the sheet can get, with what it means.
CODES: dict[str, str] = {
    "E_NOT_REGULAR": "neither a file nor a folder",
    "E_SYMLINK": "a link to a folder, or out of the source",
    "E_TOO_LARGE": "larger than 64 MiB",
    "E_NOT_DICOM": "no DICM at byte 128",
    "E_UNREADABLE": "the file or its header cannot be read, or its name is no UTF-8",
    "E_TS_UNSUPPORTED": "a transfer syntax that is refused, or for which no decoder is installed",
    **{rule.code: rule.meaning for rule in RULES},
    "E_DUP_SOP": "a copy of a file that was kept",
    "E_DUP_SOP_CONFLICT": "one SOPInstanceUID, several contents: none is trusted",
    "E_MIXED_SHAPE": "another size, spacing or orientation than most of its acquisition",
    "E_DUP_POSITION": "a second slice at a position",
    "E_REPEATED_POSITIONS": "more than a fifth of the positions repeat: bolus tracking",
    "E_FEW_SLICES": "its acquisition has fewer than 12 positions",
    "E_DECODE": "the pixels cannot be decoded",
    "E_XML_NAME": "an annotation not named by a UID",
    "E_XML_SIZE": "an annotation larger than 64 kB",
    "E_XML_PARSE": "an annotation that is no valid XML, or hostile",
    "E_OTHER_CLASS": "neither adenocarcinoma nor squamous carcinoma",
    "E_NO_IMAGES": "a row of the sheet without any image",
    "E_NO_USABLE_SLICE": "no slice of the patient is usable",
    "E_HU": "values that cannot be those of a thorax: rescaling is wrong",
    "W_BOX_EMPTY": "a box without area was left out",
    "W_DUP_XML": "the same boxes on the same slice were read before",
    "W_NO_SLICE": "an annotation of a slice that is not here",
    "W_ON_UNUSABLE": "an annotation of an image that is no usable CT slice",
    "W_ALIAS": "an annotation filed under the patient's other id",
    "W_FOLDER_SHIFT": "an annotation filed under another patient; the UID wins",
    "W_LABEL": "an annotation whose class name is none of A, B, E, G",
    "W_NO_BOX": "the chosen acquisition has no annotation",
    "W_NO_CLINICAL_ROW": "no row in the clinical sheet",
    "W_STAGE": "a stage that does not exist counts as missing",
    "W_SEX": "sheet and images name different sexes",
    "W_AGE": "sheet and images differ by more than two years of age",
    "W_Z_GAP": "slices are missing or unevenly spaced",
    "W_TILT": "slices are sheared by more than a degree",
    "W_MULTI_PHASE": "several acquisitions of one body in one series",
    "W_INSTANCE_ORDER": "instance numbers do not follow the positions",
    "W_SERIES_INCOMPLETE": "fewer images than the download's own list says",
}


def reason_of(row: Row) -> str | None:
    """The code of the first rule that turns `row` away, or None for a usable slice."""
    return next((rule.code for rule in RULES if rule.holds(row)), None)
