"""Sections on what was planned: the question, how patients were split, and what was searched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmstudy.analysis.filters import as_text
from mmstudy.analysis.flow import crossings
from mmstudy.analysis.optimism import judged_on
from mmstudy.analysis.overview import overview
from mmstudy.analysis.reach import foreign_probe, probed, probed_rows
from mmstudy.errors import MMStudyError
from mmstudy.report.study.blocks import Block, Section, Words
from mmstudy.report.study.evidence import NO_COHORT, Evidence
from mmstudy.report.table import Table
from mmstudy.storage.about import Searched
from mmstudy.study import Study

__all__ = ["allowed", "protocol", "question", "search"]

_SECTIONS = ("data", "model", "train")  # of a spec: what a trial is built from
_MOST_SETTINGS = 200
_TOLD_ELSEWHERE = ("search.warm_start", "search.enqueue")  # under provenance
_DRAWN = (
    "The split was made once, before the first trial, from the seeds below, and every trial was "
    "validated on the same folds. Classes are stratified."
)
_PAPER43 = (
    "The test patients are the published network's own 43. Of the others 37 validate, as many as "
    "the authors had; which ones these were is not published, so they were drawn by the seed "
    "below. Every trial was validated on the same patients."
)


def question(evidence: Evidence) -> Section:
    """What the study asks, and how far it came."""
    study = evidence.study
    now = overview(study, evidence.trials)
    counts = ", ".join(f"{count} {state}" for state, count in now.counts.items() if count)
    state = "a driver is running it now" if study.live() else "no driver is running it"
    blocks: list[Block] = [
        Words(study.question or "The study states no question."),
        Words(
            f"A hyperparameter study of the network {study.about.network}, which tells squamous-"
            "cell carcinoma from adenocarcinoma of the lung. The outcome is the class that the "
            "collection gives a patient; squamous counts as positive. "
            f"Trials asked for: {now.asked}; begun: {counts or 'none'}. At this moment {state}."
        ),
    ]
    if study.live():
        blocks.append(Words("The study goes on: figures below are those of now.", "warning"))
    blocks += [Words(fault, "warning") for fault in evidence.faults]
    blocks.append(
        Words("For research only. Nothing here may guide the care of a patient.", "warning")
    )
    return Section(name="question", title="Question", blocks=tuple(blocks))


def protocol(evidence: Evidence) -> Section:
    """How patients were split, and by which seeds."""
    about = evidence.study.about
    rows = [*_flat("protocol", about.written.get("protocol")), *_flat("", _seeds(evidence))]
    table = Table.of(rows, keys=("setting", "value"))
    told = [
        _PAPER43 if about.protocol == "paper43" else _DRAWN,
        "Test patients were set aside before the search began and are in no fold."
        if about.split.test
        else "No patient was set aside for testing: every figure below is of validation patients.",
        _borders(evidence),
        "A trial's value is the mean AUROC over folds at one epoch, the same for all folds, where "
        "that mean is highest.",
    ]
    captioned = Table(columns=table.columns, blocks=table.blocks, caption="Protocol and seeds.")
    words = [Words(text) for text in told]
    return Section(name="protocol", title="Protocol", blocks=(*words, captioned))


def _borders(evidence: Evidence) -> str:
    if evidence.patients is None:
        return (
            "One patient under two ids stays on one side of every border, by the program; this was "
            f"not checked again here: {NO_COHORT}."
        )
    crossed = crossings(evidence.study.about.split, evidence.patients)
    groups = evidence.patients["group_id"].n_unique()
    return (
        f"Checked for this report: of {groups} groups (one patient, under one id or several) "
        f"{crossed or 'none'} stand{'s' * (crossed < 2)} on both sides of a border between "
        "training, validation and test."
    )


def _seeds(evidence: Evidence) -> dict[str, Any]:
    """Of the sampler and of training."""
    search = evidence.study.about.written.get("search")
    seed = search.get("seed") if isinstance(search, Mapping) else None
    seeds = evidence.trials["seed"].unique().sort().to_list()
    shown = ", ".join(map(str, seeds[:3])) + (", ..." if len(seeds) > 3 else "")
    return {
        "seed of the sampler": seed,
        "seeds of training": f"{len(seeds)}, one per trial: {shown}" if seeds else None,
    }


def search(evidence: Evidence) -> Section:
    """What could vary, who proposed it, and what became of the trials."""
    about = evidence.study.about
    written = {name: about.written.get(name) for name in ("search", "pruning")}
    how = [row for name, of in written.items() for row in _flat(name, of)]
    now = overview(evidence.study, evidence.trials)
    states = [{"state": state, "trials": count} for state, count in now.counts.items()]
    states.append({"state": "infeasible: broke a constraint, never ran", "trials": now.infeasible})
    judged = judged_on(evidence.study) if evidence.best is not None else ""
    blocks: list[Block] = [
        _captioned(_space(evidence), "Searched settings."),
        _captioned(Table.of(how, keys=("setting", "value")), "Who proposed trials, and pruning."),
        _captioned(Table.of(states), "Trials by how they ended."),
        _captioned(_fixed(evidence), "All settings: fixed, or searched, and those of the best."),
    ]
    blocks += _probed(evidence.study)
    if judged:
        blocks.append(Words(judged))
    absent = "" if not evidence.trials.is_empty() else "no trial has begun"
    return Section(name="search", title="Search", blocks=tuple(blocks), absent=absent)


def _probed(study: Study) -> list[Block]:
    """What each setting can move, where `mmstudy probe` has measured it."""
    try:
        found, words = study.probe(), foreign_probe(study)
        if found is None:
            return [Words("No probe was made: what each setting can move is not known.", "remark")]
        shown = ("setting", "low", "high", "share", "share_low", "share_high", "says")
        rows = [{name: row[name] for name in shown} for row in probed_rows(found)]
        table = Table.of(rows, keys=shown)
        caption = "What each searched setting moves, beside another seed. " + " ".join(
            probed(found)
        )
    except MMStudyError as error:
        return [Words(f"The probe is not shown. {error}", "remark")]
    return [*([Words(words, "warning")] if words else []), _captioned(table, caption)]


def _captioned(table: Table, caption: str) -> Table:
    return Table(columns=table.columns, blocks=table.blocks, caption=caption)


def _space(evidence: Evidence) -> Table:
    rows = [
        {"setting": path, "may be": allowed(of)} for path, of in evidence.study.about.space.items()
    ]
    return Table.of(rows, keys=("setting", "may be"))


def allowed(of: Searched) -> str:
    """What a searched setting may be, in words."""
    bounds = of.real or of.whole
    if bounds is None:
        return "one of " + ", ".join(map(as_text, of.choice))
    kind = "whole numbers" if of.whole else "numbers"
    scale = ", on a log scale" if of.log else ""
    return f"{kind} from {as_text(bounds[0])} to {as_text(bounds[1])}{scale}"


def _fixed(evidence: Evidence) -> Table:
    about, best = evidence.study.about, evidence.best or {}
    rows = []
    for section in _SECTIONS:
        for row in _flat(section, about.written.get(section)):
            path = row["setting"]
            searched = path in about.space
            chosen = best.get(f"param:{path}") if searched else row["value"]
            rows.append(
                {
                    "setting": path,
                    "spec": "searched" if searched else row["value"],
                    "best trial": as_text(chosen) if best else None,
                }
            )
    return Table.of(rows[:_MOST_SETTINGS], keys=("setting", "spec", "best trial"))


def _flat(name: str, value: Any) -> list[dict[str, Any]]:
    """Every leaf below a section of the spec; where files lie is nobody's business."""
    return [
        {"setting": path, "value": "[path]" if _is_way(of) else as_text(_given(of))}
        for path, of in _leaves(name, value)
        if path not in _TOLD_ELSEWHERE
    ]


def _given(value: Any) -> Any:
    """A list of tables without what they leave open."""
    if not isinstance(value, list):
        return value
    return [
        {key: part for key, part in of.items() if part is not None} if isinstance(of, dict) else of
        for of in value
    ]


def _is_way(value: Any) -> bool:
    return isinstance(value, str) and ("/" in value or "\\" in value)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, of in value.items():
            yield from _leaves(f"{path}.{key}".strip("."), of)
    elif path:
        yield path, value
