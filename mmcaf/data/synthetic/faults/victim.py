"""What a fault is, and the patient it strikes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmcaf.data.synthetic.write import edit_slice

__all__ = ["FAULTS", "Fault", "Victim", "fault", "keeping", "setting"]

Change = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Victim:
    """One patient of the tree."""

    tree: Path
    name: str
    sheet: dict[str, dict[str, Any]]  # patient -> row, to be changed in place

    @property
    def slices(self) -> list[Path]:
        """Files of the only series, foot to head."""
        found = self.tree.glob(f"manifest-*/Lung-PET-CT-Dx/Lung_Dx-{self.name}/*/*/1-*.dcm")
        return sorted(found, reverse=True)

    @property
    def boxes(self) -> list[Path]:
        """Annotation files."""
        return sorted((self.tree / "Annotation" / self.name).glob("*.xml"))

    def edit(self, change: Change, *which: int) -> None:
        """Alter the slices of these numbers, or all of them."""
        slices = self.slices
        for number in which or range(len(slices)):
            edit_slice(slices[number], change)

    def add(self, change: Change, name: str, series: str, source: int = 0, times: int = 1) -> None:
        """New slices with UIDs of their own, each an altered copy."""
        folder = self.slices[source].parents[1] / name
        for number in range(times):

            def altered(slice_: Any, number: int = number) -> None:
                slice_.SOPInstanceUID = f"{slice_.SOPInstanceUID}.{series}.{number}"
                slice_.SeriesInstanceUID = f"{slice_.SeriesInstanceUID}.{series}"
                change(slice_)

            edit_slice(self.slices[source], altered, folder / f"{number + 1}.dcm")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, and the code in which it must end (a file's, a patient's, or no code at all)."""

    code: str | None
    strike: Callable[[Victim], None]


FAULTS: dict[str, Fault] = {}


def fault(code: str | None) -> Callable[[Callable[[Victim], None]], Callable[[Victim], None]]:
    """Enter a function into `FAULTS`, under its own name."""

    def register(strike_: Callable[[Victim], None]) -> Callable[[Victim], None]:
        FAULTS[strike_.__name__.strip("_")] = Fault(code, strike_)
        return strike_

    return register


def setting(**values: Any) -> Change:
    """A change that sets attributes, by their DICOM keywords."""

    def change(slice_: Any) -> None:
        for name, value in values.items():
            setattr(slice_, name, value)

    return change


def keeping(slice_: Any) -> None:
    """Change nothing."""
