"""A tree that is harmed once at a time, and what is read of it then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmcaf.errors import DataError
from mutations.truth import Box, Stack, drawn_boxes, lesion_of, true_stacks
from support.true_tree import Outcome, Tree, read

__all__ = ["CLINICAL", "Bench", "Found"]

CLINICAL = ("label", "class", "sex", "age_years", "weight_kg", "t_ord", "n_ord", "m_ord", "smoker")
_SPACING = ("spacing_z_mm", "spacing_y_mm", "spacing_x_mm")
_NEAR = 1e-3  # of a spacing
_SAME = 2e-3  # of a side: boxes are kept to a tenth of a pixel


@dataclass
class Found:
    """What was read of a harmed tree; `stopped` is why nothing was."""

    outcome: Outcome
    stopped: str | None = None
    crashed: str | None = None


@dataclass
class Bench:
    """One unharmed tree, the cohort read of it, and a copy of each to be harmed.

    Args:
        folder: where all of it lies.
        spec: of the tree.
        flat: whether slices lie in one folder under names that say nothing.
    """

    folder: Path
    spec: SyntheticSpec
    flat: bool = False
    stacks: list[Stack] = field(default_factory=list)
    boxes: dict[str, list[Box]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        write(self.tree, self.spec)
        if self.flat:
            self._flatten()
        self.stacks = true_stacks(self.tree)
        self.boxes = drawn_boxes(self.tree / "Annotation")
        self.clean = read(Tree(self.tree), self.folder / "clean")
        self.rows = Tree(self.tree).rows()

    @property
    def tree(self) -> Path:
        return self.folder / "tree"

    @property
    def patients(self) -> list[str]:
        return sorted({stack.patient for stack in self.stacks})

    def _flatten(self) -> None:
        files = sorted(self.tree.rglob("*.dcm"), key=lambda path: path.read_bytes()[-64:])
        (self.tree / "images").mkdir()
        for number, path in enumerate(files):
            path.rename(self.tree / "images" / f"{number:04d}.dcm")
        for path in self.tree.glob("manifest-*"):
            shutil.rmtree(path)

    @contextmanager
    def harmed(self, files: Mapping[Path, bytes | None]) -> Iterator[Found]:
        """Write other contents (None: no such file), read, and put everything back.

        Args:
            files: by their place in the tree; what is new there is removed afterwards.
        """
        before = {path: path.read_bytes() if path.exists() else None for path in files}
        times = {path: path.stat() for path, content in before.items() if content is not None}
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(self.clean.folder, out)  # all but the edited files is known already
        try:
            _write(files)
            yield self._read(out)
        finally:
            _write(before)
            for path, status in times.items():
                os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _read(self, out: Path) -> Found:
        try:
            return Found(read(Tree(self.tree), out))
        except DataError as error:
            return Found(Outcome(out), stopped=str(error))
        except Exception as error:  # whatever a reader raises is what is looked for
            return Found(Outcome(out), crashed=f"{type(error).__name__}: {error}")

    def image_fault(self, found: Outcome, name: str) -> str | None:
        """What is wrong of a patient's volume, its order or its spacing; None if it is exact."""
        row, volume = found.patients[name], found.volume(name)
        same = [s for s in self._of(name) if np.array_equal(volume, s.hu)]
        if not same:
            return self._difference(volume, name)
        wrong = []
        for column, true in zip(_SPACING, same[0].spacing_mm, strict=True):
            if abs(row[column] - true) > _NEAR * true:
                wrong.append(f"{column} {row[column]:.5g}, not {true:.5g}")
        return "; ".join(wrong) or None

    def _of(self, name: str) -> list[Stack]:
        return [stack for stack in self.stacks if stack.patient == name]

    def _difference(self, volume: Any, name: str) -> str:
        alike = [stack for stack in self._of(name) if stack.hu.shape == volume.shape]
        if not alike:
            return f"{len(volume)} slices of {len(self._of(name)[0].hu)}"
        apart = min((np.abs(volume.astype(int) - one.hu) for one in alike), key=np.sum)
        slices = np.flatnonzero(apart.reshape(len(apart), -1).max(1))
        return f"{apart.max()} HU off, {(apart > 0).sum()} voxels of {len(slices)} slices"

    def lesion_fault(
        self, found: Outcome, name: str, boxes: Mapping[str, list[Box]] | None = None
    ) -> str | None:
        """What is wrong of a lesion's place, given the boxes there are now."""
        row, volume = found.patients[name], found.volume(name)
        same = [s for s in self._of(name) if np.array_equal(volume, s.hu)] or self._of(name)
        faults = []
        for stack in same:
            true = lesion_of(stack, self.boxes if boxes is None else boxes)
            wrong = [
                f"{column} {row[column]}, not {value:.4g}"
                for column, value in true.items()
                if row[column] is None or abs(row[column] - value) > _SAME
            ]
            if not wrong:
                return None
            faults.append("; ".join(wrong))
        return faults[0]

    def clinical_faults(self, found: Outcome, name: str) -> dict[str, str]:
        """Column -> what it says now that it did not say before."""
        before, now = self.clean.patients[name], found.patients[name]
        return {
            column: f"{column} {now[column]}, not {before[column]}"
            for column in CLINICAL
            if now[column] != before[column]
        }

    def words(self, found: Outcome, name: str) -> set[str]:
        """Codes of a patient that the unharmed tree does not have."""
        return found.words(name) - self.clean.words(name)


def _write(files: Mapping[Path, bytes | None]) -> None:
    for path, content in files.items():
        if content is None:
            path.unlink(missing_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
