"""A benchmark as a table: a row per network, published figures beside ours."""

from __future__ import annotations

from mmcaf.stats.estimates import Estimate
from mmstudy.benchmark.read import Benchmark, BenchmarkRow
from mmstudy.benchmark.rows import REFERENCE
from mmstudy.comparison.outcome import Test
from mmstudy.comparison.row import RATE_NAMES, MethodRow
from mmstudy.comparison.sentences import could_show, difference, excluded, likely
from mmstudy.comparison.verdict import Verdict
from mmstudy.report.comparison import measure
from mmstudy.report.table import MACHINES, Block, Column, Notes, Table

__all__ = ["benchmark_table"]

_TITLES = {"1": "Table 1", "2": "Table 2", "3": "Table 3", "readme": "README", "floor": "floor"}


def benchmark_table(benchmark: Benchmark) -> Table:
    """One line of text per row; a dash where nothing is known yet."""
    cells = [_cells(row, benchmark.verdicts.get(row.entry.key)) for row in benchmark.rows]
    marked = tuple(
        {"origin": benchmark.origin_of(row).column, **line}
        for row, line in zip(benchmark.rows, cells, strict=True)
    )
    return Table(
        columns=(Column("origin", only=MACHINES), *map(Column, cells[0] if cells else ())),
        blocks=(Block("", marked),),
        warnings=benchmark.origin.warnings,
        notes=(Notes("", _notes(benchmark)),),
        caption="Benchmark.",
        document=benchmark.as_dict(),
    )


def _cells(row: BenchmarkRow, verdict: Verdict | None) -> dict[str, str]:
    tests = {test.measure: test for test in verdict.tests} if verdict else {}
    ours = row.ours
    rates = {name: str(measure(ours.rates[name])) if ours else "-" for name in RATE_NAMES}
    return {
        "row": row.entry.title,
        "from": _TITLES.get(row.entry.table, row.entry.table),
        "published AUROC": _published(row.published),
        "ours AUROC": str(measure(ours.auroc)) if ours else "-",
        "n": f"{ours.n} ({ours.positives}+{ours.n - ours.positives})" if ours else "-",
        "expected": _estimate(row.expected),
        "confirmed": _estimate(row.confirmed, "folds"),
        **rates,
        "f1": str(measure(ours.f1)) if ours else "-",
        "MMCAF-Net minus it, AUROC": _difference(tests.get("AUROC"))
        if row.entry.key != REFERENCE
        else "reference",
        **_reading(tests.get("AUROC")),
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
    return f"{measure(row.auroc)} n={row.n}" + (" !" if row.flag else "")


def _estimate(found: Estimate | None, counted: str = "n") -> str:
    if found is None:
        return "-"
    bounds = f" [{found.low:.2f}, {found.high:.2f}]" if found.low == found.low else ""
    return f"{found.mean:.3f}{bounds} {counted}={found.n}"


def _difference(test: Test | None) -> str:
    return "-" if test is None or test.difference is None else f"{difference(test)} {_p(test)}"


def _reading(test: Test | None) -> dict[str, str]:
    """What the difference of AUROC excludes, how likely MMCAF-Net is higher, what could show."""
    names = ("excludes that MMCAF-Net is", "P(MMCAF-Net higher)", "could show")
    if test is None or test.higher is None:
        return dict.fromkeys(names, "-")
    values = (excluded(test), likely(test.higher), could_show(test))
    return dict(zip(names, values, strict=True))


def _mcnemar(test: Test | None) -> str:
    return "-" if test is None else f"{test.ours} against {test.theirs} {_p(test)}"


def _p(test: Test) -> str:
    return "no test" if test.p_holm is None else f"p={test.p_holm:.3f} of {test.family}"


def _notes(benchmark: Benchmark) -> tuple[str, ...]:
    shared = benchmark.shared_seconds
    cost = [] if shared is None else [f"Stages that rows share took {shared:.0f} s of training."]
    budget = (
        f"{benchmark.asked_trials} trials per row where there is something to search, "
        f"{benchmark.folds} folds, confirming seeds: {benchmark.asked_seeds}."
    )
    return (budget, *cost, *benchmark.notes)
