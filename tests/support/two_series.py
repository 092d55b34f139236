"""Small synthetic trees whose patients have two reconstructions each, to be changed by a test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset

from mmcaf.data.synthetic.write import SyntheticSpec, edit_slice, write

__all__ = ["TwoSeries", "two_series"]

_KEYWORDS = ("SeriesInstanceUID", "ConvolutionKernel", "ImagePositionPatient")


@dataclass(frozen=True, slots=True)
class TwoSeries:
    """A patient with a soft series (B31f) and a sharp one (B70f) of one body, 5 mm apart."""

    patient: str
    tree: Path
    soft: list[Path]  # foot to head
    sharp: list[Path]

    def edit(self, paths: list[Path], **values: Any) -> None:
        """Set attributes of slices; None deletes."""

        def change(slice_: Dataset) -> None:
            for name, value in values.items():
                if value is None:
                    delattr(slice_, name)
                else:
                    setattr(slice_, name, value)

        for path in paths:
            edit_slice(path, change)

    def move(self, paths: list[Path], to_mm: Callable[[int], float]) -> None:
        """Give slices other positions along the body, by their number."""
        for number, path in enumerate(paths):
            x, y, _ = dcmread(path, stop_before_pixels=True).ImagePositionPatient
            self.edit([path], ImagePositionPatient=[x, y, round(to_mm(number), 6)])

    def named(self, soft: str, sharp: str) -> None:
        """Series UIDs, by which nothing must be decided but ties."""
        self.edit(self.soft, SeriesInstanceUID=f"1.2.3.{self.patient[1:]}.{soft}")
        self.edit(self.sharp, SeriesInstanceUID=f"1.2.3.{self.patient[1:]}.{sharp}")

    def cut(self, paths: list[Path], keep: slice) -> None:
        """Delete all slices but some."""
        for path in set(paths) - set(paths[keep]):
            path.unlink()

    def unmark(self) -> None:
        """Delete the annotations."""
        for path in (self.tree / "Annotation" / self.patient).glob("*.xml"):
            path.unlink()


def two_series(tree: Path, patients: int = 4, slices: int = 24, seed: int = 7) -> list[TwoSeries]:
    """Write a tree; of its patients a third have two series, and only they are kept."""
    write(tree, SyntheticSpec(patients=patients, size=32, slices=slices, seed=seed))
    found = []
    for folder in sorted(tree.glob("manifest-*/*/Lung_Dx-*")):
        of: dict[str, list[tuple[float, Path]]] = {}
        for path in folder.rglob("*.dcm"):
            header = dcmread(path, specific_tags=list(_KEYWORDS))
            at = float(header.ImagePositionPatient[2])
            of.setdefault(header.ConvolutionKernel, []).append((at, path))
        if len(of) == 1:
            shutil.rmtree(folder)
        else:
            soft, sharp = ([path for _, path in sorted(of[name])] for name in ("B31f", "B70f"))
            found.append(TwoSeries(folder.name[-5:], tree, soft, sharp))
    return found
