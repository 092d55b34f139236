"""Sections on patients: who came in and who did not, and who they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmcaf.stats.metrics import Proportion
from mmstudy.analysis.cases import CLASSES
from mmstudy.analysis.characteristics import (
    LEAST,
    Line,
    Part,
    Quartiles,
    characteristics,
    parts_of,
)
from mmstudy.analysis.flow import Flow, Group, flow_of
from mmstudy.report.study.blocks import Block, Figure, Section, Words
from mmstudy.report.study.evidence import NO_COHORT, Evidence
from mmstudy.report.study.flowchart import Box, Flowchart
from mmstudy.report.table import Block as Rows
from mmstudy.report.table import Column, Table

__all__ = ["cohort_flow", "table_one"]

_MOST_REASONS = 10  # codes that have a line of the chart; the table has all


def cohort_flow(evidence: Evidence) -> Section:
    """The way of patients, as a chart and in words."""
    study = evidence.study
    split, n = study.about.split, study.about.n_cases
    flow = flow_of(split, n, evidence.labels, evidence.seen)
    looks = study.evaluations().height
    boxes = _boxes(flow, looks)
    said = " ".join(_sentence(lines) for box in boxes for lines in (box.left, box.lines) if lines)
    chart = Flowchart(tuple(boxes), f"Flow of patients. {said}")
    blocks: list[Block] = [Figure("Flow of patients", said, chart)]
    if flow.left_out:
        blocks.append(_left_out(flow))
    if evidence.patients is not None and (made := int(evidence.patients["synthetic"].sum())) > 0:
        blocks.append(Words(f"{made} of the {_patients(n)} are synthetic.", "warning"))
    absent = "" if evidence.seen else _unseen(evidence)
    if absent:
        blocks.append(Words(f"Who was left out before is not shown: {absent}.", "warning"))
    elif evidence.seen and evidence.seen.unknown_ids.files:
        unknown = evidence.seen.unknown_ids
        blocks.append(
            Words(
                f"{unknown.files} images of {unknown.studies} examinations named no patient of the "
                "collection; whose they are is not known, and they are in no count above."
            )
        )
    return Section(name="flow", title="Flow of patients", blocks=tuple(blocks), absent=absent)


def _sentence(lines: Sequence[str]) -> str:
    first, *rest = lines
    return f"{first} ({'; '.join(rest)})." if rest else f"{first}."


def _unseen(evidence: Evidence) -> str:
    if evidence.cohort is None:
        return NO_COHORT
    return "the cohort's folder holds no report of the ingestion that made it"


def _boxes(flow: Flow, looks: int) -> list[Box]:
    boxes = []
    left: tuple[str, ...] = ()
    if flow.seen is not None:
        boxes.append(Box((f"Seen by the ingestion: {_patients(flow.seen)}",)))
        reasons = flow.left_out
        gone = sum(count for *_, count in reasons)
        shown = [f"{code}: {count}" for code, _, count in reasons[:_MOST_REASONS]]
        shown += [f"{len(reasons) - _MOST_REASONS} more reasons"][: len(reasons) > _MOST_REASONS]
        left = (f"Left out: {_patients(gone)}", *shown)
    boxes.append(Box((f"In the cohort: {_counted(flow.cohort)}",), left))
    aside: tuple[str, ...] = ()
    if flow.test.n:
        seen = "never looked at" if not looks else f"looked at {looks} times by this study"
        aside = (f"Set aside for testing: {_counted(flow.test)}", seen.replace("1 times", "once"))
    boxes.append(Box((f"In the search: {_counted(flow.search)}",), aside))
    boxes.append(Box(tuple(_folds(flow))))
    return boxes


def _folds(flow: Flow) -> list[str]:
    count = len(flow.folds)
    train, val = zip(*flow.folds, strict=True)
    return [
        f"{count} fold{'s' * (count != 1)}",
        f"trained on {_range(train)} in each",
        f"validated on {_range(val)} in each",
    ]


def _range(groups: Sequence[Group]) -> str:
    sizes = sorted(group.n for group in groups)
    n = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
    known = [group.positives for group in groups if group.positives is not None]
    if len(known) < len(groups):
        return f"{n} patients"
    low, high = min(known), max(known)
    return f"{n} patients ({low if low == high else f'{low} to {high}'} squamous)"


def _patients(n: int) -> str:
    return f"{n} patient{'s' * (n != 1)}"


def _counted(group: Group) -> str:
    if group.positives is None:
        return f"{_patients(group.n)}, classes not known here"
    return (
        f"{_patients(group.n)} ({group.positives} squamous, {group.n - group.positives} "
        "adenocarcinoma)"
    )


def _left_out(flow: Flow) -> Table:
    rows = [
        {"code": code, "patients": count, "meaning": meaning or None}
        for code, meaning, count in flow.left_out
    ]
    return Table(
        columns=(Column("patients"), Column("code"), Column("meaning")),
        blocks=(Rows("", tuple(rows)),),
        caption="Patients left out, by the commonest reason among each one's files.",
    )


def table_one(evidence: Evidence) -> Section:
    """Table 1: by split and class, with what is missing."""
    title, patients = "Patients (Table 1)", evidence.patients
    if patients is None:
        told = Words(f"Not shown: {NO_COHORT}.", "warning")
        return Section(name="patients", title=title, blocks=(told,), absent=NO_COHORT)
    parts = parts_of(patients, evidence.study.about.split)
    of_paper = evidence.study.about.protocol == "paper43"  # whose test patients were not drawn
    why = "" if of_paper else ": search and test were drawn at random within classes"
    table = Table(
        columns=(Column("what", "Characteristic"), *_columns(parts)),
        blocks=tuple(_blocks(characteristics(parts), parts)),
        caption="Median [quartiles] of known values; patients of those known, with the share. "
        f"Without p values{why}.",
    )
    remark = Words(
        f"Quartiles of fewer than {LEAST} known values would be those of single patients and are "
        "not told. Stages are those of the clinical sheet; sizes are of the annotated boxes. "
        "Missing values are set to the training fold's median before a network reads them.",
        "remark",
    )
    return Section(name="patients", title=title, blocks=(table, remark))


def _columns(parts: Sequence[Part]) -> list[Column]:
    return [
        Column(str(i), f"{part.side}, {CLASSES[part.label]} (n = {part.patients.height})")
        for i, part in enumerate(parts)
    ]


def _blocks(lines: Sequence[Line], parts: Sequence[Part]) -> list[Rows]:
    blocks = []
    for name in dict.fromkeys(line.name for line in lines):
        rows = [_row(line, len(parts)) for line in lines if line.name == name]
        blocks.append(Rows(name, tuple(rows)))
    return blocks


def _row(line: Line, parts: int) -> dict[str, Any]:
    what = line.level or "median [quartiles]"
    cells = {str(i): _cell(line.cells[i], missing=line.level == "missing") for i in range(parts)}
    return {"what": what, **cells}


def _cell(cell: Quartiles | Proportion, *, missing: bool) -> str:
    if isinstance(cell, Proportion):
        if not cell.total or missing:
            return str(cell.hits)
        return f"{cell.hits} of {cell.total} ({float(cell):.0%})"
    if cell.median is None:
        return f"- ({cell.known} known)"
    return f"{cell.median:.3g} [{cell.low:.3g}, {cell.high:.3g}]"
