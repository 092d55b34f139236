"""How often a verdict is wrong, and how often it finds what is there: by the product's own code.

`make bench` runs it; or: python tests/benchmarks/bench_verdicts.py [RUNS]
Exits 1 where a figure misses its bound by more than chance. Scores are binormal, and each fold's
network has a scale of its own, apart by a shift in standard deviations within a class. Fewer RUNS
(of 400) make it quick and the bounds wider.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import polars as pl
from scipy.special import expit
from scipy.stats import norm

from mmcaf.stats.areas import auroc, auroc_interval, delong
from mmcaf.stats.choice import picked
from mmcaf.stats.estimates import Outcomes
from mmcaf.stats.metrics import ConfusionMatrix
from mmstudy.comparison.outcome import Test
from mmstudy.comparison.published import published
from mmstudy.comparison.row import Figure, MethodRow, limited_to
from mmstudy.comparison.verdict import Verdict, against_published, against_same_cases

RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 400
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Setting:
    """Patients in folds, and how their scores are drawn."""

    positives: int
    negatives: int
    folds: int = FOLDS
    shift: float = 1.0
    shared: float = 0.5  # of the variance, by all methods

    @property
    def labels(self) -> np.ndarray:
        return np.repeat([1, 0], [self.positives, self.negatives])

    @property
    def fold(self) -> np.ndarray:
        parts = (np.arange(self.positives), np.arange(self.negatives))
        return np.concatenate(parts) % self.folds

    def scores(self, random: np.random.Generator, areas: list[float]) -> np.ndarray:
        """(methods, cases) logits; the last method has no shift between folds, as a baseline."""
        n, of = self.positives + self.negatives, self.fold
        own = random.normal(size=(len(areas), n)) * sqrt(1 - self.shared)
        common = random.normal(size=n) * sqrt(self.shared)
        apart = norm.ppf(areas)[:, None] * sqrt(2)
        shifts = self.shift * random.normal(size=(len(areas), self.folds))
        shifts[-1] = 0
        return own + common + apart * (self.labels - 0.5) + shifts[:, of]


def row(setting: Setting, logits: np.ndarray, name: str) -> MethodRow:
    """As `row_of` makes it, without the bootstrap intervals, which no verdict reads."""
    labels, folds = setting.labels, setting.fold
    calls = logits >= 0
    cases = [f"c{i:04d}" for i in range(len(labels))]
    table = {"case": cases, "label": labels, "fold": folds, "call": calls}
    return MethodRow(
        kind="ours",
        table="ours",
        method=name,
        cases="made",
        threshold="0.5",
        counts=ConfusionMatrix.from_calls(labels, calls),
        auroc=Figure.of(auroc(labels, logits, folds), auroc_interval(labels, logits, folds=folds)),
        f1=Figure(),
        predictions=pl.DataFrame(table).with_columns(probability=pl.Series(expit(logits))),
    )


def pick(setting: Setting, logits: np.ndarray, name: str) -> MethodRow:
    """What a search among `logits`, (trials, cases), picks for each fold."""
    n = len(setting.labels)
    index = picked(Outcomes(np.arange(n), setting.fold, setting.labels, logits))
    assert index is not None
    return replace(row(setting, logits[index, np.arange(n)], name), among=logits)


def area_of(verdict: Verdict) -> Test:
    return next(test for test in verdict.tests if test.measure == "AUROC")


class Report:
    """Figures with their bounds; remembers whether one was missed."""

    def __init__(self) -> None:
        self.missed = False

    def __call__(self, what: str, share: float, low: float = 0.0, high: float = 1.0) -> None:
        middle = high if share > high else low
        slack = 3 * sqrt(max(middle * (1 - middle), 0.0) / RUNS)
        bad = not low - slack <= share <= high + slack
        self.missed |= bad
        bound = "" if (low, high) == (0.0, 1.0) else f"  [{low:g}, {high:g}]"
        sys.stdout.write(f"{what:<78}{share:6.3f}{bound}{'  MISSED' if bad else ''}\n")
        sys.stdout.flush()


def runs(make: Callable[[np.random.Generator], Verdict]) -> Iterator[Verdict]:
    for seed in range(RUNS):
        yield make(np.random.default_rng(seed))


def share(found: list[bool]) -> float:
    return float(np.mean(found))


def fixed_methods(report: Report) -> None:
    """Two methods on the same cases, nothing chosen."""
    for shift in (0.0, 0.5, 1.0, 2.0):
        equal, better = Setting(46, 220, shift=shift), Setting(62, 250, shift=shift)

        def made(setting: Setting, areas: list[float]) -> Callable[[np.random.Generator], Verdict]:
            def one(random: np.random.Generator) -> Verdict:
                first, second = setting.scores(random, areas)
                other = row(setting, second, "other")
                return against_same_cases(row(setting, first, "network"), [other])[0]

            return one

        null = list(runs(made(equal, [0.78, 0.78])))
        said = share(["outperforms" in verdict.sentence for verdict in null])
        report(f"equal AUROC, n=266, shift {shift}: one 'outperforms' the other", said, 0, 0.05)
        level = share([(area_of(verdict).p or 1) < 0.05 for verdict in null])
        report("    p of AUROC below 0.05", level, 0.03, 0.07)
        calls = share([verdict.calls != "none" for verdict in null])
        report("    better calls at 0.5 (the shift truly costs the network accuracy)", calls)
        real = list(runs(made(better, [0.85, 0.72])))
        report(
            f"0.85 against 0.72, n=312, shift {shift}: 'outperforms in AUROC'",
            share([verdict.areas == "better" for verdict in real]),
            0.9,
        )


def chosen_methods(report: Report) -> None:
    """What a search picked for each fold against a baseline, and against another search's pick."""

    def made(
        setting: Setting, trials: int, areas: tuple[float, float], *, both: bool = False
    ) -> Callable[[np.random.Generator], Verdict]:
        def one(random: np.random.Generator) -> Verdict:
            many = [areas[0]] * trials + [areas[1]] * (trials if both else 1)
            scores = setting.scores(random, many)
            ours, rest = pick(setting, scores[:trials], "pick"), scores[trials:]
            other = pick(setting, rest, "other") if both else row(setting, rest[0], "other")
            return against_same_cases(ours, [other])[0]

        return one

    for setting, trials in (
        (Setting(12, 36, folds=3), 12),
        (Setting(20, 28, folds=3), 60),
        (Setting(30, 120), 30),
        (Setting(40, 196), 60),
    ):
        n = setting.positives + setting.negatives
        for both in (False, True):
            null = list(runs(made(setting, trials, (0.78, 0.78), both=both)))
            against = "another search" if both else "a baseline"
            report(
                f"n={n}, best of {trials} alike trials against {against} as good: 'outperforms'",
                share(["outperforms" in verdict.sentence for verdict in null]),
                0,
                0.05,
            )
            level = share([(area_of(verdict).p or 1) < 0.05 for verdict in null])
            report("    p of AUROC below 0.05", level, 0, 0.05)
        plain = share([_delong_alone(setting, trials, seed) < 0.05 for seed in range(RUNS)])
        report("    DeLong's test alone, for comparison", plain)
    for trials in (12, 60):
        real = list(runs(made(Setting(62, 250), trials, (0.85, 0.72))))
        report(
            f"n=312, best of {trials}, 0.85 against a baseline of 0.72: 'outperforms in AUROC'",
            share([verdict.areas == "better" for verdict in real]),
            0.8,
        )


def pruned_searches(report: Report) -> None:
    """As above, of trials a third of which survived their first fold."""

    def made(
        setting: Setting, trials: int, *, whole: bool
    ) -> Callable[[np.random.Generator], Verdict]:
        def one(random: np.random.Generator) -> Verdict:
            scores = setting.scores(random, [0.78] * (trials + 1))
            first = setting.fold == 0
            areas = [auroc(setting.labels[first], each[first]) for each in scores[:-1]]
            left = np.sort(np.argsort(areas)[-(trials // 3) :])
            rows = [pick(setting, scores[left], "pick"), row(setting, scores[-1], "other")]
            unseen = pl.Series([f"c{i:04d}" for i in np.flatnonzero(~first)])
            if not whole:
                rows = [limited_to(each, unseen) for each in rows]
            return against_same_cases(rows[0], rows[1:])[0]

        return one

    for setting, trials in ((Setting(12, 36, folds=3), 12), (Setting(40, 196), 60)):
        n = setting.positives + setting.negatives
        for whole in (False, True):
            null = list(runs(made(setting, trials, whole=whole)))
            how = "with the fold that pruned" if whole else "as the product judges"
            gaps = [area_of(verdict).difference or 0 for verdict in null]
            report(
                f"n={n}, {trials} trials pruned to a third, {how}: p below 0.05",
                share([(area_of(verdict).p or 1) < 0.05 for verdict in null]),
                *((0, 1) if whole else (0, 0.05)),
            )
            report("    bias of the difference", float(np.mean(gaps)), -1)


def _delong_alone(setting: Setting, trials: int, seed: int) -> float:
    scores = setting.scores(np.random.default_rng(seed), [0.78] * (trials + 1))
    chosen = pick(setting, scores[:trials], "pick").scored.scores
    return delong(setting.labels, chosen, scores[-1], folds=setting.fold).p or 1.0


def published_rows(report: Report) -> None:
    """A test set of ours against the paper's rows: what is shown, and what could be."""
    setting = Setting(46, 223, folds=1, shift=0.0)
    names = [one.method for one in published()]

    def made(area: float, against: str) -> Callable[[np.random.Generator], Verdict]:
        def one(random: np.random.Generator) -> Verdict:
            ours = row(setting, setting.scores(random, [area])[0], "ours")
            found = against_published(ours, published(), caution=None)
            return found[names.index(against)]

        return one

    for area in (0.90, 0.95):
        found = list(runs(made(area, "MMCAF-Net")))
        said = share([verdict.areas == "better" for verdict in found])
        report(f"46+223 test patients, {area} against MMCAF-Net's row: 'outperforms'", said)
        least = area_of(found[0]).detectable
        report(f"    could show (None: nothing): {least}", said if least is None else 1.0, 0, 0.8)
    of_penet = list(runs(made(0.95, "PENet")))
    report(
        "46+223 test patients, 0.95 against PENet's row: mixed",
        share([verdict.outcome == "mixed" for verdict in of_penet]),
        0,
        0.01,
    )
    least = area_of(of_penet[0]).detectable
    assert least is not None
    at = list(runs(made(0.56 + least, "PENet")))
    alone = share([(area_of(v).p or 1) < 0.05 / area_of(v).family for v in at])
    report(f"    0.56 + {least:.3f}, what could be shown: shown at Holm's first step", alone, 0.75)
    denied = [
        verdict
        for verdict in (*of_penet, *at)
        if "No difference" in verdict.sentence and any(test.significant for test in verdict.tests)
    ]
    report("verdicts that deny one of their tests", len(denied) / RUNS, 0, 0)


def main() -> None:
    """All of it."""
    report = Report()
    for part in (fixed_methods, chosen_methods, pruned_searches, published_rows):
        part(report)
    sys.exit(report.missed)


if __name__ == "__main__":
    main()
