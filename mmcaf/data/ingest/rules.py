"""Which files are usable CT slices: a table of rules over header values, each with a reason code.

Rules are asked in order and the first that holds turns the file away; they see plain values, never
DICOM, so a rule can be read, tested and changed by itself. `E_` codes exclude, `W_` codes warn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from mmcaf.data.ingest.patients.patient_ids import patient_id

__all__ = ["CODES", "CT_IMAGE", "MAX_BYTES", "PET_IMAGE", "RULES", "Rule", "reason_of"]

MAX_BYTES = 64 * 2**20  # of one file
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
PET_IMAGE = "1.2.840.10008.5.1.4.1.1.128"
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
    # With the collection's prefix only: scanners' exports call folders E0001 too.
    named = {
        patient_id(name)
        for name in (row["path"] or "").split("/")[:-1]
        if name[:4].lower() == "lung"
    }
    return not named <= {None, row["patient_id"]}


def _lacks_geometry(row: Row) -> bool:
    needed = (row["position_mm"], row["orientation"], row["spacing_y_mm"], row["spacing_x_mm"])
    return any(value is None for value in needed)


def _is_tipped(row: Row) -> bool:
    if row["orientation"] is None or len(row["orientation"]) != 6:
        return True
    along_row, along_column = np.array(row["orientation"]).reshape(2, 3)
    unit = (
        abs(np.linalg.norm(along_row) - 1) < 0.01 and abs(np.linalg.norm(along_column) - 1) < 0.01
    )
    return not (unit and along_row[0] >= _UPRIGHT and along_column[1] >= _UPRIGHT)


def _has_odd_size(row: Row) -> bool:
    low, high = _SIDE_PX
    sides = (row["rows"] or 0, row["columns"] or 0)
    return not all(low <= side <= high for side in sides) or row["bits_allocated"] not in (8, 16)


def _has_other_pixels(row: Row) -> bool:
    """Fewer bytes than its size needs, or so many more that the size cannot be right."""
    if row["compressed"]:
        return False
    sides, bits = (row["rows"] or 0, row["columns"] or 0), row["bits_allocated"] or 0
    needed, line = sides[0] * sides[1] * bits // 8, min(sides) * bits // 8
    surplus = (row["pixel_length"] or needed) - needed
    return (row["pixel_bytes"] or 0) < needed or surplus >= max(line, 2)


def _lacks_rescaling(row: Row) -> bool:
    return not all(_is_finite(row[name]) for name in ("slope", "intercept"))


def _is_finite(value: float | None) -> bool:
    return value is not None and isfinite(value)


def _has_other_units(row: Row) -> bool:
    # US is "unspecified": GDCM writes it into every CT image that says nothing.
    return (row["rescale_type"] or "").strip().upper() not in ("", "HU", "US")


def _has_odd_bits(row: Row) -> bool:
    allocated, stored, high = row["bits_allocated"], row["bits_stored"], row["high_bit"]
    if allocated is None or stored is None or high is None:
        return True
    return not 1 <= stored <= allocated or high != stored - 1


def _has_odd_padding(row: Row) -> bool:
    room = 2 ** min(row["bits_allocated"] or 16, 64)
    given = (row["padding"] or 0, row["padding_limit"] or 0)
    return bool(row["padding_unread"]) or not all(-room // 2 <= v < room for v in given)


RULES = (
    Rule("E_SOP_CLASS", "not CT Image Storage", lambda row: row["sop_class"] != CT_IMAGE),
    Rule("E_RGB", "several samples or frames", lambda r: r["samples"] != 1 or r["frames"] != 1),
    Rule("E_NO_UID", "no valid SOP or series UID", _lacks_identity),
    Rule("E_PATIENT_ID", "PatientID is not of the collection", lambda r: r["patient_id"] is None),
    Rule("E_PID_FOLDER_MISMATCH", "its folder names another patient", _contradicts_folder),
    Rule("E_LOCALIZER", "a scout image", lambda row: "LOCALIZER" in (row["image_type"] or "")),
    Rule("E_NO_IPP", "no position, orientation or spacing", _lacks_geometry),
    Rule("E_NON_AXIAL", "not axial, head up, left at the right", _is_tipped),
    Rule("E_SIZE", "sides outside 16 to 2048 pixels, or neither 8 nor 16 bits", _has_odd_size),
    Rule("E_PIXEL_LEN", "pixel bytes are fewer, or a line more, than needed", _has_other_pixels),
    # What a stored value means; without any of it HU would be a guess.
    Rule(
        "E_MODALITY_LUT",
        "a table instead of slope and intercept",
        lambda r: bool(r["modality_lut"]),
    ),
    Rule("E_RESCALE", "RescaleSlope or RescaleIntercept is absent or no number", _lacks_rescaling),
    Rule("E_SLOPE", "RescaleSlope is not above 0", lambda row: not (row["slope"] or 0) > 0),
    Rule("E_RESCALE_TYPE", "RescaleType names another unit than HU", _has_other_units),
    Rule("E_BITS", "BitsStored and HighBit are absent or contradict each other", _has_odd_bits),
    Rule(
        "E_SIGN",
        "PixelRepresentation is neither 0 nor 1",
        lambda row: row["pixel_representation"] not in (0, 1),
    ),
    Rule(
        "E_PHOTOMETRIC",
        "PhotometricInterpretation is neither MONOCHROME1 nor MONOCHROME2",
        lambda row: row["photometric"] not in ("MONOCHROME1", "MONOCHROME2"),
    ),
    Rule("E_PADDING", "PixelPaddingValue or its limit is no pixel's value", _has_odd_padding),
)

# Every code a file, a patient or the sheet can get, with what it means.
CODES: dict[str, str] = {
    "E_COMPANION": "left beside the data by another program: ._name, ~$name, .DS_Store, DICOMDIR",
    "E_EMPTY": "a file or folder that holds nothing",
    "E_NO_ACCESS": "may not be read, vanished, lies too deep, or the disk fails",
    "E_NOT_REGULAR": "neither a file nor a folder",
    "E_SYMLINK": "a link to a folder, or out of the source",
    "E_TOO_LARGE": "larger than 64 MiB",
    "E_NOT_DICOM": "no DICM at byte 128",
    "E_UNREADABLE": "the file or its header cannot be read",
    "E_TS_UNSUPPORTED": (
        "a transfer syntax without a decoder here (`mmstudy doctor` tells which have one), or one "
        "that is always refused: lossy JPEG, deflated, video"
    ),
    **{rule.code: rule.meaning for rule in RULES},
    "E_DUP_SOP": "a copy of a file that was kept",
    "E_DUP_SOP_CONFLICT": "one SOPInstanceUID, several pixels or places: none is trusted",
    "E_DUP_PIXELS": "shows the same at the same place as a slice of its series that was kept",
    "E_MIXED_SHAPE": "another size, spacing or orientation than most of its series",
    "E_DUP_POSITION": "of a second pass too short for a body, at the position of a used slice",
    "E_REPEATED_POSITIONS": "at a few positions that repeat, whose slices nothing tells apart: "
    "bolus tracking",
    "E_MIXED_PASSES": "of several passes over one body that nothing tells apart",
    "E_FEW_SLICES": "its pass has fewer than 12 positions",
    "E_DECODE": "the pixels cannot be read or decoded, or their stream contradicts the header",
    "E_XML_NAME": "an annotation not named by a UID",
    "E_XML_SIZE": "an annotation larger than 64 kB",
    "E_XML_PARSE": "an annotation that is no valid XML, or hostile",
    "E_XML_NUMBER": "an annotation with a corner that is no plain number of pixels",
    "E_SHEET": "a table named like the clinical sheet that is none or unreadable; another was read",
    "E_OTHER_CLASS": "neither adenocarcinoma nor squamous carcinoma",
    "E_NO_IMAGES": "the sheet, an annotation or a folder names the patient, no image is of it",
    "E_HU": "values that cannot be those of a thorax: rescaling is wrong",
    "W_BOX_EMPTY": "a box without area, or a lesion without a box, was left out",
    "W_BOX_SWAPPED": "a box whose corners are in the wrong order was left out",
    "W_BOX_OUTSIDE": "a box wholly outside its slice was left out",
    "W_BOX_CLIPPED": "a box partly outside its slice was cut at the border",
    "W_BOX_SIZE": "an annotation drawn on an image of another size than its slice",
    "W_BOX_LOST": "an annotation of the chosen series cannot be read, or its slice is left out",
    "W_SECOND_XML": "two annotations of a slice have different boxes: all count",
    "W_DUP_XML": "the same boxes on the same slice were read before",
    "W_NO_SLICE": "an annotation of a slice that is not here",
    "W_ON_UNUSABLE": "an annotation of an image that is no usable CT slice",
    "W_ALIAS": "an annotation filed under the patient's other id",
    "W_FOLDER_SHIFT": "an annotation filed under another patient; the UID wins",
    "W_LABEL": "an annotation whose class name is none of A, B, E, G",
    "W_NO_BOX": "the chosen acquisition has no annotation",
    "W_KERNEL": "the choice between series rests on a reconstruction kernel nobody explains",
    "W_NO_CLINICAL_ROW": "no row in the clinical sheet",
    "W_CELL": "a cell of the patient's row in the sheet cannot be read and counts as missing",
    "W_UNKNOWN": "the sheet says that a value is not known (TX, NX, MX, unknown)",
    "W_STAGE": "a stage that does not exist counts as missing",
    "W_SHEET_CONFLICT": "rows of the sheet contradict each other; what they differ in is missing",
    "W_SEX": "sheet and images name different sexes",
    "W_AGE": "sheet and images differ by more than two years of age",
    "W_Z_GAP": "slices are missing or unevenly spaced",
    "W_TILT": "slices are sheared by more than a degree",
    "W_ORIGIN_SHIFT": "the origin of slices jumps in their plane, or drifts unevenly",
    "W_MULTI_PHASE": "several passes over one body in one series",
    "W_SLICES_LEFT_OUT": "slices of the chosen series are not in its stack",
    "W_INSTANCE_ORDER": "instance numbers do not follow the positions",
    "W_FILES_LACKING": "files in the patient's folders cannot be read or hold nothing",
    "W_RESCALE_VARIES": "slope, intercept or unit of the rescaling differ between slices",
    "W_RESCALE_UNUSUAL": "a slope or intercept no scanner is known to write, or a unit left open",
    "W_BITS_VARY": "bits, sign or photometric interpretation differ between slices",
    "W_PADDING_VARIES": "padding is declared differently between slices",
    "W_PADDING_HU": "what is declared as padding is a value that tissue can have",
    "W_UNUSED_BITS": "bits beyond the stored ones hold something that no header explains",
    "W_LOSSY": "slices were compressed with loss once",
    "W_SPACING": "SliceThickness or SpacingBetweenSlices differ, or contradict the positions",
    "W_FIELD": "ReconstructionDiameter contradicts the pixels, or they or the slice are no squares",
    "W_SLICE_OFFSET": "slices are brighter or darker than their neighbours say: rescaled otherwise",
    "W_SLICE_SHIFT": "slices lie elsewhere in the plane than their neighbours say",
    "W_SLICE_FOREIGN": "slices do not fit between their neighbours: of another body, or mirrored",
    "W_SLICE_ORDER": "slices would fit their neighbours better in another order",
    "W_SLICE_DOUBLE": "the same pixels at several positions",
    "W_SLICE_NOISE": "slices are much noisier or smoother than their neighbours",
    "W_INTERLEAVED": "slices of two acquisitions or bodies take turns",
    "W_HU_SCALE": "air, lungs or soft tissue have not the HU they have: rescaling is doubtful",
    "W_BODY_SIZE": "a body too small or too large for its pixel spacing",
    "W_COVERAGE": "less than 50 mm, or lungs too short or long: slice spacing is doubtful",
    "W_SERIES_INCOMPLETE": "fewer images than the download's own list says",
}


def reason_of(row: Row) -> str | None:
    """The code of the first rule that turns `row` away, or None for a usable slice."""
    return next((rule.code for rule in RULES if rule.holds(row)), None)
