"""A small tree of the collection's layout, the true HU of its patients, and what is read of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import polars as pl
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SHEET_NAME, edit_slice, write_sheet

__all__ = ["SIDE", "Outcome", "Tree", "read", "true_hu"]

SIDE = 64  # pixels; at this side the cached volume is the slices themselves
Hu = NDArray[np.int16]
Change = Callable[[Dataset], None]


def true_hu(path: Path) -> Hu:
    """HU of an unharmed slice, by nothing of this project."""
    slice_ = dcmread(path)
    scaled = slice_.pixel_array * float(slice_.RescaleSlope) + float(slice_.RescaleIntercept)
    return np.clip(np.rint(scaled), -1024, 3071).astype(np.int16)


def _header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True)


@dataclass(frozen=True)
class Tree:
    """A tree that `synthetic.write` wrote, to be harmed by a test."""

    folder: Path

    def patients(self, *, series: int = 1, signed: bool | None = None) -> list[str]:
        """Names of patients with so many series, of stored values with or without a sign."""
        folders = sorted(self.folder.glob("manifest-*/Lung-PET-CT-Dx/Lung_Dx-*"))
        names = [one.name[-5:] for one in folders if len(list(one.glob("*/*"))) == series]
        return [
            name
            for name in names
            if signed is None or _header(self.slices(name)[0]).PixelRepresentation == signed
        ]

    def slices(self, name: str) -> list[Path]:
        """Files of a patient, foot to head."""
        found = self.folder.glob(f"manifest-*/Lung-PET-CT-Dx/Lung_Dx-{name}/*/*/*")
        files = [path for path in found if path.is_file()]
        return sorted(files, key=lambda path: float(_header(path).ImagePositionPatient[2]))

    def boxes(self, name: str) -> list[Path]:
        """Annotation files of a patient."""
        return sorted((self.folder / "Annotation" / name).glob("*.xml"))

    def edit(self, name: str, change: Change) -> None:
        """Alter every slice of a patient."""
        for path in self.slices(name):
            edit_slice(path, change)

    def truth(self, name: str) -> Hu:
        """HU of a patient of one series, foot to head; asked for before anything is harmed."""
        return np.stack([true_hu(path) for path in self.slices(name)])

    @property
    def sheet(self) -> Path:
        """The clinical sheet."""
        return self.folder / SHEET_NAME

    def rows(self) -> list[dict[str, Any]]:
        """Its rows."""
        head, *rows = openpyxl.load_workbook(self.sheet).worksheets[0].iter_rows(values_only=True)
        return [dict(zip(map(str, head), row, strict=True)) for row in rows]

    def write_rows(self, rows: list[dict[str, Any]]) -> None:
        """Another sheet in its place."""
        write_sheet(self.sheet, rows)


@dataclass(frozen=True)
class Outcome:
    """What ingestion made of a tree; read from what it wrote."""

    folder: Path

    @cached_property
    def patients(self) -> dict[str, dict[str, Any]]:
        """Rows of the cohort, by patient."""
        rows = pl.read_parquet(self.folder / "cohort.parquet").iter_rows(named=True)
        return {row["patient_id"]: row for row in rows}

    @cached_property
    def excluded(self) -> dict[str, str]:
        """Patient left out -> the reason."""
        report = json.loads((self.folder / "ingest_report.json").read_text("utf-8"))
        return {one["patient_id"]: one["reason"] for one in report["excluded"]}

    @cached_property
    def files(self) -> pl.DataFrame:
        """Every file and where it ended."""
        return pl.read_parquet(self.folder / "instances.parquet")

    def codes(self, part: str) -> set[str]:
        """Codes of the files with `part` in their path."""
        return _codes(self.files.filter(pl.col("path").str.contains(part, literal=True)))

    def codes_at(self, path: str) -> set[str]:
        """Codes of the file at this path, relative to its source."""
        return _codes(self.files.filter(pl.col("path") == path))

    def boxes(self, sop_uid: str) -> list[tuple[float, float, float, float]]:
        """Corners of the boxes of a slice: x_min, y_min, x_max, y_max."""
        table = pl.read_parquet(self.folder / "boxes.parquet").filter(pl.col("sop_uid") == sop_uid)
        return table.select("x_min", "y_min", "x_max", "y_max").rows()

    def volume(self, name: str) -> Hu:
        """The cached volume of a patient."""
        (path,) = self.folder.glob(f"volumes/*/{self.patients[name]['volume']}.npy")
        volume: Hu = np.load(path)
        return volume

    def is_exact(self, name: str, truth: Hu, spacing_z_mm: float = 5.0) -> bool:
        """Whether the patient's volume is the true one, in order and at its spacing."""
        if name not in self.patients:
            return False
        same = np.array_equal(self.volume(name), truth)
        return same and abs(self.patients[name]["spacing_z_mm"] - spacing_z_mm) < 1e-3

    def words(self, name: str) -> set[str]:
        """Codes of a patient: its flags, or why it was left out."""
        if name in self.excluded:
            return {self.excluded[name]}
        return set(self.patients[name]["qc_flags"]) if name in self.patients else set()


def _codes(files: pl.DataFrame) -> set[str]:
    return {*files["reason"].drop_nulls(), *files["verdict"].drop_nulls()}


def read(tree: Tree, out: Path) -> Outcome:
    """Ingest a tree at the side of its slices."""
    ingest([tree.folder], out, in_plane_px=SIDE, workers=1)
    return Outcome(out)
