"""The paper's published rows beside a study's best trial, each figure with its interval and n.

The published rows come from counts: the only integers that reproduce the printed figures. Rows that
were scored on other patients, or hold an impossible figure, are marked and not ranked. Ours is on
validation patients, chosen as the best of many trials: no test can be made from counts alone, and
nothing here says that one is better.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
import yaml

from mmcaf.baselines import out_of_fold_baselines
from mmcaf.data.cohort import load
from mmcaf.data.splits import Split
from mmcaf.metrics import ConfusionMatrix, auroc_interval
from mmcaf.metrics import auroc as area_of
from mmstudy.errors import MMStudyError
from mmstudy.results import Study

__all__ = ["Comparison", "PublishedRow", "compare", "published", "render"]

Format = Literal["table", "json", "csv", "markdown", "latex"]
_RATES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
_NAMES = {"accuracy": "acc"}

NOTE = (
    "Published rows: 15 squamous and 28 adenocarcinoma test patients, intervals (95 %, Wilson) "
    "from reconstructed counts. At n = 43 two accuracies closer than 6/43 = 0.14 can never differ "
    "significantly (exact McNemar), and always answering adenocarcinoma scores 28/43 = 0.651. "
    "Baselines: fitted and scored on the study's own folds; the box was drawn by a radiologist. "
    "Ours: validation patients of every fold, each once, threshold 0.5; other patients than the "
    "paper's test set, and the best of {trials} trials, hence optimistic."
)


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row of the paper's tables; `printed` holds the figures as printed."""

    table: str
    method: str
    auroc: float
    counts: ConfusionMatrix
    printed: dict[str, float]
    flag: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rows ready to print; ours first."""

    synthetic: bool
    rows: tuple[dict[str, Any], ...]
    note: str


@cache
def published() -> tuple[PublishedRow, ...]:
    """All published rows; each one's counts reproduce its printed figures, or it has a flag."""
    text = (Path(__file__).parent / "paper_tables.yaml").read_text(encoding="utf-8")
    return tuple(
        PublishedRow(
            table=row["table"],
            method=row["method"],
            auroc=row["auroc"],
            counts=ConfusionMatrix(**{key: row[key] for key in ("tp", "fp", "fn", "tn")}),
            printed={name: row[_NAMES.get(name, name)] for name in (*_RATES, "f1")},
            flag=row.get("flag"),
        )
        for row in yaml.safe_load(text)["rows"]
    )


def compare(study: Study, cohort: Path | None = None) -> Comparison:
    """The study's best trial beside the baselines of its own folds and every published row.

    Args:
        study: a study with a complete trial.
        cohort: its cohort, if that was moved; without a cohort there are no baselines.

    Raises:
        MMStudyError: no trial is complete yet.
    """
    best = study.best()
    if best is None:
        raise MMStudyError(f"{study.name} has no complete trial yet; nothing to compare.")
    found = study.out_of_fold(best["number"])
    marks = ["SYNTHETIC"] * study.synthetic + ["ORACLE location"] * study.oracle + ["validation"]
    ours = _scored("ours", f"{study.name} trial {best['number']} ({', '.join(marks)})", found)
    simple = [_scored("baseline", name, rows) for name, rows in _baselines(study, cohort).items()]
    theirs = [
        {
            "table": row.table,
            "method": row.method,
            "n": row.counts.rates()["accuracy"].total,
            "auroc": row.auroc,
            "auroc_interval": None,
            **_rates(row.counts),
            "f1": row.counts.f1,
            "flag": row.flag,
        }
        for row in published()
    ]
    trials = sum(study.counts().values())
    return Comparison(study.synthetic, (ours, *simple, *theirs), NOTE.format(trials=trials))


def _baselines(study: Study, cohort: Path | None) -> dict[str, pl.DataFrame]:
    folder = cohort or (study.paths.root / str(study.about.get("cohort", ""))).resolve()
    if not (folder / "cohort.json").is_file():
        return {}
    patients = load(folder)
    if patients.digest != study.about.get("cohort_digest"):
        raise MMStudyError(
            f"The cohort in {folder} is {patients.digest}, the study was begun on "
            f"{study.about.get('cohort_digest')}; give the right one with --cohort."
        )
    return out_of_fold_baselines(patients.patients, Split.from_json(study.about["split"]))


def _scored(table: str, method: str, found: pl.DataFrame) -> dict[str, Any]:
    labels, scores = found["label"].to_numpy(), found["probability"].to_numpy()
    matrix = ConfusionMatrix.from_scores(labels, scores, threshold=0.5)
    return {
        "table": table,
        "method": method,
        "n": found.height,
        "auroc": area_of(labels, scores),
        "auroc_interval": auroc_interval(labels, scores),
        **_rates(matrix),
        "f1": matrix.f1,
        "flag": None,
    }


def render(comparison: Comparison, how: Format) -> str:
    """The comparison as text of the given format."""
    if how == "json":
        shown = {"synthetic": comparison.synthetic, "note": comparison.note}
        return json.dumps({**shown, "rows": comparison.rows}, indent=2)
    lines = [_cells(row) for row in comparison.rows]
    marked = [row for row in comparison.rows if row["flag"]]
    notes = [comparison.note, *(f"! {row['method']}: {row['flag']}" for row in marked)]
    if comparison.synthetic:
        notes.insert(0, "SYNTHETIC DATA: our row says nothing about patients.")
    if how == "csv":
        out = io.StringIO()
        writer = csv.DictWriter(out, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
        return out.getvalue()
    if how == "markdown":
        return _markdown(lines, notes)
    if how == "latex":
        return _latex(lines, notes)
    return _plain(lines) + "\n\n" + "\n".join(notes)


def _rates(matrix: ConfusionMatrix) -> dict[str, Any]:
    return {
        name: {"hits": rate.hits, "total": rate.total, "interval": rate.wilson()}
        for name, rate in matrix.rates().items()
    }


def _cells(row: dict[str, Any]) -> dict[str, str]:
    interval = row["auroc_interval"]
    cells = {
        "table": row["table"],
        "method": row["method"] + (" !" if row["flag"] else ""),
        "n": str(row["n"]),
        "auroc": _number(row["auroc"])
        + (f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""),
    }
    for name in _RATES:
        hits, total, (low, high) = (row[name][key] for key in ("hits", "total", "interval"))
        figure = f"{hits / total:.3f} [{low:.2f}, {high:.2f}]" if total else "-"
        cells[name] = f"{figure} {hits}/{total}"
    return cells | {"f1": _number(row["f1"])}


def _number(value: float) -> str:
    return f"{value:.3f}" if value == value else "-"  # NaN is not itself


def _plain(lines: list[dict[str, str]]) -> str:
    table = [list(lines[0]), *(list(line.values()) for line in lines)]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )


def _markdown(lines: list[dict[str, str]], notes: list[str]) -> str:
    head = [f"| {' | '.join(lines[0])} |", f"|{'---|' * len(lines[0])}"]
    body = [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in line.values()) + " |"
        for line in lines
    ]
    return "\n".join([*head, *body, "", *notes])


def _latex(lines: list[dict[str, str]], notes: list[str]) -> str:
    def escape(text: str) -> str:
        for sign in ("\\", "&", "%", "$", "#", "_", "{", "}"):
            text = text.replace(sign, r"\textbackslash " if sign == "\\" else "\\" + sign)
        return text

    body = [" & ".join(map(escape, line.values())) + r" \\" for line in lines]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * len(lines[0])}}}",
            r"\toprule",
            " & ".join(map(escape, lines[0])) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *(f"% {note}" for note in notes),
        ]
    )
