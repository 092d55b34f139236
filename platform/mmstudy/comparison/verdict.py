"""What may be said of two rows, and nothing more.

A sentence says that one outperforms the other only where a test on patients it was not chosen on
says so, after Holm's correction for all tests of its family. What decides is in
`mmstudy.comparison.outcome`, what is said in `mmstudy.comparison.sentences`. Where nothing is
decided, the sentence says that no difference can be shown, and which one could have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmcaf.stats.metrics import Proportion
from mmcaf.stats.paired import PairedTest, compare_all, holm
from mmcaf.stats.power import detectable_area, detectable_calls, detectable_gap, detectable_rate
from mmcaf.stats.unpaired import area_higher, difference_interval, fisher, rate_higher, z_test
from mmstudy.comparison.outcome import ALPHA, AREA, Outcome, Test, outcome_of
from mmstudy.comparison.row import MethodRow
from mmstudy.comparison.sentences import capital, counts_of, detail, shown, statement

__all__ = ["Verdict", "against_published", "against_same_cases", "summary_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of ours against one other row."""

    ours: str
    against: str
    table: str
    outcome: Outcome  # of both parts together
    areas: Outcome  # of AUROC alone
    calls: Outcome  # of sensitivity and specificity jointly, or of accuracy on the same cases
    sentence: str
    n: int  # patients of ours
    n_against: int
    tests: tuple[Test, ...]
    reason: str | None = None  # why no test decides
    same_as: str | None = None  # the published row that this one repeats; both count once

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {"tests": [test.as_dict() for test in self.tests]}


def summary_of(method: str, verdicts: Sequence[Verdict], what: str) -> str:
    """One or two sentences on all verdicts; each row that shows a difference is named.

    Args:
        method: name of our row.
        verdicts: of it against rows of one kind; one that repeats another counts once.
        what: that kind, such as "published row".
    """
    once = [verdict for verdict in verdicts if not verdict.same_as]
    tested = [verdict for verdict in once if verdict.outcome != "untested"]
    if not tested:
        reasons = {verdict.reason for verdict in once}
        why = f": {reasons.pop()}" if len(reasons) == 1 else ""
        return f"No difference can be shown between {method} and any {what}; none is tested{why}."
    count = f"{len(tested)} {what}" + ("s" if len(tested) > 1 else "")
    parts = [words.format(names) for words, names in _named(tested) if names]
    if not parts:
        the = f"the {count}" if len(tested) > 1 else f"the one {what}"
        return f"No difference can be shown between {method} and {the} tested."
    left = sum(verdict.outcome == "none" for verdict in tested)
    rest = f"; {left} of them left undecided" if left else ""
    return capital(f"{method} {'; '.join(parts)}. {count} tested{rest}.")


def _named(tested: Sequence[Verdict]) -> list[tuple[str, str]]:
    """What is said of rows, with a place for their names, and these."""

    def names(outcome: Outcome, *, by_area: bool | None = None) -> str:
        return ", ".join(
            verdict.against + _place(verdict.table)
            for verdict in tested
            if verdict.outcome == outcome
            and (by_area is None or by_area == (verdict.areas == outcome))
        )

    return [
        ("outperforms {} in AUROC", names("better", by_area=True)),
        ("is outperformed by {} in AUROC", names("worse", by_area=True)),
        ("is better at its threshold than {}", names("better", by_area=False)),
        ("is worse at its threshold than {}", names("worse", by_area=False)),
        ("is mixed against {}", names("mixed")),
    ]


def _place(table: str) -> str:
    if table == "readme":
        return " (README)"
    return f" (Table {table})" if table.isdigit() else ""


def against_published(
    ours: MethodRow, published: Sequence[MethodRow], *, caution: str | None
) -> tuple[Verdict, ...]:
    """Ours against rows of which only counts are known, on other patients.

    Sensitivity and specificity by Fisher's exact test, AUROC by its logit. Accuracy is not
    compared: it depends on how many of each class a test set has. Flagged rows are not tested, and
    a row that repeats another one has that one's tests, which count once.

    Args:
        ours: the one row decided on beforehand.
        published: in the order of the verdicts.
        caution: why no test of ours would be valid, if so; then none is made.
    """
    why = [caution or ours.flag or row.flag for row in published]
    once = [row for row, reason in zip(published, why, strict=True) if not (reason or row.same_as)]
    found = dict(zip([row.method for row in once], _corrected(ours, once), strict=True))
    return tuple(
        _verdict(ours, row, () if reason else _tests_of(ours, row, found), reason)
        for row, reason in zip(published, why, strict=True)
    )


def _tests_of(
    ours: MethodRow, row: MethodRow, found: dict[str, tuple[Test, ...]]
) -> tuple[Test, ...]:
    """Those of the row, or of the one it repeats; a family of its own where that one is absent."""
    name = row.same_as or row.method
    return found[name] if name in found else _corrected(ours, [row])[0]


def against_same_cases(
    ours: MethodRow,
    others: Sequence[MethodRow],
    *,
    caution: str | None = None,
    remark: str | None = None,
) -> tuple[Verdict, ...]:
    """Ours against other rows of the same cases: areas within folds, and McNemar's exact test.

    Areas by DeLong's test, or, where a row was chosen fold by fold, with the choice made anew.

    Args:
        ours: made by `row_of`.
        others: likewise, of the same cases.
        caution: why the p values are too small, if so; they are kept, and decide nothing.
        remark: what every sentence ends with.

    Raises:
        ValueError: cases or labels differ, or a row was made from counts.
    """
    if not others:
        return ()
    own = _cases(ours)
    for row in others:
        if not own.equals(_cases(row)):
            raise ValueError(f"{ours.method} and {row.method} were not scored on the same cases.")
    named = {f"{i}": row.scored for i, row in enumerate((ours, *others))}
    found = compare_all(
        own["label"].to_numpy(),
        named,
        against="0",
        folds=own["fold"].to_numpy(),
        cases=own["case"].to_numpy(),
    )
    return tuple(
        _verdict(
            ours,
            row,
            (_paired_areas(ours, row, test), _paired_calls(ours, row, test)),
            caution or ours.flag or row.flag,
            remark,
        )
        for row, test in zip(others, found, strict=True)
    )


def _cases(row: MethodRow) -> Any:
    if row.predictions is None:
        raise ValueError(f"{row.method} is known by its counts alone; it has no cases.")
    return row.predictions.select("case", "fold", "label")


def _paired_areas(ours: MethodRow, row: MethodRow, test: PairedTest) -> Test:
    areas = test.areas
    low, high = areas.interval or (None, None)
    chosen = ours.among is not None or row.among is not None
    way = "choice made anew" if chosen else "DeLong"
    return Test(
        measure=AREA,
        ours=shown(ours.auroc),
        theirs=shown(row.auroc),
        difference=None if areas.difference != areas.difference else areas.difference,
        low=low,
        high=high,
        p=areas.p,
        how=f"{way} within folds, same cases",
        p_holm=test.areas_p_holm,
        family=test.family,
        higher=areas.higher,
        detectable=detectable_gap(areas, ALPHA / test.family),
    )


def _paired_calls(ours: MethodRow, row: MethodRow, test: PairedTest) -> Test:
    a, b, found = ours.rates["accuracy"], row.rates["accuracy"], test.decisions
    low, high = found.interval() or (None, None)
    return Test(
        measure="accuracy",
        ours=f"{a.hits}/{a.total}",
        theirs=f"{b.hits}/{b.total}",
        difference=(a.hits - b.hits) / a.total if a.total else None,
        low=low,
        high=high,
        p=found.p,
        how=f"McNemar, {found.only_first} right alone against {found.only_second}",
        p_holm=test.decisions_p_holm,
        family=test.family,
        higher=found.higher,
        detectable=detectable_calls(found, float(b), ALPHA / test.family),
    )


def _unpaired(ours: MethodRow, row: MethodRow) -> tuple[Test, ...]:
    rates = [
        _of_rates(name, ours.rates[name], row.rates[name])
        for name in ("sensitivity", "specificity")
    ]
    a, b = ours.auroc, row.auroc
    if a.value is None or b.value is None or None in (a.low, a.high, b.low, b.high):
        return tuple(rates)
    first, second = (a.low or 0.0, a.high or 0.0), (b.low or 0.0, b.high or 0.0)
    low, high = difference_interval(a.value, first, b.value, second)
    area = Test(
        measure=AREA,
        ours=shown(a),
        theirs=shown(b),
        difference=a.value - b.value,
        low=low,
        high=high,
        p=z_test(first, second),
        how="z of the logits, Hanley-McNeil for theirs",
        higher=area_higher(first, second),
    )
    return (*rates, area)


def _of_rates(name: str, ours: Proportion, theirs: Proportion) -> Test:
    p = fisher(ours, theirs)
    low = high = gap = None
    if p is not None:
        gap = float(ours) - float(theirs)
        low, high = difference_interval(float(ours), ours.wilson(), float(theirs), theirs.wilson())
    return Test(
        measure=name,
        ours=f"{ours.hits}/{ours.total}",
        theirs=f"{theirs.hits}/{theirs.total}",
        difference=gap,
        low=low,
        high=high,
        p=p,
        how="Fisher's exact test, Newcombe's interval",
        higher=rate_higher(ours, theirs),
    )


def _corrected(ours: MethodRow, rows: Sequence[MethodRow]) -> list[tuple[Test, ...]]:
    """The tests of ours against all rows as one family, and what each could have shown in it."""
    groups = [_unpaired(ours, row) for row in rows]
    flat = [test for group in groups for test in group]
    values = iter(holm([test.p for test in flat]))
    return [
        tuple(
            replace(
                test,
                p_holm=next(values),
                family=len(flat),
                detectable=_detectable(ours, row, test.measure, ALPHA / len(flat)),
            )
            for test in group
        )
        for row, group in zip(rows, groups, strict=True)
    ]


def _detectable(ours: MethodRow, row: MethodRow, measure: str, alpha: float) -> float | None:
    if measure != AREA:
        return detectable_rate(ours.rates[measure].total, row.rates[measure], alpha)
    theirs = row.auroc
    if theirs.value is None:
        return None
    return detectable_area(
        theirs.value,
        (theirs.low or 0.0, theirs.high or 1.0),
        positives=ours.positives,
        negatives=ours.n - ours.positives,
        folds=ours.networks,
        alpha=alpha,
    )


def _verdict(
    ours: MethodRow,
    row: MethodRow,
    tests: tuple[Test, ...],
    reason: str | None,
    remark: str | None = None,
) -> Verdict:
    outcome, areas, calls = outcome_of(tests)
    if reason:
        outcome = areas = calls = "untested"
        start = (
            f"No difference can be shown between {ours.method} and {row.method}; "
            f"no test decides it: {reason.rstrip('.')}."
        )
    else:
        start = statement(ours.method, row.method, tests)
    family = f"Holm, {tests[0].family} tests." if tests and not reason else ""
    same = f"The same published row as {row.same_as}, counted once." if row.same_as else ""
    details = [] if reason else map(detail, tests)
    parts = (capital(start), counts_of(ours, row), *details, family, remark, same)
    return Verdict(
        ours=ours.method,
        against=row.method,
        table=row.table,
        outcome=outcome,
        areas=areas,
        calls=calls,
        sentence=" ".join(filter(None, parts)),
        n=ours.n,
        n_against=row.n,
        tests=tests,
        reason=reason,
        same_as=row.same_as,
    )
