"""The rows of the benchmark: one network of the paper each, with where it was published."""

from __future__ import annotations

from dataclasses import dataclass

from mmstudy.errors import UsageError
from mmstudy.spec.sections import nearest

__all__ = ["REFERENCE", "ROWS", "STATE_FILE", "Entry", "study_name", "wanted_rows"]

REFERENCE = "mmcaf_net"
"""The row all others are tested against."""


STATE_FILE = "benchmark.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that can be asked for; its search space is `search_spaces/models/<key>.yaml`."""

    key: str
    title: str
    table: str  # where it was published; `floor`: nowhere, a network has to beat it
    published: str | None = None  # the method's name there
    needs: str | None = None  # what must be given for it to be reproducible


ROWS: dict[str, Entry] = {
    entry.key: entry
    for entry in (
        Entry("pecon", "PECon", "1", "PECon"),
        Entry("medfuse", "MedFuse", "1", "MedFuse"),
        Entry("drfuse", "DrFuse", "1", "DrFuse"),
        Entry("mmtm", "MMTM, last module", "1", "MMTM"),
        Entry("mmtm_three", "MMTM, three modules", "1", "MMTM"),
        Entry("pefusion", "PEfusion, late elastic", "1", "PEfusion"),
        Entry("pefusion_joint", "PEfusion, joint", "1", "PEfusion"),
        Entry("daft", "DAFT on the trunk", "1", "DAFT"),
        Entry("daft_shipped", "DAFT as shipped", "1", "DAFT"),
        Entry("mmcaf_net", "MMCAF-Net", "1", "MMCAF-Net"),
        Entry("sam_msca", "SAM+E3D-MSCA", "2", "SAM+E3D-MSCA", needs="SAM weights"),
        Entry("penet", "PENet", "2", "PENet"),
        Entry("penet_msca", "PENet+E3D-MSCA", "2", "PENet+E3D-MSCA"),
        Entry("penet_msca_drop", "PENet+E3D-MSCA+drop", "2", "PENet+E3D-MSCA+drop"),
        Entry("cross_attention", "Cross-Attention", "3", "Cross-Attention"),
        Entry("clip_fusion", "clip_Fusion", "3", "clip_Fusion"),
        Entry("late_fusion", "Late_Fusion", "3", "Late_Fusion"),
        Entry("msca_fusion", "MSCA_Fusion, one token", "3", "MSCA_Fusion"),
        Entry("mlp", "MLP, table alone", "readme", "MLP table encoder"),
        Entry("kan", "KAN, table alone", "readme", "KAN table encoder"),
        Entry("mmcaf_mlp", "MMCAF-Net, MLP", "readme", "MLP table encoder"),
        Entry("logistic", "Logistic regression, table", "floor"),
        Entry("lesion_box", "Lesion box size (oracle)", "floor"),
    )
}


def study_name(key: str) -> str:
    """The study of a row."""
    return f"bench-{key}"


def wanted_rows(text: str) -> tuple[str, ...]:
    """The rows that `--models` means: `all`, or names with commas between them.

    Raises:
        UsageError: a row nobody knows; names the nearest.
    """
    if text == "all":
        return tuple(ROWS)
    found = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    faults = [f"no row {name!r}.{nearest(name, ROWS)}" for name in found if name not in ROWS]
    if faults or not found:
        raise UsageError(*faults, heading=f"--models is `all` or some of {', '.join(ROWS)}:")
    return found
