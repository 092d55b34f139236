"""One DICOM file -> a row of header values, or its slice in Hounsfield units; the only reader.

DICOM is untrusted input. Headers are read without pixels, and what the transfer syntax or the SOP
class already rules out is turned away before the rest is parsed (a deflated file would inflate
first). Whether a row is a usable slice is decided by `rules`.
"""

from __future__ import annotations

import re
import warnings
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from mmcaf.data.ingest.rules import CT_IMAGE, PET_IMAGE, reason_of
from mmcaf.errors import DataError

__all__ = ["AIR_HU", "HEADER", "MAX_HU", "read_header", "read_hu"]

AIR_HU, MAX_HU = -1024, 3071
# Values are checked here, and its warnings would repeat whatever text a file holds.
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_ELEMENT_HEADER = 8  # bytes of tag and length before the pixels, at least
_MANY_BYTES = 2**16
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_COMPRESSED = (  # allowed where a decoder is installed; decoded in a child process only
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",  # JPEG-LS
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",  # JPEG 2000
    "1.2.840.10008.1.2.4.91",
)
_PATIENT_ID = re.compile(r"(?:Lung_Dx-)?([ABEG]\d{4})")
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
    "compressed": pl.Boolean,  # TransferSyntaxUID
    "acquisition": pl.Int64,  # AcquisitionNumber
    "acquired_s": pl.Float64,  # AcquisitionTime, else ContentTime, as seconds of the day
    "instance": pl.Int64,  # InstanceNumber
    "rows": pl.Int32,
    "columns": pl.Int32,
    "samples": pl.Int32,  # SamplesPerPixel
    "frames": pl.Int32,  # NumberOfFrames
    "bits_allocated": pl.Int32,
    "pixel_bytes": pl.Int64,  # left in the file where the pixels begin
    "image_type": pl.String,
    "position_mm": pl.List(pl.Float64),  # ImagePositionPatient: x, y, z
    "orientation": pl.List(pl.Float64),  # ImageOrientationPatient: along rows, along columns
    "spacing_y_mm": pl.Float64,  # PixelSpacing
    "spacing_x_mm": pl.Float64,
    "vendor": pl.String,  # Manufacturer
    "model": pl.String,  # ManufacturerModelName
    "kernel": pl.String,  # ConvolutionKernel
    "kvp": pl.Float64,  # KVP, kV
    "contrast": pl.Boolean,  # whether ContrastBolusAgent says something
    "dicom_sex": pl.Int8,  # PatientSex: 0 female, 1 male, -1 else
    "dicom_age_years": pl.Float64,  # PatientAge
}
_TAGS = [
    "AcquisitionNumber",
    "AcquisitionTime",
    "BitsAllocated",
    "Columns",
    "ContentTime",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "FrameOfReferenceUID",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "InstanceNumber",
    "KVP",
    "Manufacturer",
    "ManufacturerModelName",
    "NumberOfFrames",
    "PatientAge",
    "PatientID",
    "PatientSex",
    "PixelSpacing",
    "Rows",
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "SeriesInstanceUID",
    "StudyInstanceUID",
]


class _Refused(Exception):
    """The file is turned away before its header is parsed; carries the reason code."""


def read_header(path: Path, name: str) -> dict[str, Any]:
    """The row (columns `HEADER`) of a file, its `reason` set if it is no usable slice; no raise.

    Args:
        path: the file, which must be a regular one.
        name: its path relative to the source, as rules see it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's name whole paths; the code says enough
            dataset, pixel_bytes = _header(path)
            row = _values(dataset) | {"pixel_bytes": pixel_bytes, "path": name}
        row["reason"] = reason_of(row) if row["sop_class"] else "E_UNREADABLE"
    except _Refused as refusal:
        return dict.fromkeys(HEADER) | {"reason": str(refusal)}
    except (Exception, RecursionError):  # malformed files raise anything
        return dict.fromkeys(HEADER) | {"reason": "E_UNREADABLE"}
    row.pop("path")
    return row


def read_hu(path: Path, shape: tuple[int, int]) -> NDArray[np.int16]:
    """A slice in Hounsfield units, [rows, columns]: rescaled, padding as air, clipped.

    Args:
        path: a file whose header was found usable.
        shape: rows and columns its header gave.

    Raises:
        DataError: the pixels cannot be decoded, or are not of that shape.
        OSError: the file cannot be read.
    """
    content = BytesIO(path.read_bytes())  # a disk that fails is no fault of the slice
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(content)
            pixels = _signed(dataset)
        slope, intercept = _rescale(dataset)
        hu = np.rint(pixels * slope + intercept)
    except (Exception, RecursionError) as error:  # pydicom and its decoders raise many kinds
        raise DataError(f"Cannot read the pixels of {path.name}: {error}") from error
    if pixels.shape != shape:
        raise DataError(f"{path.name} has pixels of shape {pixels.shape}, its header says {shape}.")
    hu[_padding(dataset, pixels)] = AIR_HU  # before any resampling could smear it
    return np.clip(hu, AIR_HU, MAX_HU).astype(np.int16)


def _header(path: Path) -> tuple[FileDataset, int]:
    """The header, and how many bytes of pixels follow it."""
    with _Bounded(path) as file:
        if file.read(132)[128:] != b"DICM":
            raise _Refused("E_NOT_DICOM")
        # The meta part is never compressed: a deflated bomb is turned away before it inflates.
        meta = pydicom.filereader._read_file_meta_info(file)
        sop_class = meta.get("MediaStorageSOPClassUID")
        if sop_class not in (None, CT_IMAGE, PET_IMAGE, _SECONDARY_CAPTURE):
            raise _Refused("E_SOP_CLASS")
        syntax = str(meta.get("TransferSyntaxUID") or "")
        if syntax not in _UNCOMPRESSED and not _decodable(syntax):
            raise _Refused("E_TS_UNSUPPORTED")
        file.seek(0)
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))
        return dataset, file.size - file.tell() - _ELEMENT_HEADER


class _Bounded(BufferedReader):
    """A file that never sets more memory aside than it has bytes, whatever a length claims."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path))
        self.size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MANY_BYTES:
            size = min(size, max(self.size - self.tell(), 0))
        return super().read(size)


def _decodable(syntax: str) -> bool:
    return syntax in _COMPRESSED and get_decoder(UID(syntax)).is_available


def _values(dataset: FileDataset) -> dict[str, Any]:
    texts = {
        "study_uid": "StudyInstanceUID",
        "series_uid": "SeriesInstanceUID",
        "sop_uid": "SOPInstanceUID",
        "frame_uid": "FrameOfReferenceUID",
        "sop_class": "SOPClassUID",
        "vendor": "Manufacturer",
        "model": "ManufacturerModelName",
        "kernel": "ConvolutionKernel",
    }
    patient = _PATIENT_ID.fullmatch(str(_get(dataset, "PatientID") or ""))
    age = _AGE.fullmatch(str(_get(dataset, "PatientAge") or ""))
    spacing = _numbers(dataset, "PixelSpacing", 2)
    if spacing is not None and min(spacing) <= 0:
        spacing = None
    parts = _get(dataset, "ImageType") or []
    return {
        **{column: _text(dataset, name) for column, name in texts.items()},
        "patient_id": patient.group(1) if patient else None,
        "compressed": str(dataset.file_meta.TransferSyntaxUID) in _COMPRESSED,
        "acquisition": _integer(dataset, "AcquisitionNumber"),
        "acquired_s": _seconds(dataset),
        "instance": _integer(dataset, "InstanceNumber"),
        "rows": _integer(dataset, "Rows"),
        "columns": _integer(dataset, "Columns"),
        "samples": _integer(dataset, "SamplesPerPixel", 1),
        "frames": _integer(dataset, "NumberOfFrames", 1),
        "bits_allocated": _integer(dataset, "BitsAllocated"),
        "image_type": "\\".join([parts] if isinstance(parts, str) else map(str, parts)).upper(),
        "position_mm": _numbers(dataset, "ImagePositionPatient", 3),
        "orientation": _numbers(dataset, "ImageOrientationPatient", 6),
        "spacing_y_mm": spacing[0] if spacing else None,
        "spacing_x_mm": spacing[1] if spacing else None,
        "kvp": next(iter(_numbers(dataset, "KVP", 1) or ()), None),
        "contrast": bool(_text(dataset, "ContrastBolusAgent")),
        "dicom_sex": {"F": 0, "M": 1}.get(str(_get(dataset, "PatientSex")), -1),
        "dicom_age_years": float(age.group(1)) if age else None,
    }


def _get(dataset: FileDataset, name: str) -> Any:
    """A value, or None where its element is absent or cannot be converted."""
    try:
        return dataset.get(name)
    except Exception:  # values are converted when first asked for, and raise anything
        return None


def _text(dataset: FileDataset, name: str) -> str | None:
    value = _get(dataset, name)
    return str(value)[:64] if value not in (None, "") else None


def _integer(dataset: FileDataset, name: str, absent: int | None = None) -> int | None:
    value = _get(dataset, name)
    if value in (None, ""):
        return absent
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 2**31 else None


def _numbers(dataset: FileDataset, name: str, count: int) -> list[float] | None:
    value = _get(dataset, name)
    if value in (None, ""):
        return None
    try:
        numbers = np.atleast_1d(np.array(value, dtype=float))
    except (TypeError, ValueError):
        return None
    whole = numbers.shape == (count,) and bool((np.abs(numbers) < 1e6).all())  # not NaN either
    return [float(number) for number in numbers] if whole else None


def _seconds(dataset: FileDataset) -> float | None:
    for name in ("AcquisitionTime", "ContentTime"):
        text = _text(dataset, name) or ""
        if re.fullmatch(r"\d{6}(\.\d{1,6})?", text):
            return int(text[:2]) * 3600 + int(text[2:4]) * 60 + float(text[4:])
    return None


def _signed(dataset: FileDataset) -> NDArray[np.float64]:
    """Stored values; bits above BitsStored may hold anything and are dropped."""
    pixels = dataset.pixel_array
    unused = 8 * pixels.dtype.itemsize - int(dataset.BitsStored)
    if 0 < unused < 8 * pixels.dtype.itemsize:
        pixels = np.right_shift(np.left_shift(pixels, unused), unused)
    return pixels.astype(np.float64)


def _rescale(dataset: FileDataset) -> tuple[float, float]:
    slope = float(dataset.get("RescaleSlope") or 1)
    intercept = float(dataset.get("RescaleIntercept") or 0)
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise ValueError(f"Need a finite rescale slope and intercept, got {slope}, {intercept}.")
    return slope, intercept


def _padding(dataset: FileDataset, pixels: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where PixelPaddingValue (up to PixelPaddingRangeLimit) marks what was never measured."""
    padding = _integer(dataset, "PixelPaddingValue")
    if padding is None:
        return np.zeros(pixels.shape, dtype=bool)
    limit = _integer(dataset, "PixelPaddingRangeLimit", padding)
    if dataset.PixelRepresentation:  # often written as unsigned beside signed pixels
        padding, limit = (v - 2**16 if v and v >= 2**15 else v for v in (padding, limit))
    low, high = sorted((padding or 0, padding or 0 if limit is None else limit))
    return np.asarray((pixels >= low) & (pixels <= high))
