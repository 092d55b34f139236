"""A benchmark as text: aligned table, JSON, CSV, Markdown, LaTeX."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

from mmcaf.stats.estimates import Estimate
from mmstudy.benchmark.read import Benchmark, BenchmarkRow
from mmstudy.benchmark.rows import REFERENCE
from mmstudy.comparison.row import RATE_NAMES, MethodRow
from mmstudy.comparison.verdict import Test, Verdict
from mmstudy.report.comparison import Format, cell_text, csv_text, latex_text, markdown_text
from mmstudy.report.text import as_text

__all__ = ["render_benchmark", "table_of", "warnings_of"]

_TITLES = {"1": "Table 1", "2": "Table 2", "3": "Table 3", "readme": "README", "floor": "floor"}


def render_benchmark(benchmark: Benchmark, how: Format) -> str:
    """The benchmark in the given format, ending in a newline."""
    makers: dict[Format, Callable[[Benchmark], str]] = {
        "table": _plain,
        "json": lambda one: json.dumps(one.as_dict(), indent=2, allow_nan=False),
        "csv": _csv,
        "markdown": _markdown,
        "latex": _latex,
    }
    return makers[how](benchmark).rstrip("\n") + "\n"


def table_of(benchmark: Benchmark) -> list[dict[str, str]]:
    """One line of text per row, heading -> cell; a dash where nothing is known."""
    return [_cells(row, benchmark.verdicts.get(row.entry.key)) for row in benchmark.rows]


def warnings_of(benchmark: Benchmark) -> list[str]:
    """What must stand over the table."""
    lines = []
    if benchmark.synthetic:
        lines.append("SYNTHETIC DATA: our figures say nothing about patients.")
    if benchmark.oracle:
        lines.append("ORACLE: windows were centred on the annotated lesion, also at evaluation.")
    return lines


def _cells(row: BenchmarkRow, verdict: Verdict | None) -> dict[str, str]:
    tests = {test.measure: test for test in verdict.tests} if verdict else {}
    ours = row.ours
    rates = {name: cell_text(ours.rates[name]) if ours is not None else "-" for name in RATE_NAMES}
    return {
        "row": row.entry.title,
        "from": _TITLES.get(row.entry.table, row.entry.table),
        "published AUROC": _published(row.published),
        "ours AUROC": cell_text(ours.auroc) if ours is not None else "-",
        "n": f"{ours.n} ({ours.positives}+{ours.n - ours.positives})" if ours is not None else "-",
        "expected": _estimate(row.expected),
        "confirmed": _estimate(row.confirmed, "folds"),
        **rates,
        "f1": cell_text(ours.f1) if ours is not None else "-",
        "MMCAF-Net minus it, AUROC": _difference(tests.get("AUROC"))
        if row.entry.key != REFERENCE
        else "reference",
        "McNemar": _mcnemar(tests.get("accuracy")),
        "trials": str(row.trials),
        "seeds": str(row.seeds),
        "weights": "-" if row.parameters is None else str(row.parameters),
        "seconds": "-" if row.seconds is None else f"{row.seconds:.0f}",
        "GPU h": "-" if row.gpu_hours is None else f"{row.gpu_hours:.2f}",
        "wall s": "-" if row.wall_seconds is None else f"{row.wall_seconds:.0f}",
        "state": row.state,
    }


def _published(row: MethodRow | None) -> str:
    if row is None:
        return "-"
    return f"{cell_text(row.auroc)} n={row.n}" + (" !" if row.flag else "")


def _estimate(found: Estimate | None, counted: str = "n") -> str:
    if found is None:
        return "-"
    bounds = f" [{found.low:.2f}, {found.high:.2f}]" if found.low == found.low else ""
    return f"{found.mean:.3f}{bounds} {counted}={found.n}"


def _difference(test: Test | None) -> str:
    if test is None or test.difference is None:
        return "-"
    bounds = f" [{test.low:+.2f}, {test.high:+.2f}]" if None not in (test.low, test.high) else ""
    return f"{test.difference:+.3f}{bounds} {_p(test)}"


def _mcnemar(test: Test | None) -> str:
    return "-" if test is None else f"{test.ours} against {test.theirs} {_p(test)}"


def _p(test: Test) -> str:
    return "no test" if test.p_holm is None else f"p={test.p_holm:.3f} of {test.family}"


def _notes(benchmark: Benchmark) -> list[str]:
    shared = benchmark.shared_seconds
    cost = [] if shared is None else [f"Stages that rows share took {shared:.0f} s of training."]
    budget = (
        f"{benchmark.asked_trials} trials per row where there is something to search, "
        f"{benchmark.folds} folds, confirming seeds: {benchmark.asked_seeds}."
    )
    return [*warnings_of(benchmark), budget, *cost, *benchmark.notes]


def _plain(benchmark: Benchmark) -> str:
    return as_text(table_of(benchmark), "table") + "\n" + "\n".join(_notes(benchmark))


def _csv(benchmark: Benchmark) -> str:
    lines = table_of(benchmark)
    mark = {"origin": "SYNTHETIC" if benchmark.synthetic else "real"}
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=["origin", *lines[0]], lineterminator="\n")
    writer.writeheader()
    writer.writerows(mark | {k: csv_text(v) for k, v in line.items()} for line in lines)
    return out.getvalue()


def _markdown(benchmark: Benchmark) -> str:
    lines = table_of(benchmark)
    rows = [list(lines[0]), *(list(line.values()) for line in lines)]
    table = ["| " + " | ".join(map(markdown_text, row)) + " |" for row in rows]
    table.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join([*table, "", *(f"- {markdown_text(note)}" for note in _notes(benchmark))])


def _latex(benchmark: Benchmark) -> str:
    lines = table_of(benchmark)
    rows = [list(lines[0]), *(list(line.values()) for line in lines)]
    body = [" & ".join(map(latex_text, row)) + r" \\" for row in rows]
    return "\n".join(
        [
            r"% \usepackage{booktabs,graphicx} \usepackage[T1]{fontenc}",
            r"\begin{table*}",
            r"\centering\footnotesize",
            rf"\caption{{{latex_text(' '.join(warnings_of(benchmark)) or 'Benchmark.')}}}",
            r"\resizebox{\textwidth}{!}{%",
            rf"\begin{{tabular}}{{{'l' * len(lines[0])}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table*}",
            "",
            *(latex_text(note) for note in _notes(benchmark)),
        ]
    )
