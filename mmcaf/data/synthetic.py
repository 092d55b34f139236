"""A synthetic cohort as real DICOM in the collection's layout, whose truth is known exactly.

Latents are drawn per class, lesions are drawn from latents, so the best possible (Bayes) AUROC is
that of the latents' log-likelihood ratio. Each class parameter lies between the pooled mean and the
published one by the factor `signal`; at 0 the classes are one distribution, an exact null: nothing
but the letter of the patient id then depends on the class. TRUTH.json holds latents and ratios; no
training or ingestion code reads it. Anchors: the collection's published class statistics.

Patient ids start at 9001 and the manufacturer is SYNTHETIC, so such data can always be told.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openpyxl
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from mmcaf.errors import DataError
from mmcaf.metrics import auroc

__all__ = ["SyntheticSpec", "bayes_auroc", "write"]

_FIRST_ID = 9001
_FIELD_OF_VIEW_MM = 360.0
_SLICE_MM = 5.0
_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_UID_ROOT = "1.2.826.0.1.3680043.8.498."
_DRAWS = 200_000  # Monte Carlo cases behind a Bayes AUROC
_TRIES = 200  # to find a sample whose own ratio is close to it
_CLOSE = 0.02

# Published class statistics: (adenocarcinoma, squamous). Probabilities first, then mean and SD.
_PROBABILITIES = {
    "male": (118 / 251, 47 / 61),
    "smoker_if_male": (0.70, 0.87),
    "smoker_if_female": (0.063, 0.15),
}
_NORMALS = {
    "age_years": ((60.9, 10.2), (62.8, 9.2)),
    "weight_kg": ((65.1, 11.8), (65.7, 12.4)),
    "ln_diameter_mm": ((3.77, 0.40), (4.13, 0.33)),
    "lateral_px": ((85.8, 28.1), (71.8, 23.6)),  # from the midline, of 512
    "solidity": ((-0.6, 1.0), (0.6, 1.0)),  # ground glass to solid
}
_CLINICAL = ("age_years", "weight_kg")

Latents = dict[str, NDArray[np.float64]]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSpec:
    """What to write; signals of 1 are as strong as in the real collection."""

    patients: int = 24
    size: int = 128
    slices: int = 24
    signal_image: float = 1.5
    signal_clinical: float = 1.0
    prevalence: float = 0.35
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


def write(out: Path, spec: SyntheticSpec, progress: Progress | None = None) -> None:
    """Write the cohort into `out`, which must not exist or be empty; whole or not at all.

    Raises:
        DataError: `out` holds something already.
        OSError: the disk is full.
    """
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out} is not empty; choose another folder, or delete it first.")
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{out.name}.tmp-", dir=out.parent))
    try:
        _write_cohort(beside, spec, progress)
        beside.chmod(0o755)
        beside.replace(out)
    except OSError as error:
        raise OSError(
            error.errno, f"Cannot write {out}: {error.strerror or error}; nothing was kept."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def bayes_auroc(signal_image: float, signal_clinical: float) -> dict[str, float]:
    """Best possible AUROC from the clinical row, the image and both, by Monte Carlo."""
    random = np.random.default_rng(0)
    squamous = random.random(_DRAWS) < 0.5
    model = _Model(signal_image, signal_clinical)
    latents = model.draw(squamous, random)
    return {
        what: round(auroc(squamous.astype(int), model.ratio(latents, what)), 4)
        for what in ("clinical", "image", "both")
    }


class _Model:
    """Two class densities, `signal` of the way from their pooled mean to the published ones."""

    def __init__(self, signal_image: float, signal_clinical: float) -> None:
        self._probabilities = {
            name: tuple(_apart_probability(pair, signal_clinical))
            for name, pair in _PROBABILITIES.items()
        }
        self._normals = {
            name: _apart(pair, signal_clinical if name in _CLINICAL else signal_image)
            for name, pair in _NORMALS.items()
        }

    def draw(self, squamous: NDArray[np.bool_], random: np.random.Generator) -> Latents:
        count = len(squamous)
        p = {name: np.where(squamous, b, a) for name, (a, b) in self._probabilities.items()}
        male = random.random(count) < p["male"]
        smokes = np.where(male, p["smoker_if_male"], p["smoker_if_female"])
        drawn: Latents = {
            "male": male.astype(float),
            "smoker": (random.random(count) < smokes).astype(float),
        }
        for name, ((mean_a, sd_a), (mean_b, sd_b)) in self._normals.items():
            mean, sd = np.where(squamous, mean_b, mean_a), np.where(squamous, sd_b, sd_a)
            drawn[name] = random.normal(mean, sd)
        return drawn

    def ratio(self, latents: Mapping[str, NDArray[np.float64]], what: str) -> NDArray[np.float64]:
        """Log-likelihood ratio, squamous against adenocarcinoma, per case."""
        total = np.zeros(len(latents["male"]))
        if what in ("clinical", "both"):
            male, smoker = latents["male"] == 1, latents["smoker"] == 1
            total += _log_odds(male, *self._probabilities["male"])
            of_male = _log_odds(smoker, *self._probabilities["smoker_if_male"])
            of_female = _log_odds(smoker, *self._probabilities["smoker_if_female"])
            total += np.where(male, of_male, of_female)
        for name, (adeno, squamous) in self._normals.items():
            if what == "both" or (name in _CLINICAL) == (what == "clinical"):
                total += _log_density(latents[name], *squamous)
                total -= _log_density(latents[name], *adeno)
        return total


Pair = tuple[tuple[float, float], tuple[float, float]]


def _apart(pair: Pair, signal: float) -> Pair:
    (mean_a, sd_a), (mean_b, sd_b) = pair
    mean, sd = (mean_a + mean_b) / 2, (sd_a + sd_b) / 2
    return (
        (mean + signal * (mean_a - mean), max(sd + signal * (sd_a - sd), 0.1 * sd)),
        (mean + signal * (mean_b - mean), max(sd + signal * (sd_b - sd), 0.1 * sd)),
    )


def _apart_probability(pair: tuple[float, float], signal: float) -> tuple[float, float]:
    logits = np.log(pair) - np.log1p(-np.array(pair))
    moved = logits.mean() + signal * (logits - logits.mean())
    low, high = 1 / (1 + np.exp(-moved))
    return float(low), float(high)


def _log_odds(holds: NDArray[np.bool_], adeno: float, squamous: float) -> NDArray[np.float64]:
    if_so, if_not = np.log(squamous / adeno), np.log((1 - squamous) / (1 - adeno))
    odds: NDArray[np.float64] = np.asarray(np.where(holds, if_so, if_not), dtype=np.float64)
    return odds


def _log_density(x: NDArray[np.float64], mean: float, sd: float) -> NDArray[np.float64]:
    density: NDArray[np.float64] = -(((x - mean) / sd) ** 2) / 2 - np.log(sd)
    return density


def _sample(spec: SyntheticSpec, bayes: float) -> tuple[NDArray[np.bool_], Latents, _Model]:
    """Labels and latents; of several draws the first whose own AUROC is near the Bayes one."""
    model = _Model(spec.signal_image, spec.signal_clinical)
    squamous = np.zeros(spec.patients, dtype=bool)
    squamous[: min(max(2, round(spec.prevalence * spec.patients)), spec.patients - 2)] = True
    best: tuple[float, NDArray[np.bool_], Latents] | None = None
    for attempt in range(_TRIES):
        random = np.random.default_rng([spec.seed, attempt])
        labels = random.permutation(squamous)
        latents = model.draw(labels, random)
        off = abs(auroc(labels.astype(int), model.ratio(latents, "both")) - bayes)
        if best is None or off < best[0]:
            best = (off, labels, latents)
        if off <= _CLOSE or bayes == 0.5:
            break
    if best is None:
        raise ValueError("Need at least one draw.")
    return best[1], best[2], model


def _write_cohort(out: Path, spec: SyntheticSpec, progress: Progress | None) -> None:
    bayes = bayes_auroc(spec.signal_image, spec.signal_clinical)
    squamous, latents, model = _sample(spec, bayes["both"])
    images = out / "manifest-0000000000000" / "Lung-PET-CT-Dx"
    rows, names = [], []
    counts = {False: 0, True: 0}
    for index, label in enumerate(squamous.tolist()):
        name = f"{'G' if label else 'A'}{_FIRST_ID + counts[label]:04d}"
        counts[label] += 1
        names.append(name)
        case = {key: float(values[index]) for key, values in latents.items()}
        random = np.random.default_rng([spec.seed, _TRIES, index])
        volume, lesion = _phantom(case, spec, random)
        scan = _Scan(name, index, case, spec)
        for series in range(1 + (index % 3 == 0)):  # a third has a second reconstruction
            scan.write(images, out / "Annotation", volume, lesion, series, random)
        rows.append(_sheet_row(name, index, case, random))
        if progress is not None:
            progress("synthetic patients", index + 1, spec.patients)
    _write_sheet(out / "statistics-clinical-20201221.xlsx", rows)
    truth = {
        "SYNTHETIC": True,
        "bayes_auroc": bayes,
        "cases": [
            {
                "patient_id": name,
                "label": int(label),
                **{key: float(values[i]) for key, values in latents.items()},
                **{f"llr_{w}": float(model.ratio(latents, w)[i]) for w in bayes},
            }
            for i, (name, label) in enumerate(zip(names, squamous, strict=True))
        ],
    }
    (out / "TRUTH.json").write_text(json.dumps(truth, indent=1), encoding="utf-8")


def _phantom(
    case: Mapping[str, float], spec: SyntheticSpec, random: np.random.Generator
) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """HU and lesion mask, [slices, rows, columns], foot to head."""
    pixel = _FIELD_OF_VIEW_MM / spec.size
    axis = (np.arange(spec.size) - spec.size / 2 + 0.5) * pixel
    z = (np.arange(spec.slices) - spec.slices / 2 + 0.5) * _SLICE_MM
    y, x = axis[None, :, None], axis[None, None, :]
    length = spec.slices * _SLICE_MM
    taper = (1 - 0.25 * (z / (length / 2)) ** 2)[:, None, None]
    hu = np.full((spec.slices, spec.size, spec.size), -1000.0, dtype=np.float32)
    hu[(x / (165 * taper)) ** 2 + (y / (115 * taper)) ** 2 < 1] = 40
    for side in (-1, 1):
        hu[((x - side * 75) / (58 * taper)) ** 2 + (y / (82 * taper)) ** 2 < 1] = -860
    fixed = np.ones_like(taper, dtype=bool)
    hu[((x / 22) ** 2 + ((y + 5) / 40) ** 2 < 1) & fixed] = 45  # mediastinum
    hu[(x**2 + (y - 80) ** 2 < 15**2) & fixed] = 350  # spine
    hu[(random.random(hu.shape) < 0.006) & (hu < -800)] = -100  # vessels
    diameter = float(np.clip(np.exp(case["ln_diameter_mm"]), 10, 110))
    lateral = float(np.clip(case["lateral_px"], 15, 140)) / 512 * _FIELD_OF_VIEW_MM
    side = 1 if random.random() < 0.5 else -1
    cz, cy = random.uniform(-0.3, 0.3) * length, random.uniform(-30, 30)
    radius = np.sqrt((z[:, None, None] - cz) ** 2 + (y - cy) ** 2 + (x - side * lateral) ** 2)
    texture = random.normal(size=hu.shape).astype(np.float32)
    texture = np.stack([cv2.GaussianBlur(plane, (0, 0), 2.0) for plane in texture])
    texture /= texture.std()
    radius = radius * (1 + 0.08 * texture)  # lobulated margin
    lesion = radius < diameter / 2
    solid = 1 / (1 + np.exp(-1.5 * case["solidity"]))
    inside = solid * (30 + 15 * texture) + (1 - solid) * (-450 + 80 * texture)
    hu = np.where(lesion, np.maximum(hu, inside), hu).astype(np.float32)
    if case["solidity"] > 1.2 and diameter > 35:
        hu[radius < diameter / 8] = -950  # cavity
    hu = np.stack([cv2.GaussianBlur(plane, (0, 0), 0.5) for plane in hu])
    noisy = hu + random.normal(0, 18, hu.shape)
    return np.clip(np.rint(noisy), -1024, 3000).astype(np.int16), lesion


@dataclass(frozen=True, slots=True)
class _Scan:
    """One patient's files; encodings vary by index, never by class."""

    name: str
    index: int
    case: Mapping[str, float]
    spec: SyntheticSpec

    def write(
        self,
        images: Path,
        boxes: Path,
        volume: NDArray[np.int16],
        lesion: NDArray[np.bool_],
        series: int,
        random: np.random.Generator,
    ) -> None:
        number, kernel = series + 2, ("B31f", "B70f")[series]
        study_uid, series_uid = self._uid("study"), self._uid("series", series)
        folder = (
            images
            / f"Lung_Dx-{self.name}"
            / f"01-01-1900-NA-Chest-{study_uid[-5:]}"
            / f"{number}.000000-Thorax  5.0  {kernel}-{series_uid[-5:]}"
        )
        folder.mkdir(parents=True)
        (boxes / self.name).mkdir(parents=True, exist_ok=True)
        for z, plane in enumerate(volume):
            dataset = self._dataset(z, plane, series, kernel)
            ordinal = len(volume) - z  # head to feet, as in the collection
            dataset.save_as(folder / f"1-{ordinal:02d}.dcm", enforce_file_format=True)
            if lesion[z].any():
                text = self._box(lesion[z], random)
                path = boxes / self.name / f"{dataset.SOPInstanceUID}.xml"
                path.write_text(text, encoding="utf-8")

    def _uid(self, *parts: object) -> str:
        text = "/".join(map(str, (self.spec, self.name, *parts))).encode()
        return _UID_ROOT + str(int(hashlib.sha256(text).hexdigest()[:24], 16))

    def _dataset(self, z: int, plane: NDArray[np.int16], series: int, kernel: str) -> Dataset:
        signed = self.index % 2 == 1
        intercept = 0 if self.index % 4 == 1 else -1024
        pixel = _FIELD_OF_VIEW_MM / self.spec.size
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = (
            ImplicitVRLittleEndian if signed else ExplicitVRLittleEndian
        )
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = UID(_CT_IMAGE)
        uid = UID(self._uid("slice", series, z))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid
        values: dict[str, Any] = {
            "StudyInstanceUID": self._uid("study"),
            "SeriesInstanceUID": self._uid("series", series),
            "FrameOfReferenceUID": self._uid("frame"),
            "Modality": "CT",
            "PatientID": f"Lung_Dx-{self.name}",
            "PatientName": f"Lung_Dx-{self.name}",
            "PatientSex": "M" if self.case["male"] else "F",
            "Manufacturer": "SYNTHETIC",
            "SeriesDescription": f"Thorax  5.0  {kernel}",
            "SeriesNumber": series + 2,
            "InstanceNumber": self.spec.slices - z,
            "StudyDate": "19000101",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "ImagePositionPatient": [-180, -180, (z - self.spec.slices / 2 + 0.5) * _SLICE_MM],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [pixel, pixel],
            "SliceThickness": _SLICE_MM,
            "PatientPosition": "FFS" if self.index % 5 == 0 else "HFS",
            "ConvolutionKernel": kernel,
            "Rows": self.spec.size,
            "Columns": self.spec.size,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "BitsAllocated": 16,
            "BitsStored": 16 if signed else 12,
            "HighBit": 15 if signed else 11,
            "PixelRepresentation": int(signed),
            "RescaleSlope": 1,
            "RescaleIntercept": intercept,
        }
        for name, value in values.items():
            setattr(dataset, name, value)
        raw = plane.astype(np.int32) - intercept
        stored = raw.astype("<i2") if signed else np.clip(raw, 0, 4095).astype("<u2")
        dataset.add_new("PixelData", "OW", stored.tobytes())
        return dataset

    def _box(self, mask: NDArray[np.bool_], random: np.random.Generator) -> str:
        """PASCAL-VOC as the collection writes it, give or take a pixel."""
        rows, columns = np.where(mask)
        edge = self.spec.size - 1
        slack = random.integers(-1, 2, 4)
        corners = [columns.min(), rows.min(), columns.max(), rows.max()]
        x0, y0, x1, y1 = np.clip(np.array(corners) + slack, 0, edge)
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


def _write_sheet(path: Path, rows: list[dict[str, Any]]) -> None:
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Sheet1")
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append(list(row.values()))
    book.save(path)
