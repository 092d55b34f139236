"""Everything the collection is known, or feared, to do to a reader, done to a synthetic cohort.

Each fault strikes a patient of its own and names the code in which it must end; None stands for a
peculiarity that must change nothing. Patients with a second series are never struck.
"""

from __future__ import annotations

from pathlib import Path

import openpyxl

# Importing these enters their faults into `FAULTS`.
from mmcaf.data.synthetic.faults import files, pixels, stacks, tables, values  # noqa: F401
from mmcaf.data.synthetic.faults.victim import FAULTS, Victim
from mmcaf.data.synthetic.write import SHEET_NAME, write_sheet

__all__ = ["FAULTS", "patients_needed", "strike"]


def patients_needed() -> int:
    """How many patients a cohort needs for every fault to find one of its own."""
    return len(FAULTS) * 3 // 2 + 6


def strike(tree: Path) -> dict[str, str]:
    """Do every fault to a tree that `synthetic.write` wrote as `plain`; fault -> its patient.

    Raises:
        ValueError: there are too few patients with one series.
    """
    path = tree / SHEET_NAME
    head, *rows = openpyxl.load_workbook(path).worksheets[0].iter_rows(values_only=True)
    sheet = {str(row[1]): dict(zip(map(str, head), row, strict=True)) for row in rows}
    folders = tree.glob("manifest-*/Lung-PET-CT-Dx/Lung_Dx-*")
    single = sorted(f.name[-5:] for f in folders if len(list(f.glob("*/*"))) == 1)
    if len(single) < len(FAULTS):
        raise ValueError(
            f"{len(FAULTS)} faults need as many patients with one series, got {len(single)}; "
            f"write at least {patients_needed()} patients."
        )
    victims = dict(zip(FAULTS, single, strict=False))
    for fault, name in victims.items():
        FAULTS[fault].strike(Victim(tree, name, sheet))
    write_sheet(path, list(sheet.values()))
    return victims
