"""A synthetic cohort as real DICOM in the collection's layout, whose truth is known exactly.

Lesions are drawn from latents (`phantom`), latents per class (`truth`); with signals of 0 nothing
but the letter of the patient id depends on the class. TRUTH.json holds latents and ratios; no
training or ingestion code reads it. Patient ids start at 9001 and the manufacturer is SYNTHETIC, so
such data can always be told.

| variant | the same patients, but |
|---|---|
| plain | - |
| hu-trap | stored as unsigned from -1024 or as signed HU, by chance: raw values say nothing |
| order-trap | files named and numbered at random; every third series holds three phases |
| multi-phase | every third series holds three phases of one body |
| scanner-confounded | scanner and kernel follow the class, and the other one in the last quarter |
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import openpyxl
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mmcaf.data.synthetic.phantom import FIELD_OF_VIEW_MM, SLICE_MM, draw_phantom
from mmcaf.data.synthetic.truth import Latents, Truth, bayes_auroc, draw_sample
from mmcaf.errors import DataError
from mmcaf.files.atomic import is_shared, make_folder
from mmcaf.files.home import home_path

__all__ = ["SHEET_NAME", "SyntheticSpec", "Variant", "edit_slice", "write", "write_sheet"]

Variant = Literal["plain", "hu-trap", "order-trap", "multi-phase", "scanner-confounded"]
Progress = Callable[[str, int, int], None]

SHEET_NAME = "statistics-clinical-20201221.xlsx"
_FIRST_ID = 9001
_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_UID_ROOT = "1.2.826.0.1.3680043.8.498."
_STREAM = 200  # keeps the pictures' random numbers apart from the latents'
_SOFT_HU = (-200, 300)  # what contrast agent brightens
_ENHANCEMENT_HU = (-60, -25, 0)  # of early phases against the last
_FOLLOWS_CLASS = 0.95  # share of patients whose scanner gives the class away


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSpec:
    """What to write; signals of 1 are as strong as in the real collection."""

    patients: int = 24
    size: int = 128
    slices: int = 24
    signal_image: float = 1.5
    signal_clinical: float = 1.0
    prevalence: float = 0.35
    variant: Variant = "plain"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("patients", 4, 900),
            ("size", 32, 512),
            ("slices", 12, 400),
            ("signal_image", 0, 10),
            ("signal_clinical", 0, 10),
            ("prevalence", 0.05, 0.95),
            ("seed", 0, 2**31),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"Need {low} <= {name} <= {high}, got {getattr(self, name)}.")
        if self.variant not in get_args(Variant):
            allowed = ", ".join(get_args(Variant))
            raise ValueError(f"Need variant to be one of {allowed}, got {self.variant!r}.")


def write(out: Path, spec: SyntheticSpec, progress: Progress | None = None) -> None:
    """Write the cohort into `out`, which must not exist or be empty; whole or not at all.

    Raises:
        DataError: `out` holds something already.
        OSError: the disk is full.
    """
    out = home_path(out)
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} is not empty; choose another folder, or delete it first.")
    make_folder(out.parent)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.tmp-", dir=out.parent))
    try:
        _write_cohort(beside, spec, progress)
        if is_shared():
            beside.chmod(0o755)
        beside.replace(out)
    except OSError as error:
        raise OSError(
            error.errno, f"Cannot write {out}: {error.strerror or error}; nothing was kept."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def edit_slice(path: Path, change: Callable[[Dataset], None], to: Path | None = None) -> None:
    """Read a slice, let `change` alter it, write it back, or to another place."""
    read = dcmread(path)
    read.decode()  # every element to a value, which can be written in another encoding
    dataset = Dataset(read)
    dataset.file_meta = read.file_meta
    place = to or path
    place.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid values are the point
        change(dataset)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.save_as(place, enforce_file_format=True)


def write_sheet(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows, which share their keys, as the first sheet of a workbook."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append(list(row.values()))
    book.save(path)


def _write_cohort(out: Path, spec: SyntheticSpec, progress: Progress | None) -> None:
    truth = Truth(spec.signal_image, spec.signal_clinical)
    bayes = bayes_auroc(spec.signal_image, spec.signal_clinical)
    classes = np.zeros(spec.patients, dtype=bool)
    classes[: min(max(2, round(spec.prevalence * spec.patients)), spec.patients - 2)] = True
    squamous, latents = draw_sample(truth, classes, bayes["both"], spec.seed)
    images = out / "manifest-0000000000000" / "Lung-PET-CT-Dx"
    rows, scans = [], []
    counts = {False: 0, True: 0}
    for index, label in enumerate(squamous.tolist()):
        name = f"{'G' if label else 'A'}{_FIRST_ID + counts[label]:04d}"
        counts[label] += 1
        case = {key: float(values[index]) for key, values in latents.items()}
        random = np.random.default_rng([spec.seed, _STREAM, index])
        volume, lesion = draw_phantom(case, spec.size, spec.slices, random)
        scan = _Scan(name, index, case, spec)
        for series in range(1 + (index % 3 == 0)):  # a third has a second reconstruction
            scan.write(images, out / "Annotation", volume, lesion, series, random)
        scans.append(scan)
        rows.append(_sheet_row(name, index, case, random))
        if progress is not None:
            progress("synthetic patients", index + 1, spec.patients)
    write_sheet(out / SHEET_NAME, rows)
    known = {"SYNTHETIC": True, "bayes_auroc": bayes, "cases": _cases(scans, truth, latents, bayes)}
    (out / "TRUTH.json").write_text(json.dumps(known, indent=1), encoding="utf-8")


def _cases(
    scans: list[_Scan], truth: Truth, latents: Latents, parts: Mapping[str, float]
) -> list[dict[str, Any]]:
    ratios = {f"llr_{part}": truth.ratio(latents, part) for part in parts}
    return [
        {
            "patient_id": scan.name,
            "label": int(scan.name[0] == "G"),
            "shifted": scan.shifted,
            **{key: float(values[index]) for key, values in (latents | ratios).items()},
        }
        for index, scan in enumerate(scans)
    ]


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How HU are stored; it varies by patient, never by class."""

    signed: bool
    intercept: int
    implicit: bool

    @property
    def syntax(self) -> UID:
        return ImplicitVRLittleEndian if self.implicit else ExplicitVRLittleEndian

    @property
    def tags(self) -> dict[str, Any]:
        return {
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16 if self.signed else 12,
            "HighBit": 15 if self.signed else 11,
            "PixelRepresentation": int(self.signed),
            "RescaleSlope": 1,
            "RescaleIntercept": self.intercept,
        }

    def stored(self, hu: NDArray[np.int16]) -> bytes:
        raw = hu.astype(np.int32) - self.intercept
        return (raw.astype("<i2") if self.signed else np.clip(raw, 0, 4095).astype("<u2")).tobytes()


@dataclass(frozen=True, slots=True)
class _Scan:
    """One patient's files."""

    name: str
    index: int
    case: Mapping[str, float]
    spec: SyntheticSpec

    @property
    def shifted(self) -> bool:
        """Among the last quarter, where the confounded scanner is the other one."""
        return self.index >= 0.75 * self.spec.patients

    def write(
        self,
        images: Path,
        boxes: Path,
        volume: NDArray[np.int16],
        lesion: NDArray[np.bool_],
        series: int,
        random: np.random.Generator,
    ) -> None:
        number, kernel = series + 2, self._kernel(series)
        study_uid, series_uid = self._uid("study"), self._uid("series", series)
        folder = (
            images
            / f"Lung_Dx-{self.name}"
            / f"01-01-1900-NA-Chest-{study_uid[-5:]}"
            / f"{number}.000000-Thorax  5.0  {kernel}-{series_uid[-5:]}"
        )
        folder.mkdir(parents=True)
        (boxes / self.name).mkdir(parents=True, exist_ok=True)
        marked = np.flatnonzero(lesion.any(axis=(1, 2))).tolist()
        drawn = {z: self._box(lesion[z], random) for z in marked}
        for phase, hu in self._phases(volume):
            for z, plane in enumerate(hu):
                dataset = self._dataset(z, plane, series, phase)
                dataset.save_as(folder / self._file_name(phase, z), enforce_file_format=True)
                if z in drawn:
                    path = boxes / self.name / f"{dataset.SOPInstanceUID}.xml"
                    path.write_text(drawn[z], encoding="utf-8")

    def _phases(self, volume: NDArray[np.int16]) -> Iterator[tuple[int, NDArray[np.int16]]]:
        """Acquisitions of one series; the last one is the volume as drawn."""
        if self.spec.variant not in ("order-trap", "multi-phase") or self.index % 3:
            yield 1, volume
            return
        low, high = _SOFT_HU
        soft = (volume > low) & (volume < high)
        for phase, change in enumerate(_ENHANCEMENT_HU, 1):
            yield phase, np.where(soft, volume + change, volume).astype(np.int16)

    def _file_name(self, phase: int, z: int) -> str:
        if self.spec.variant == "order-trap":
            return f"{self._uid('file', phase, z)[-16:]}.dcm"
        return f"{phase}-{self.spec.slices - z:02d}.dcm"  # head to feet, as in the collection

    def _kernel(self, series: int) -> str:
        return "B31f" if (series == 0) == self._usual_scanner() else "B70f"

    def _usual_scanner(self) -> bool:
        if self.spec.variant != "scanner-confounded":
            return True
        draw = np.random.default_rng([self.spec.seed, _STREAM + 1, self.index]).random()
        follows = (draw < _FOLLOWS_CLASS) != self.shifted
        return (self.name[0] == "G") == follows

    def _encoding(self) -> _Encoding:
        if self.spec.variant == "hu-trap":
            draw = np.random.default_rng([self.spec.seed, _STREAM + 2, self.index]).random()
            signed = bool(draw < 0.5)
            return _Encoding(signed=signed, intercept=0 if signed else -1024, implicit=signed)
        signed = self.index % 2 == 1
        return _Encoding(signed=signed, intercept=-1024, implicit=signed)

    def _uid(self, *parts: object) -> str:
        text = "/".join(map(str, (self.spec, self.name, *parts))).encode()
        return _UID_ROOT + str(int(hashlib.sha256(text).hexdigest()[:24], 16))

    def _dataset(self, z: int, plane: NDArray[np.int16], series: int, phase: int) -> Dataset:
        encoding = self._encoding()
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = encoding.syntax
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UID(_CT_IMAGE)
        uid = UID(self._uid("slice", series, phase, z))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
        tags = self._who(series) | self._where(series, phase, z) | encoding.tags
        for name, value in tags.items():
            setattr(dataset, name, value)
        dataset.add_new("PixelData", "OW", encoding.stored(plane))
        return dataset

    def _who(self, series: int) -> dict[str, Any]:
        """Tags of the patient, the scanner and the series."""
        kernel = self._kernel(series)
        return {
            "StudyInstanceUID": self._uid("study"),
            "SeriesInstanceUID": self._uid("series", series),
            "FrameOfReferenceUID": self._uid("frame"),
            "Modality": "CT",
            "PatientID": f"Lung_Dx-{self.name}",
            "PatientName": f"Lung_Dx-{self.name}",
            "PatientSex": "M" if self.case["male"] else "F",
            "PatientAge": f"{round(self.case['age_years']):03d}Y",
            "Manufacturer": "SYNTHETIC" if self._usual_scanner() else "SYNTHETIC B",
            "ManufacturerModelName": "Phantom",
            "KVP": 120,
            "SeriesDescription": f"Thorax  5.0  {kernel}",
            "SeriesNumber": series + 2,
            "StudyDate": "19000101",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "PatientPosition": "FFS" if self.index % 5 == 0 else "HFS",
            "ConvolutionKernel": kernel,
        }

    def _where(self, series: int, phase: int, z: int) -> dict[str, Any]:
        """Tags of a slice's place."""
        ordinal = self.spec.slices - z
        if self.spec.variant == "order-trap":
            ordinal = int(self._uid("ordinal", series, phase, z)[-6:])
        pixel = FIELD_OF_VIEW_MM / self.spec.size
        return {
            "AcquisitionNumber": phase,
            "InstanceNumber": ordinal,
            "ImagePositionPatient": [-180, -180, (z - self.spec.slices / 2 + 0.5) * SLICE_MM],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [pixel, pixel],
            "SliceThickness": SLICE_MM,
            "ReconstructionDiameter": FIELD_OF_VIEW_MM,
            "Rows": self.spec.size,
            "Columns": self.spec.size,
        }

    def _box(self, mask: NDArray[np.bool_], random: np.random.Generator) -> str:
        """PASCAL-VOC as the collection writes it, give or take a pixel."""
        rows, columns = np.where(mask)
        edge = self.spec.size - 1
        slack = random.integers(-1, 2, 4)
        corners = [columns.min(), rows.min(), columns.max(), rows.max()]
        x0, y0, x1, y1 = np.clip(np.array(corners) + slack, 0, edge)
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)  # a box has an area
        letter = self.name[0].lower() if self.index % 4 == 0 else self.name[0]
        return f"""<annotation verified="no">
  <folder>Unknow</folder>
  <filename>Unknow</filename>
  <path>Unknow</path>
  <source>Unknow<database>Unknown</database></source>
  <size><width>{self.spec.size}</width><height>{self.spec.size}</height><depth>1</depth></size>
  <segmented>0</segmented>
  <object>
    <name>{letter}</name>
    <pose>Unspecified</pose>
    <truncated>0</truncated>
    <Difficult>0</Difficult>
    <bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>
  </object>
</annotation>
"""


def _sheet_row(
    name: str, index: int, case: Mapping[str, float], random: np.random.Generator
) -> dict[str, Any]:
    diameter = float(np.exp(case["ln_diameter_mm"]))
    limits = ((10, "1a"), (20, "1b"), (30, "1c"), (40, "2a"), (50, "2b"), (70, "3"))
    return {
        "No.": index + 1,
        "NewPatientID": name,
        "Sex": "M" if case["male"] else "F",
        "Age": None if index == 3 else round(case["age_years"]),
        "weight (kg)": None if index == 5 else round(case["weight_kg"]),
        "T-Stage": next((stage for limit, stage in limits if diameter <= limit), "4"),
        "N-Stage": int(random.choice(4, p=[0.52, 0.24, 0.02, 0.22])),
        "Ｍ-Stage": str(
            random.choice(["0", "1", "1a", "1b", "1c"], p=[0.65, 0.15, 0.085, 0.075, 0.04])
        ),
        "Histopathological grading": str(random.choice(["G1", "G2", "G3", ""])) or None,
        "Smoking History": int(case["smoker"]),
    }
