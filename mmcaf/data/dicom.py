"""DICOM on disk -> one row per file; the only reader of DICOM. A bad file is a row with a reason.

Files are found by content, never by name, and headers are read without pixels. What is not an
uncompressed CT image is turned away before it is read whole: DICOM is untrusted input.

| reason | meaning |
|---|---|
| E_NOT_DICOM | no `DICM` at byte 128, or larger than 64 MiB |
| E_UNREADABLE | the header cannot be parsed |
| E_SOP_CLASS | not CT Image Storage (colour captures call themselves modality CT too) |
| E_TS_UNSUPPORTED | a compressed transfer syntax |
| E_RGB | several samples per pixel or several frames |
| E_PATIENT_ID | PatientID is not one of the collection's |
| E_LOCALIZER | a scout image |
| E_NO_IPP | no position, orientation or spacing |
| E_NON_AXIAL | not in the axial plane |
| E_PIXEL_LEN | fewer pixel bytes than rows x columns need: truncated |
| E_DUP_SOP | the same SOPInstanceUID as an earlier file |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset

from mmcaf.errors import DataError

__all__ = ["AIR_HU", "INSTANCES", "find_files", "read_hu", "scan"]

AIR_HU, MAX_HU = -1024, 3071
_MAX_BYTES = 64 * 2**20
_ELEMENT_HEADER = 8  # bytes of tag and length before the pixels, at least
_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_UNCOMPRESSED = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_PATIENT_ID = re.compile(r"(?:Lung_Dx-)?([ABEG]\d{4})")
_NOT_IMAGES = {".xml", ".xlsx", ".csv", ".json", ".txt", ".md", ".png", ".html"}

_TAGS = [
    "AcquisitionNumber",
    "BitsAllocated",
    "Columns",
    "ConvolutionKernel",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "InstanceNumber",
    "Manufacturer",
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
]

INSTANCES: dict[str, Any] = {
    "source": pl.Int32,  # index of the source folder
    "path": pl.String,  # relative to it
    "reason": pl.String,  # null for a usable slice
    "patient_id": pl.String,
    "series_uid": pl.String,
    "sop_uid": pl.String,
    "acquisition": pl.Int32,
    "instance": pl.Int32,
    "rows": pl.Int32,
    "columns": pl.Int32,
    "x_mm": pl.Float64,
    "y_mm": pl.Float64,
    "z_mm": pl.Float64,  # along the normal of the slice, patient coordinates
    "spacing_y_mm": pl.Float64,
    "spacing_x_mm": pl.Float64,
    "vendor": pl.String,
    "kernel": pl.String,
}

Progress = Callable[[str, int, int], None]


class _Refused(Exception):
    """A file that is no usable slice; carries the reason code."""


def find_files(source: Path) -> list[Path]:
    """All regular files under `source`, sorted; links that lead out of it are not followed.

    Raises:
        DataError: no such folder, or nothing in it.
    """
    if not source.is_dir():
        raise DataError(f"No folder {source}; give the one the collection was downloaded to.")
    root = source.resolve()
    found = sorted(
        path
        for path in source.rglob("*")
        if path.is_file() and not path.name.startswith(".") and path.resolve().is_relative_to(root)
    )
    if not found:
        raise DataError(f"The folder {source} holds no files.")
    return found


def scan(sources: Sequence[Path], progress: Progress | None = None) -> pl.DataFrame:
    """One row per candidate file (columns: `INSTANCES`), headers only."""
    files = [
        (index, source, path)
        for index, source in enumerate(sources)
        for path in find_files(source)
        if path.suffix.lower() not in _NOT_IMAGES
    ]
    rows = []
    seen: set[str] = set()
    for done, (index, source, path) in enumerate(files, 1):
        row = {"source": index, "path": str(path.relative_to(source)), **_row(path)}
        if row.get("reason") is None:
            if row["sop_uid"] in seen:
                row["reason"] = "E_DUP_SOP"
            seen.add(row["sop_uid"])
        rows.append(row)
        if progress is not None:
            progress("headers", done, len(files))
    return pl.DataFrame(rows, schema=INSTANCES)


def read_hu(paths: Sequence[Path]) -> Iterator[NDArray[np.int16]]:
    """Each slice in Hounsfield units, [rows, columns], rescaled, padding as air, clipped.

    Raises:
        DataError: the pixels cannot be read; names the file.
    """
    for path in paths:
        try:
            dataset = pydicom.dcmread(path)
            pixels = dataset.pixel_array.astype(np.float64)
            slope = float(getattr(dataset, "RescaleSlope", 1) or 1)
            intercept = float(getattr(dataset, "RescaleIntercept", 0) or 0)
        except Exception as error:  # pydicom raises many kinds
            raise DataError(f"Cannot read the pixels of {path.name}: {error}") from error
        # Padding outside the field of view is often -2000: the clip makes it air.
        yield np.clip(np.rint(pixels * slope + intercept), AIR_HU, MAX_HU).astype(np.int16)


def _row(path: Path) -> dict[str, Any]:
    try:
        return _usable(path)
    except _Refused as refusal:
        return {"reason": str(refusal)}


def _usable(path: Path) -> dict[str, Any]:
    dataset, pixel_bytes = _header(path)
    identity = {
        "patient_id": _patient(dataset),
        "series_uid": str(dataset.SeriesInstanceUID),
        "sop_uid": str(dataset.SOPInstanceUID),
    }
    try:
        return identity | _geometry(dataset, pixel_bytes)
    except _Refused as refusal:
        return identity | {"reason": str(refusal)}


def _header(path: Path) -> tuple[FileDataset, int]:
    """The header, and how many bytes of pixels follow it."""
    if path.stat().st_size > _MAX_BYTES:
        raise _Refused("E_NOT_DICOM")
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            raise _Refused("E_NOT_DICOM")
    try:
        # The meta part is never compressed: a deflated bomb is turned away before it inflates.
        meta = pydicom.filereader.read_file_meta_info(path)
        syntax, sop_class = meta.get("TransferSyntaxUID"), meta.get("MediaStorageSOPClassUID")
        if sop_class is not None and sop_class != _CT_IMAGE:
            raise _Refused("E_SOP_CLASS")
        if syntax not in _UNCOMPRESSED:
            raise _Refused("E_TS_UNSUPPORTED")
        with path.open("rb") as file:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_TAGS))
            pixel_bytes = path.stat().st_size - file.tell() - _ELEMENT_HEADER
        for needed in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns"):
            if dataset.get(needed) in (None, ""):
                raise _Refused("E_UNREADABLE")
    except _Refused:
        raise
    except (Exception, RecursionError) as error:  # malformed files raise anything
        raise _Refused("E_UNREADABLE") from error
    return dataset, pixel_bytes


def _patient(dataset: FileDataset) -> str:
    if dataset.SOPClassUID != _CT_IMAGE:
        raise _Refused("E_SOP_CLASS")
    found = _PATIENT_ID.fullmatch(str(dataset.get("PatientID", "")))
    if found is None:
        raise _Refused("E_PATIENT_ID")
    return found.group(1)


def _geometry(dataset: FileDataset, pixel_bytes: int) -> dict[str, Any]:
    if dataset.get("SamplesPerPixel", 1) != 1 or int(dataset.get("NumberOfFrames") or 1) != 1:
        raise _Refused("E_RGB")
    if "LOCALIZER" in [str(part).upper() for part in dataset.get("ImageType") or []]:
        raise _Refused("E_LOCALIZER")
    try:
        position = np.array(dataset.ImagePositionPatient, dtype=float)
        axes = np.array(dataset.ImageOrientationPatient, dtype=float).reshape(2, 3)
        spacing = [float(value) for value in dataset.PixelSpacing]
    except (AttributeError, TypeError, ValueError) as error:
        raise _Refused("E_NO_IPP") from error
    if len(position) != 3 or len(spacing) != 2 or min(spacing) <= 0:
        raise _Refused("E_NO_IPP")
    normal = np.cross(axes[0], axes[1])
    if abs(normal[2]) < 0.9:
        raise _Refused("E_NON_AXIAL")
    if pixel_bytes < dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8:
        raise _Refused("E_PIXEL_LEN")
    return {
        "acquisition": _integer(dataset.get("AcquisitionNumber")),
        "instance": _integer(dataset.get("InstanceNumber")),
        "rows": dataset.Rows,
        "columns": dataset.Columns,
        "x_mm": position[0],
        "y_mm": position[1],
        # Towards the head, whichever way the patient lay or the file was numbered.
        "z_mm": float(position @ normal * np.sign(normal[2])),
        "spacing_y_mm": spacing[0],
        "spacing_x_mm": spacing[1],
        "vendor": str(dataset.get("Manufacturer") or ""),
        "kernel": str(dataset.get("ConvolutionKernel") or ""),
    }


def _integer(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
