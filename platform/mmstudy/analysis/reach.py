"""What a probe found, as rows and sentences: which settings can be told from another seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mmstudy.storage.parquet import decoded
from mmstudy.storage.schema import Probe, ProbeRow, Text
from mmstudy.study import Study

__all__ = ["foreign_probe", "meaning", "probed", "probed_rows", "reach_columns"]

_HALF = 0.5  # of what a seed does: a quarter of its variance

_NOISE = "moves less than half of what a seed does: a search over it mostly finds noise"
_ACTS = "moves predictions the same way at every seed"
_DRAWN = "cannot be told from what a seed does"
_FEW = "too few seeds for an interval"


def probed_rows(found: Probe) -> list[dict[str, Any]]:
    """One row per searched setting, what moves most first; shares are fractions."""
    rows = sorted(found.rows, key=lambda row: -(row.share if row.share is not None else -1.0))
    return [
        {
            "setting": row.setting,
            "low": row.low,
            "high": row.high,
            "moved": row.moved,
            "by_seed": row.by_seed,
            "share": row.share,
            "share_low": row.share_low,
            "share_high": row.share_high,
            "steady": row.steady,
            "steady_low": row.steady_low,
            "steady_high": row.steady_high,
            "n": found.n,
            "seeds": row.seeds,
            "epochs": found.epochs,
            "says": meaning(row),
        }
        for row in rows
    ]


def reach_columns(
    rows: Sequence[Mapping[str, Any]] | None, found: Probe | None
) -> list[dict[str, Any]]:
    """Rows of importance, each with what a probe says of its setting; its rows alone without any.

    Args:
        rows: of `mmstudy.importance`, if it can say anything.
        found: the study's probe, if there is one.
    """
    if found is None:
        return [dict(row) for row in rows or ()]
    probed = {
        row["setting"]: {
            "moves": row["share"],
            "moves_low": row["share_low"],
            "moves_high": row["share_high"],
            "probe_says": row["says"],
        }
        for row in probed_rows(found)
    }
    if rows is None:
        return [{"setting": name, **of} for name, of in probed.items()]
    none = dict.fromkeys(("moves", "moves_low", "moves_high", "probe_says"))
    return [{**row, **probed.get(row["setting"], none)} for row in rows]


def meaning(row: ProbeRow) -> str:
    """What may be said of one setting, in words.

    >>> row = ProbeRow(setting="a", low="1", high="2", share=0.1, share_high=0.2, steady_low=0.0)
    >>> meaning(row)
    'moves less than half of what a seed does: a search over it mostly finds noise'
    """
    if row.share is None:
        return row.fault or "nothing moves, not even by another seed"
    if row.share == 0:
        return "moves nothing at all"
    if row.share_high is None or row.steady_low is None:
        return _FEW
    if row.share_high < _HALF:
        return _NOISE
    return _ACTS if row.steady_low > 0 else _DRAWN


def probed(found: Probe) -> list[str]:
    """How to read the rows of a probe.

    Raises:
        MMStudyError: its base point is damaged.
    """
    at = decoded(found.base, dict[Text, Any], source="The base point of probe.json")
    base = ", ".join(f"{path} {json.dumps(value)}" for path, value in at.items())
    return [
        f"share: root mean square difference of the logits of {found.n} held-out patients between "
        "a setting's two extremes at one seed, over the same between two seeds; fold 0, after "
        f"{found.epochs} epochs. Intervals are over seeds: 95 %, jackknife.",
        "steady: the part of it that every seed shares. What changes which weights there are draws "
        "others at the same seed, so its share begins near 1 and its steady part near 0.",
        f"All else is held at {base}.",
    ]


def foreign_probe(study: Study) -> str | None:
    """Why the study's probe is not of what the study searches; None where it is, or is none.

    Raises:
        MMStudyError: the probe's file is damaged.
    """
    found = study.probe()
    if found is None:
        return None
    same_patients = found.cohort_digest == study.about.cohort_digest
    if same_patients and found.spec == study.about.spec.digest(epochs=False):
        return None
    other = "another spec" if same_patients else "other patients"
    return f"probe.json of {study.name} is of {other}: `mmstudy probe` measures it again."
