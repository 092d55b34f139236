"""One DICOM file -> a row of header values, or its slice in Hounsfield units; the only reader.

DICOM is untrusted input. Headers are read without pixels. Of what the SOP class rules out only the
names of patient and series are read, and a deflated file is never inflated. Whether a row is a
usable slice is decided by `rules`; what its stored values mean, by `values.stored`.
"""

from __future__ import annotations

import re
import warnings
from datetime import date
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from mmcaf.data.ingest.patients.patient_ids import patient_id
from mmcaf.data.ingest.rules import CT_IMAGE, PET_IMAGE, reason_of
from mmcaf.data.ingest.values.codecs import (
    COMPRESSED,
    INFLATES,
    UNCOMPRESSED,
    decoded,
    decoder_of,
)
from mmcaf.data.ingest.values.stored import AIR_HU, MAX_HU, Plane, StoredValues, hounsfield
from mmcaf.errors import DataError

__all__ = [
    "AIR_HU",
    "HEADER",
    "MAX_HU",
    "read_header",
    "read_hu",
    "read_plane",
    "read_stored",
]

# Values are checked here, and its warnings would repeat whatever text a file holds.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_ELEMENT_HEADER = 8  # bytes of tag and length before the pixels, at least
_MANY_BYTES = 2**16
_MOST = 1e6  # of any number that is read
_PIXEL_DATA, _UNDEFINED = [0x7FE0, 0x0010], 2**32 - 1
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_LOSSY = ("1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91")  # unless the header denies it
_RLE, _BIG_ENDIAN = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.2"
_PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")
_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)
_DATES = ("AcquisitionDate", "ContentDate", "StudyDate")  # one of them will do for a time
_DAY, _FIRST_DAY = 86_400, date(1900, 1, 1).toordinal()
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d(?:\.\d{1,6})?))?)?")
_AGE = re.compile(r"(\d{3})Y")

# Columns of a header row: DICOM attribute, as a plain value; null where absent or malformed.
HEADER: dict[str, Any] = {
    "reason": pl.String,  # null for a usable slice
    "patient_id": pl.String,  # PatientID without the collection's prefix
    "study_uid": pl.String,  # StudyInstanceUID
    "series_uid": pl.String,  # SeriesInstanceUID
    "sop_uid": pl.String,  # SOPInstanceUID
    "frame_uid": pl.String,  # FrameOfReferenceUID
    "sop_class": pl.String,  # SOPClassUID
    "syntax": pl.String,  # TransferSyntaxUID
    "compressed": pl.Boolean,
    "acquisition": pl.Int64,  # AcquisitionNumber
    "acquired_s": pl.Float64,  # AcquisitionTime, else ContentTime; days before it are in it
    "instance": pl.Int64,  # InstanceNumber
    "rows": pl.Int32,
    "columns": pl.Int32,
    "samples": pl.Int32,  # SamplesPerPixel
    "frames": pl.Int32,  # NumberOfFrames
    "bits_allocated": pl.Int32,
    "bits_stored": pl.Int32,
    "high_bit": pl.Int32,
    "pixel_representation": pl.Int32,  # 0 unsigned, 1 signed
    "photometric": pl.String,  # PhotometricInterpretation
    "slope": pl.Float64,  # RescaleSlope
    "intercept": pl.Float64,  # RescaleIntercept
    "rescale_type": pl.String,
    "modality_lut": pl.Boolean,  # whether a table takes the place of slope and intercept
    "padding": pl.Int64,  # PixelPaddingValue, as written
    "padding_limit": pl.Int64,  # PixelPaddingRangeLimit, as written
    "padding_unread": pl.Boolean,  # whether one of the two is there, but no number
    "lossy": pl.Boolean,  # LossyImageCompression, or a syntax that may be
    "pixel_bytes": pl.Int64,  # left in the file where the pixels begin
    "pixel_length": pl.Int64,  # what PixelData says of its own length, if it does
    "image_type": pl.String,
    "position_mm": pl.List(pl.Float64),  # ImagePositionPatient: x, y, z
    "orientation": pl.List(pl.Float64),  # ImageOrientationPatient: along rows, along columns
    "spacing_y_mm": pl.Float64,  # PixelSpacing
    "spacing_x_mm": pl.Float64,
    "thickness_mm": pl.Float64,  # SliceThickness
    "between_mm": pl.Float64,  # SpacingBetweenSlices
    "diameter_mm": pl.Float64,  # ReconstructionDiameter
    "vendor": pl.String,  # Manufacturer
    "model": pl.String,  # ManufacturerModelName
    "kernel": pl.String,  # ConvolutionKernel; several values are parted by backslashes
    "kvp": pl.Float64,  # KVP, kV
    "contrast": pl.Boolean,  # whether ContrastBolusAgent says something
    "dicom_sex": pl.Int8,  # PatientSex: 0 female, 1 male, -1 else
    "dicom_age_years": pl.Float64,  # PatientAge
}
_TAGS = [
    "AcquisitionDate",
    "AcquisitionDateTime",
    "AcquisitionNumber",
    "AcquisitionTime",
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "ContentDate",
    "ContentTime",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "FrameOfReferenceUID",
    "HighBit",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "InstanceNumber",
    "KVP",
    "LossyImageCompression",
    "Manufacturer",
    "ManufacturerModelName",
    "ModalityLUTSequence",
    "NumberOfFrames",
    "PatientAge",
    "PatientID",
    "PatientSex",
    "PhotometricInterpretation",
    "PixelPaddingRangeLimit",
    "PixelPaddingValue",
    "PixelRepresentation",
    "PixelSpacing",
    "ReconstructionDiameter",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "Rows",
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "SeriesInstanceUID",
    "SliceThickness",
    "SpacingBetweenSlices",
    "StudyDate",
    "StudyInstanceUID",
]
_NAMES = ("PatientID", "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_TAG = {name: Tag(name) for name in _TAGS}
_NAME_TAGS = [_TAG[name] for name in _NAMES]


class _Refused(Exception):
    """The file is turned away; carries the reason code, and what of its row is known."""

    def __init__(self, code: str, known: dict[str, Any] | None = None) -> None:
        super().__init__(code)
        self.row = dict.fromkeys(HEADER) | (known or {}) | {"reason": code}


def read_header(path: Path, name: str) -> dict[str, Any]:
    """The row (columns `HEADER`) of a file, its `reason` set if it is no usable slice; no raise.

    A file that is turned away says whose it is, where that can be read without risk.

    Args:
        path: the file, which must be a regular one.
        name: its path relative to the source, as rules see it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's name whole paths; the code says enough
            dataset, pixels = _header(path)
            row = _values(dataset) | pixels | {"path": name}
        row["reason"] = reason_of(row) if row["sop_class"] else "E_UNREADABLE"
    except _Refused as refusal:
        return refusal.row
    except (Exception, RecursionError):  # malformed files raise anything
        return dict.fromkeys(HEADER) | {"reason": "E_UNREADABLE"}
    row.pop("path")
    return row


def read_hu(path: Path, shape: tuple[int, int]) -> NDArray[np.int16]:
    """The Hounsfield units of `read_plane`, [rows, columns]."""
    return read_plane(path, shape).hu


def read_plane(path: Path, shape: tuple[int, int]) -> Plane:
    """A slice in Hounsfield units: rescaled, padding as air, clipped.

    Args:
        path: a file whose header was found usable.
        shape: rows and columns its header gave.

    Raises:
        DataError: the pixels cannot be decoded, are not of that shape, or have no rescaling.
        OSError: the file cannot be read.
    """
    content = BytesIO(path.read_bytes())  # a disk that fails is no fault of the slice
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(content)
            pixels = decoded(dataset)
            plane = hounsfield(pixels, _stored_values(dataset))
    except (Exception, RecursionError) as error:  # pydicom and its decoders raise many kinds
        raise DataError(f"Cannot read the pixels of {path.name}: {error}") from error
    if pixels.shape != shape:
        raise DataError(f"{path.name} has pixels of shape {pixels.shape}, its header says {shape}.")
    return plane


def read_stored(path: Path) -> bytes:
    """The pixels as the file holds them, undecoded; the whole file where it shows none.

    Raises:
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    try:
        return bytes(pydicom.dcmread(BytesIO(content), specific_tags=["PixelData"]).PixelData)
    except (Exception, RecursionError):  # malformed files raise anything
        return content


def _header(path: Path) -> tuple[FileDataset, dict[str, Any]]:
    """The header, and how many bytes of pixels follow it."""
    with _Bounded(path) as file:
        if file.read(132)[128:] != b"DICM":
            raise _Refused("E_NOT_DICOM")
        # The meta part is never compressed: a deflated bomb is turned away before it inflates.
        meta = pydicom.filereader._read_file_meta_info(file)
        syntax = str(meta.get("TransferSyntaxUID") or "")
        known: dict[str, Any] = {"syntax": syntax[:64]}
        sop_class = meta.get("MediaStorageSOPClassUID")
        if sop_class not in (None, CT_IMAGE, PET_IMAGE, _SECONDARY_CAPTURE):
            raise _Refused("E_SOP_CLASS", known | _names(file, syntax))
        if syntax not in UNCOMPRESSED and decoder_of(syntax) is None:
            raise _Refused("E_TS_UNSUPPORTED", known | _names(file, syntax))
        file.seek(0)
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAG.values()))
        left = file.size - file.tell() - _ELEMENT_HEADER
        return dataset, {"pixel_bytes": left, "pixel_length": _pixel_length(file, dataset)}


def _pixel_length(file: _Bounded, dataset: FileDataset) -> int | None:
    implicit, little = dataset.original_encoding
    element = file.read(12)
    order: Literal["little", "big"] = "little" if little else "big"
    tag = [int.from_bytes(element[at : at + 2], order) for at in (0, 2)]
    length = int.from_bytes(element[4:8] if implicit else element[8:12], order)
    return None if tag != _PIXEL_DATA or length == _UNDEFINED else length


def _names(file: _Bounded, syntax: str) -> dict[str, Any]:
    """Whose a file is that is not read any further; nothing where it would have to be inflated."""
    if syntax in INFLATES:
        return {}
    file.seek(0)
    try:
        dataset = pydicom.filereader.read_partial(
            file, stop_when=lambda tag, *_: tag > max(_NAME_TAGS), specific_tags=list(_NAME_TAGS)
        )
        return _identity(dataset)
    except (Exception, RecursionError):  # it has its reason already
        return {}


class _Bounded(BufferedReader):
    """A file that never sets more memory aside than it has bytes, whatever a length claims."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path))
        self.size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MANY_BYTES:
            size = min(size, max(self.size - self.tell(), 0))
        return super().read(size)


def _identity(dataset: Dataset) -> dict[str, Any]:
    return {
        "patient_id": patient_id(_get(dataset, "PatientID")),
        "study_uid": _text(dataset, "StudyInstanceUID"),
        "series_uid": _text(dataset, "SeriesInstanceUID"),
        "sop_uid": _text(dataset, "SOPInstanceUID"),
        "sop_class": _text(dataset, "SOPClassUID"),
    }


def _values(dataset: FileDataset) -> dict[str, Any]:
    texts = {
        "frame_uid": "FrameOfReferenceUID",
        "vendor": "Manufacturer",
        "model": "ManufacturerModelName",
        "kernel": "ConvolutionKernel",
    }
    age = _AGE.fullmatch(str(_get(dataset, "PatientAge") or ""))
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    return {
        **_identity(dataset),
        **{column: _text(dataset, name) for column, name in texts.items()},
        "syntax": syntax,
        "compressed": syntax in COMPRESSED,
        "acquisition": _integer(dataset, "AcquisitionNumber"),
        "acquired_s": _seconds(dataset),
        "instance": _integer(dataset, "InstanceNumber"),
        "image_type": (_text(dataset, "ImageType", most=None) or "").upper(),
        **_of_pixels(dataset, syntax),
        **_of_space(dataset),
        "kvp": _number(dataset, "KVP"),
        "contrast": bool(_text(dataset, "ContrastBolusAgent")),
        "dicom_sex": {"F": 0, "M": 1}.get(str(_get(dataset, "PatientSex")), -1),
        "dicom_age_years": float(age.group(1)) if age else None,
    }


def _of_pixels(dataset: Dataset, syntax: str) -> dict[str, Any]:
    """What decides the meaning of a stored value."""
    lossy = _text(dataset, "LossyImageCompression")
    padding, limit = (_whole(dataset, name) for name in _PADDING)
    said = [_get(dataset, name) not in (None, b"") for name in _PADDING]
    lut = dataset.get_item(_TAG["ModalityLUTSequence"])
    return {
        "rows": _integer(dataset, "Rows"),
        "columns": _integer(dataset, "Columns"),
        "samples": _integer(dataset, "SamplesPerPixel", 1),
        "frames": _integer(dataset, "NumberOfFrames", 1),
        "bits_allocated": _integer(dataset, "BitsAllocated"),
        "bits_stored": _integer(dataset, "BitsStored"),
        "high_bit": _integer(dataset, "HighBit"),
        "pixel_representation": _integer(dataset, "PixelRepresentation"),
        "photometric": _text(dataset, "PhotometricInterpretation"),
        "slope": _number(dataset, "RescaleSlope"),
        "intercept": _number(dataset, "RescaleIntercept"),
        "rescale_type": _text(dataset, "RescaleType"),
        "modality_lut": lut is not None and bool(lut.value),
        "padding": padding,
        "padding_limit": limit,
        "padding_unread": said != [padding is not None, limit is not None] or said == [False, True],
        "lossy": lossy == "01" or (syntax in _LOSSY and lossy != "00"),
    }


def _of_space(dataset: Dataset) -> dict[str, Any]:
    """Where a slice lies and how large it is; what else tells of distances beside it."""
    spacing = _numbers(dataset, "PixelSpacing", 2)
    if spacing is not None and min(spacing) <= 0:
        spacing = None
    return {
        "position_mm": _numbers(dataset, "ImagePositionPatient", 3),
        "orientation": _numbers(dataset, "ImageOrientationPatient", 6),
        "spacing_y_mm": spacing[0] if spacing else None,
        "spacing_x_mm": spacing[1] if spacing else None,
        "thickness_mm": _number(dataset, "SliceThickness"),
        "between_mm": _number(dataset, "SpacingBetweenSlices"),
        "diameter_mm": _number(dataset, "ReconstructionDiameter"),
    }


def _get(dataset: Dataset, name: str) -> Any:
    """A value, or None where its element is absent, empty or cannot be converted."""
    try:
        value = dataset[_TAG[name]].value
    except Exception:  # values are converted when first asked for, and raise anything
        return None
    return None if isinstance(value, str) and not value else value


def _text(dataset: Dataset, name: str, most: int | None = 64) -> str | None:
    value = _get(dataset, name)
    if isinstance(value, MultiValue):
        value = "\\".join(map(str, value))
    return str(value)[:most] if value is not None else None


def _integer(dataset: Dataset, name: str, absent: int | None = None) -> int | None:
    value = _get(dataset, name)
    if value is None:
        return absent
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 2**31 else None


def _numbers(dataset: Dataset, name: str, count: int) -> list[float] | None:
    value = _get(dataset, name)
    if value is None:
        return None
    try:
        numbers = [float(each) for each in (value if isinstance(value, MultiValue) else [value])]
    except (TypeError, ValueError):
        return None
    whole = len(numbers) == count and all(abs(number) < _MOST for number in numbers)  # no NaN
    return numbers if whole else None


def _number(dataset: Dataset, name: str) -> float | None:
    return next(iter(_numbers(dataset, name, 1) or ()), None)


def _whole(dataset: Dataset, name: str) -> int | None:
    """An integer whose VR (US or SS) implicit files do not tell, and others tell wrongly."""
    value = _get(dataset, name)
    if isinstance(value, bytes) and len(value) == 2:  # as unsigned; `values.stored` knows the sign
        little = str(dataset.file_meta.TransferSyntaxUID) != _BIG_ENDIAN
        return int.from_bytes(value, "little" if little else "big")
    return _integer(dataset, name)


def _seconds(dataset: Dataset) -> float | None:
    """When the slice was acquired, in seconds, so that midnight does not turn the order round."""
    for kind in ("Acquisition", "Content"):
        found = _TIME.fullmatch(_text(dataset, f"{kind}Time") or "")
        if found:
            days = (_days(dataset, name) for name in (f"{kind}Date", *_DATES))
            day = next((day for day in days if day is not None), 0)
            return day * _DAY + _of_day(*found.groups())
    moment = _text(dataset, "AcquisitionDateTime") or ""
    found = _TIME.match(moment, 8)
    if found:
        return (_day(moment[:8]) or 0) * _DAY + _of_day(*found.groups())
    return None


def _of_day(hours: str, minutes: str | None, seconds: str | None) -> float:
    return int(hours) * 3600 + int(minutes or 0) * 60 + float(seconds or 0)


def _days(dataset: Dataset, name: str) -> int | None:
    return _day(_text(dataset, name) or "")


def _day(text: str) -> int | None:
    """Days since 1900; None for what is no date."""
    try:
        return date.fromisoformat(text.replace(".", "")).toordinal() - _FIRST_DAY
    except ValueError:
        return None


def _stored_values(dataset: Dataset) -> StoredValues:
    slope, intercept = (_number(dataset, name) for name in ("RescaleSlope", "RescaleIntercept"))
    if not slope or intercept is None:
        raise ValueError(f"Need a rescale slope and intercept, got {slope}, {intercept}.")
    padding, limit = (_whole(dataset, name) for name in _PADDING)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    return StoredValues(
        bits_allocated=int(dataset.BitsAllocated),
        bits_stored=int(dataset.BitsStored),
        signed=dataset.PixelRepresentation == 1,
        slope=slope,
        intercept=intercept,
        padding=padding,
        padding_limit=limit,
        overlay_bits=_overlay_bits(dataset),
        whole=syntax in UNCOMPRESSED or syntax == _RLE,
    )


def _overlay_bits(dataset: Dataset) -> int:
    """The bits that overlays without data of their own lie in."""
    bits = 0
    for group in _OVERLAY_GROUPS:
        if (group, 0x0102) in dataset and (group, 0x3000) not in dataset:
            position = dataset[group, 0x0102].value
            bits |= 1 << position if isinstance(position, int) and 0 < position < 16 else 0
    return bits
