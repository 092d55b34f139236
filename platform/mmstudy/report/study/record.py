"""Sections on how it was computed: what failed, with which code and machines, who looked where."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from typing import Any

import polars as pl

from mmcaf.errors import DataError
from mmcaf.files.untrusted import decode
from mmstudy.provenance import code_version, versions
from mmstudy.report.cells import Measure
from mmstudy.report.study.blocks import Block, Section, Words
from mmstudy.report.study.evidence import Evidence
from mmstudy.report.study.hide import Hide
from mmstudy.report.table import Block as Rows
from mmstudy.report.table import Column, Table
from mmstudy.storage.schema import State

__all__ = ["environment", "failures", "provenance"]

_MOST_REASON = 300  # signs
_MOST_NUMBERS = 12  # trials named for one reason
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_COLUMNS = {
    "code_version": "code version",
    "hardware": "hardware",
    "device": "device",
    "threads": "threads of one process",
    "cohort_digest": "digest of the cohort",
}


def failures(evidence: Evidence) -> Section:
    """Why trials failed or were stopped, grouped by reason."""
    blocks: list[Block] = []
    for state, words in ((State.FAIL, "failed"), (State.PRUNED, "were stopped early")):
        of = evidence.trials.filter(pl.col("state") == state)
        if of.is_empty():
            blocks.append(Words(f"No trials {words}."))
        else:
            caption = f"Why {of.height} trials {words}, by reason."
            blocks.append(_reasons(of, evidence.hide, caption))
    running = evidence.trials.filter(pl.col("state") == State.RUNNING).height
    if running and not evidence.study.live():
        blocks.append(
            Words(f"{running} trials had not ended when their driver ended; they have no value.")
        )
    return Section(name="failures", title="Failures", blocks=tuple(blocks))


def _reasons(trials: pl.DataFrame, hide: Hide, caption: str) -> Table:
    """Reasons that differ in numbers alone are one; a name is hidden while it is still whole."""
    grouped: dict[str, list[int]] = {}
    for number, reason in trials.sort("number").select("number", "reason").iter_rows():
        text = _NUMBER.sub("…", hide(reason or "no reason was recorded"))[:_MOST_REASON]
        grouped.setdefault(text, []).append(number)
    rows = [
        {"trials": len(numbers), "reason": text, "numbers": _listed(numbers)}
        for text, numbers in sorted(grouped.items(), key=lambda item: -len(item[1]))
    ]
    return Table(
        columns=(Column("trials"), Column("reason"), Column("numbers", "numbers of trials")),
        blocks=(Rows("", tuple(rows)),),
        caption=caption,
    )


def _listed(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:_MOST_NUMBERS]))
    return shown + (", ..." if len(numbers) > _MOST_NUMBERS else "")


def provenance(evidence: Evidence) -> Section:
    """What computed the trials, on which data, and every look at the test set."""
    study, trials = evidence.study, evidence.trials
    rows = [row for column, words in _COLUMNS.items() for row in _values(trials, column, words)]
    rows += _packages(trials)
    rows.append(
        {
            "what": "cohort the study was begun on",
            "value": study.about.cohort_digest,
            "trials": None,
        }
    )
    table = Table(
        columns=(Column("what"), Column("value"), Column("trials")),
        blocks=(Rows("", tuple(rows)),),
        caption="What the trials were computed with, and how many of them.",
    )
    return Section(
        name="provenance",
        title="Provenance",
        blocks=(table, *_looks(evidence), *_sources(evidence)),
    )


def _values(trials: pl.DataFrame, column: str, words: str) -> list[dict[str, Any]]:
    counts = Counter(trials[column].drop_nulls().to_list())
    return [
        {"what": words, "value": str(value), "trials": count}
        for value, count in sorted(counts.items(), key=lambda item: -item[1])
    ]


def _packages(trials: pl.DataFrame) -> list[dict[str, Any]]:
    counts: Counter[tuple[str, str]] = Counter()
    for text in trials["versions"].drop_nulls():
        with suppress(DataError):  # a damaged cell says nothing
            found = decode(text.encode(), dict[str, str], source="versions", remedy="")
            counts.update(found.items())
    return [
        {"what": f"version of {name}", "value": version, "trials": count}
        for (name, version), count in sorted(counts.items())
    ]


def _looks(evidence: Evidence) -> list[Block]:
    test, looks = evidence.study.about.split.test, evidence.study.evaluations()
    if not test:
        return [Words("The study has no test set.")]
    if looks.is_empty():
        return [Words(f"Nobody looked at the {len(test)} test patients with this study.")]
    rows = [
        {
            "look": row["look"],
            "trial": row["number"],
            "n": f"{row['n']} ({row['n_positive']} squamous)",
            "auroc": Measure(row["auroc"], row["auroc_low"], row["auroc_high"]),
            "code": row["code_version"],
        }
        for row in looks.to_dicts()
    ]
    return [
        Table(
            columns=(
                Column("look"),
                Column("trial"),
                Column("n", "test patients"),
                Column("auroc", "AUROC [95 %]"),
                Column("code", "code version"),
            ),
            blocks=(Rows("", tuple(rows)),),
            caption="Every look of this study at its test set.",
        )
    ]


def _sources(evidence: Evidence) -> list[Block]:
    """Who else looked at the test patients, and what the search began with."""
    if evidence.compared is not None:
        chosen = evidence.compared.selection
        return [Words(text) for text in (chosen.sentence, chosen.looks.sentence, *chosen.notes)]
    search = evidence.study.about.written.get("search")
    given = search if isinstance(search, dict) else {}
    said = []
    if given.get("warm_start"):
        said.append("The search began from the trials of another study (warm start).")
    if given.get("enqueue"):
        said.append("Points were given to be tried first (enqueue).")
    return [Words(one) for one in said] or [
        Words("The search began from nothing: no warm start, no point given beforehand.")
    ]


def environment(evidence: Evidence) -> Section:
    """What this report was made with, and what the computing cost."""
    hours = evidence.study.hours()
    rows = [{"what": f"version of {name}", "value": of} for name, of in versions().items()]
    rows.append({"what": "code version", "value": code_version()})
    spent = [{"what": f"hours, {name}", "value": f"{of:.2f}"} for name, of in hours.items()]
    tables = {
        "What this report was made with; the trials' own versions stand under provenance.": rows,
        "Hours of computing: in all, on GPUs, and by what became of the trials.": spent,
    }
    blocks = tuple(
        Table(
            columns=(Column("what"), Column("value")),
            blocks=(Rows("", tuple(of)),),
            caption=caption,
        )
        for caption, of in tables.items()
    )
    return Section(name="environment", title="Environment", blocks=blocks)
