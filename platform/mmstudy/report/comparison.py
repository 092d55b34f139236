"""A comparison as text: aligned table, JSON, CSV, Markdown, LaTeX.

Names of studies are what a user typed. Every format has its own signs that mean something, and all
of them are escaped: LaTeX's, Markdown's, and what a spreadsheet would take for a formula.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from mmcaf.stats.metrics import Proportion
from mmstudy.comparison.comparison import Comparison, Section
from mmstudy.comparison.row import RATE_NAMES, Figure, MethodRow

__all__ = ["Format", "cell_text", "csv_text", "latex_text", "markdown_text", "render"]

Format = Literal["table", "json", "csv", "markdown", "latex"]
_HEADS = ("Sensitivity", "Specificity", "PPV", "NPV", "Accuracy", "AUROC", "F1")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[]"},  # after a line break a bracket would be a length
}


def render(comparison: Comparison, how: Format) -> str:
    """The comparison in the given format, ending in a newline."""
    makers: dict[Format, Callable[[Comparison], str]] = {
        "table": _plain,
        "json": _json,
        "csv": _csv,
        "markdown": _markdown,
        "latex": _latex,
    }
    return makers[how](comparison).rstrip("\n") + "\n"


def cell_text(value: Figure | Proportion) -> str:
    """A figure with its interval, and counts where it has them; a dash where it is undefined.

    >>> cell_text(Proportion(10, 15)), cell_text(Proportion(0, 0)), cell_text(Figure())
    ('0.667 [0.42, 0.85] 10/15', '-', '-')
    """
    return " ".join(part for part in _parts(value) if part) or "-"


def csv_text(value: object) -> object:
    """A cell that no spreadsheet computes: text that begins like a formula gets an apostrophe.

    >>> csv_text("=1+1"), csv_text(-0.5), csv_text(None)
    ("'=1+1", -0.5, '')
    """
    if value is None:
        return ""
    if isinstance(value, str) and value.lstrip()[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def markdown_text(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line, also in a cell.

    >>> markdown_text("a|b *c* <i>")
    'a\\|b \\*c\\* &lt;i&gt;'
    """
    flat = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~#!])", r"\\\1", flat)


def latex_text(text: str) -> str:
    r"""Text that LaTeX shows as it is, on one line.

    >>> latex_text("50% of a_b")
    '50\\% of a\\_b'
    """
    return "".join(_LATEX.get(sign, sign) for sign in _one_line(text))


def _one_line(text: str) -> str:
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())


def _parts(value: Figure | Proportion) -> tuple[str, str, str]:
    """Value, interval, counts, each empty where there is none."""
    if isinstance(value, Proportion):
        if not value.total:
            return "", "", ""
        low, high = value.wilson()
        return f"{float(value):.3f}", f"[{low:.2f}, {high:.2f}]", f"{value.hits}/{value.total}"
    if value.value is None:
        return "", "", ""
    known = value.low is not None and value.high is not None
    return f"{value.value:.3f}", f"[{value.low:.2f}, {value.high:.2f}]" if known else "", ""


def _figures(row: MethodRow) -> list[Figure | Proportion]:
    """In the order of `_HEADS`."""
    return [*(row.rates[name] for name in RATE_NAMES), row.auroc, row.f1]


def _json(comparison: Comparison) -> str:
    return json.dumps(comparison.as_dict(), indent=2, allow_nan=False)


def _csv(comparison: Comparison) -> str:
    lines = [dict(_flat(row.as_dict())) for row in comparison.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: csv_text(value) for key, value in line.items()} for line in lines)
    return out.getvalue()


def _flat(row: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if key == "printed":
            continue
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}_")
        else:
            yield before.rstrip("_") if key == "value" else before + key, value


def _warnings(comparison: Comparison) -> list[str]:
    lines = []
    if comparison.synthetic:
        lines.append("SYNTHETIC DATA: our rows say nothing about patients.")
    if comparison.oracle:
        lines.append("ORACLE: windows were centred on the annotated lesion, also at evaluation.")
    return lines


def _chosen(comparison: Comparison) -> str:
    found = comparison.expected
    known = found is not None and found.mean == found.mean
    corrected = (
        f"{found.mean:.3f} [{found.low:.2f}, {found.high:.2f}]" if found and known else "not known"
    )
    of = f"the best of {comparison.trials} trials and so optimistic"
    return (
        f"Trial {comparison.trial} has the value {comparison.best_value:.3f}, "
        f"{of if comparison.trials > 1 else 'the only trial'}; to expect of what such a search "
        f"picks: {corrected} (BBC-CV)."
    )


def _sentences(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Heading -> sentences, in the order they are shown."""
    flags = [f"{row.method}: {row.flag}" for row in comparison.rows if row.flag]
    return [
        ("In one sentence", [*_warnings(comparison), comparison.summary, _chosen(comparison)]),
        ("Against the baselines", [v.sentence for v in comparison.against_baselines]),
        ("Against the published rows", [v.sentence for v in comparison.against_paper]),
        ("Marked !: not ranked, not tested", flags),
        ("How to read this", list(comparison.notes)),
    ]


def _name(row: MethodRow) -> str:
    return row.method + (" !" if row.flag else "")


def _plain(comparison: Comparison) -> str:
    heads = ("method", "patients", "threshold", "n", *(head.lower() for head in _HEADS))
    blocks = []
    for section in comparison.sections:
        lines = [
            (
                _name(row),
                row.cases,
                row.threshold,
                f"{row.n} ({row.positives}+{row.n - row.positives})",
                *(cell_text(value) for value in _figures(row)),
            )
            for row in section.rows
        ]
        blocks.append("\n".join([section.title, *_aligned([heads, *lines])]))
    for heading, sentences in _sentences(comparison):
        if sentences:
            blocks.append("\n".join([heading, *(f"  {text}" for text in sentences)]))
    return "\n\n".join(blocks)


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _markdown(comparison: Comparison) -> str:
    heads = ("Method", "Patients", "Threshold", "n (squamous + adenocarcinoma)", *_HEADS)
    parts = []
    for section in comparison.sections:
        lines = [
            (
                _name(row),
                row.cases,
                row.threshold,
                f"{row.n} ({row.positives} + {row.n - row.positives})",
                *(cell_text(value) for value in _figures(row)),
            )
            for row in section.rows
        ]
        table = ["| " + " | ".join(map(markdown_text, line)) + " |" for line in (heads, *lines)]
        table.insert(1, "|" + "---|" * len(heads))
        parts.append(f"### {markdown_text(section.title)}\n\n" + "\n".join(table))
    for heading, sentences in _sentences(comparison):
        if sentences:
            listed = "\n".join(f"- {markdown_text(text)}" for text in sentences)
            parts.append(f"### {markdown_text(heading)}\n\n{listed}")
    return "\n\n".join(parts)


def _latex(comparison: Comparison) -> str:
    columns = 2 + len(_HEADS)
    body = [r"\toprule", rf"Method & $n$ & {' & '.join(_HEADS)} \\"]
    for section in comparison.sections:
        body += [r"\midrule", rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{_title(section)}}}}} \\"]
        for row in section.rows:
            body += _latex_lines(row, columns)
    body.append(r"\bottomrule")
    texts = [
        "\n".join(
            [
                rf"\paragraph{{{latex_text(heading)}}}",
                r"\begin{itemize}",
                *(rf"\item {latex_text(text)}" for text in sentences),
                r"\end{itemize}",
            ]
        )
        for heading, sentences in _sentences(comparison)
        if sentences
    ]
    return "\n".join(
        [
            r"% \usepackage{booktabs,graphicx} \usepackage[T1]{fontenc}",
            r"\begin{table*}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{latex_text(comparison.summary)} 95\,\% intervals in brackets.}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{l{'c' * (columns - 1)}}}",
            *body,
            r"\end{tabular}}",
            r"\end{table*}",
            "",
            *texts,
        ]
    )


def _title(section: Section) -> str:
    return latex_text(section.title)


def _latex_lines(row: MethodRow, columns: int) -> list[str]:
    """Values with counts in one line, intervals in the next; a row this way fits a page's width.

    The long names of our own rows have a line of their own."""
    parts = [_parts(value) for value in _figures(row)]
    published = row.kind == "published"
    name = latex_text(_name(row) if published else f"{row.method}: {row.cases}, {row.threshold}")
    above = [] if published else [rf"\multicolumn{{{columns}}}{{l}}{{{name}}} \\"]
    first = [f"{row.n} ({row.positives}+{row.n - row.positives})"]
    first += [f"{value} ({counts})" if counts else value or "--" for value, _, counts in parts]
    second = ["", *(interval for _, interval, _ in parts)]
    lines = [[name if published else "", *map(latex_text, first)], ["", *map(latex_text, second)]]
    return [*above, *(" & ".join(line) + r" \\" for line in lines)]
