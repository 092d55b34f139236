"""Two guidelines for reporting, item by item: where the report answers it, or why it cannot.

TRIPOD+AI: Collins et al. 2024, BMJ 385:e078378, 27 items with parts. CLAIM, 2024 update: Tejani et
al. 2024, Radiology: Artificial Intelligence 6(4):e240300, 44 items. Headings are in our own words;
the wording that counts is that of the papers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmstudy.report.study.blocks import Section, Words
from mmstudy.report.table import Block as Rows
from mmstudy.report.table import Column, Table

__all__ = ["CLAIM", "TRIPOD_AI", "Item", "guideline"]


@dataclass(frozen=True, slots=True)
class Item:
    """One item: the sections that answer it, and what the authors have to add or why it is theirs.

    Without sections, `rest` is why a study cannot answer it.
    """

    number: str
    heading: str
    sections: tuple[str, ...] = ()
    rest: str = ""


_AUTHORS = "it is about the article, which the authors write"
_CLINIC = "a study records nothing of the clinic it is for"
_SOURCE = "a cohort holds images and values, not how and when its hospital gathered them"
_LABELS = "classes come with the collection, and how pathology found them is not recorded in it"
_BOXES = "a collection does not record who drew its boxes and how they agreed"
_ETHICS = "approval belongs to whoever gathered the images"
_DECISION = "interpreting is for the authors"

TRIPOD_AI = (
    Item("1", "Title", ("question",), "The title of the article is the authors' to write."),
    Item("2", "Abstract", (), _AUTHORS),
    Item("3a", "Clinical context and existing models", ("comparison",), "Context: the authors."),
    Item("3b", "Target population, purpose, users", (), _CLINIC),
    Item("3c", "Known inequalities between groups", (), _CLINIC),
    Item("4", "Objectives", ("question",)),
    Item("5a", "Sources of data", ("flow", "provenance"), "Representativeness: the authors."),
    Item("5b", "Dates of data", (), "dates of patients are kept out of studies on purpose"),
    Item("6a", "Setting and centres", (), _SOURCE),
    Item("6b", "Who was eligible", ("flow",)),
    Item("6c", "Treatments", (), _SOURCE),
    Item("7", "Preparing data, quality checks", ("flow", "search")),
    Item("8a", "Outcome: what and how", ("question",), "How pathology decided: the authors."),
    Item("8b", "Assessors of the outcome", (), _LABELS),
    Item("8c", "Blinding to predictors", (), _LABELS),
    Item("9a", "Choice of predictors", ("search",)),
    Item("9b", "Definition of predictors", ("patients", "search")),
    Item("9c", "Assessors of predictors", (), _BOXES),
    Item("10", "Size of the study", ("flow", "comparison"), "A calculation beforehand: none."),
    Item("11", "Missing data", ("patients",)),
    Item("12a", "Use of data, partitions", ("protocol", "flow")),
    Item("12b", "Form of predictors", ("patients", "search")),
    Item("12c", "Kind of model, building, tuning, internal validation", ("search", "protocol")),
    Item(
        "12d", "Differences between clusters", (), "a cohort does not say from which centre it is"
    ),
    Item("12e", "Measures of performance", ("results", "performance", "comparison")),
    Item("12f", "Updating the model", (), "nothing was updated: each trial trains anew"),
    Item("12g", "How predictions are computed", ("search", "performance")),
    Item("13", "Class imbalance", ("patients", "performance", "search")),
    Item("14", "Fairness", ("subgroups",), "What to do about differences: the authors."),
    Item("15", "Output of the model, thresholds", ("results", "performance")),
    Item("16", "Differences between training and evaluation", ("patients", "flow")),
    Item("17", "Ethical approval", (), _ETHICS),
    Item("18a", "Funding", (), _AUTHORS),
    Item("18b", "Conflicts of interest", (), _AUTHORS),
    Item("18c", "Protocol", ("protocol",), "A protocol published before: the authors."),
    Item("18d", "Registration", (), _AUTHORS),
    Item("18e", "Sharing of data", ("provenance",), "Where the data can be had: the authors."),
    Item("18f", "Sharing of code", ("provenance",), "Where the code can be had: the authors."),
    Item("19", "Involvement of patients and public", (), _AUTHORS),
    Item("20a", "Flow of patients", ("flow",)),
    Item("20b", "Characteristics of patients", ("patients",)),
    Item("20c", "Predictors in training and in evaluation", ("patients",)),
    Item("21", "Numbers of patients and events", ("flow", "results", "subgroups")),
    Item("22", "The model in full", ("search",), "Weights: files of the study, not this report."),
    Item("23a", "Performance with intervals, also in groups", ("results", "subgroups")),
    Item(
        "23b", "Differences between clusters", (), "a cohort does not say from which centre it is"
    ),
    Item("24", "Results of updating", (), "nothing was updated: each trial trains anew"),
    Item("25", "Interpretation", (), _DECISION),
    Item("26", "Limitations", ("comparison", "failures"), "Notes there; the rest: the authors."),
    Item("27a", "Poor or absent input in use", ("patients",), "Handling in a clinic: the authors."),
    Item("27b", "Interaction and expertise of users", (), _CLINIC),
    Item("27c", "Next steps, applicability elsewhere", (), _DECISION),
)

CLAIM = (
    Item("1", "Title names the method", (), _AUTHORS),
    Item("2", "Abstract", (), _AUTHORS),
    Item("3", "Background and intended role", (), _CLINIC),
    Item("4", "Aims and hypotheses", ("question",)),
    Item("5", "Prospective or retrospective", (), _SOURCE),
    Item("6", "Goal of the study", ("question",)),
    Item("7", "Sources of data", ("flow", "provenance")),
    Item("8", "Inclusion and exclusion", ("flow",)),
    Item("9", "Preprocessing", ("search",)),
    Item("10", "Choice of parts of the data", ("flow", "search")),
    Item(
        "11",
        "De-identification",
        (),
        "the collection did that before it was ingested; this "
        "report hides names, ids, dates and paths by itself",
    ),
    Item("12", "Missing data", ("patients",)),
    Item(
        "13",
        "Acquisition of images",
        ("patients",),
        "Vendor, kernel, spacing; the rest is not recorded.",
    ),
    Item("14", "Reference standard", ("question",), "How pathology decided: the authors."),
    Item("15", "Why this reference standard", (), _LABELS),
    Item("16", "Source of annotations", (), _BOXES),
    Item("17", "Annotation of the test set", (), _BOXES),
    Item("18", "Agreement of annotators", (), _BOXES),
    Item("19", "Assignment to partitions", ("protocol",)),
    Item("20", "Level at which partitions are apart", ("protocol",)),
    Item("21", "Intended size of the sample", ("comparison",), "A calculation beforehand: none."),
    Item("22", "Model: input, layers, output", ("search",)),
    Item("23", "Software", ("provenance", "environment")),
    Item("24", "Initial values of weights", ("search", "protocol")),
    Item("25", "Training", ("search",)),
    Item("26", "Choice of the final model", ("results", "search")),
    Item(
        "27",
        "Ensembles",
        ("protocol",),
        "Test patients are scored by the mean of all folds' networks.",
    ),
    Item("28", "Measures of performance", ("results", "performance")),
    Item("29", "Significance and uncertainty", ("comparison", "results")),
    Item("30", "Robustness, sensitivity", ("subgroups", "search")),
    Item(
        "31",
        "Explainability",
        (),
        "explanations show single patients, and stay in the study's folder (`mmstudy explain`)",
    ),
    Item("32", "Evaluation on internal data", ("results", "provenance")),
    Item(
        "33",
        "Testing on external data",
        (),
        "a study knows one cohort; other patients are scored "
        "by `mmstudy predict`, outside its record",
    ),
    Item("34", "Registration of a trial", (), _AUTHORS),
    Item("35", "Included and excluded patients", ("flow",)),
    Item("36", "Characteristics by partition", ("patients",)),
    Item("37", "Performance with uncertainty", ("results", "performance")),
    Item("38", "Diagnostic accuracy with precision", ("results", "comparison")),
    Item(
        "39",
        "Analysis of failures",
        ("subgroups", "performance"),
        "Single patients are shown by the dashboard alone.",
    ),
    Item("40", "Limitations", ("comparison",), "Notes there; the rest: the authors."),
    Item("41", "Implications for practice", (), _DECISION),
    Item("42", "Full protocol, further details", ("protocol", "search")),
    Item("43", "Availability of software, model, data", ("provenance",), "Where: the authors."),
    Item("44", "Funding", (), _AUTHORS),
)


def guideline(
    name: str, title: str, source: str, *, items: Sequence[Item], sections: Sequence[Section]
) -> Section:
    """Every item of a guideline with where `sections` answer it."""
    absent = {section.name: section.absent for section in sections}
    rows = [
        {"item": item.number, "heading": item.heading, "answer": answer(item, absent)}
        for item in items
    ]
    answered = sum(not row["answer"].startswith(_NOT) for row in rows)
    whole = len({item.number.rstrip("abcdefg") for item in items})
    of = f"{len(rows)} items" if whole == len(rows) else f"{len(rows)} parts of {whole} items"
    table = Table(
        columns=(Column("item", "Item"), Column("heading", "About"), Column("answer", "Answered")),
        blocks=(Rows("", tuple(rows)),),
        caption=f"{answered} of {of} are answered here, wholly or in part.",
    )
    remark = Words(
        f"{source} Headings are abridged in our own words; the guideline's own wording counts. "
        "An item that is answered in part says what the authors have to add.",
        "remark",
    )
    return Section(name=name, title=title, blocks=(remark, table))


_NOT = "Not answerable from this study, because "


def answer(item: Item, absent: dict[str, str]) -> str:
    """Where an item is answered, with links; or why not.

    Args:
        item: of a guideline.
        absent: section -> why it is empty, or "".
    """
    there = [f"[[{name}]]" for name in item.sections if not absent[name]]
    if there:
        return f"{', '.join(there)}.{' ' + item.rest if item.rest else ''}"
    if item.sections:
        reasons = dict.fromkeys(absent[name] for name in item.sections)
        return f"{_NOT}{'; '.join(reasons)}."
    return f"{_NOT}{item.rest}."
