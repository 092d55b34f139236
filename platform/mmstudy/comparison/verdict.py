"""What may be said of two rows, and nothing more.

A sentence says that one outperforms the other only where a test on patients it was not chosen on
says so, after Holm's correction for all tests of its family, and nothing points the other way. In
every other case it says that no difference can be shown, with the counts and the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from mmcaf.stats.estimates import Estimate
from mmcaf.stats.metrics import Proportion
from mmcaf.stats.paired import Discordant, compare_all, holm
from mmcaf.stats.unpaired import difference_interval, fisher, z_test
from mmstudy.comparison.row import Figure, MethodRow

__all__ = ["ALPHA", "Outcome", "Test", "Verdict", "against_published", "against_same_cases"]

ALPHA = 0.05
Outcome = Literal["untested", "none", "better", "worse", "mixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """One measure of two rows; `p_holm` is corrected for the `family` tests made together."""

    measure: str
    ours: str  # as shown: hits/total, or the value
    theirs: str
    difference: float | None  # ours minus theirs
    low: float | None
    high: float | None
    p: float | None
    how: str
    p_holm: float | None = None
    family: int = 0

    @property
    def significant(self) -> bool:
        """Whether the corrected p is below 0.05."""
        return self.p_holm is not None and self.p_holm < ALPHA

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is said of ours against one other row."""

    against: str
    table: str
    outcome: Outcome
    sentence: str
    tests: tuple[Test, ...]
    reason: str | None = None  # why no test decides

    def as_dict(self) -> dict[str, Any]:
        """All fields as plain values."""
        return {
            "against": self.against,
            "table": self.table,
            "outcome": self.outcome,
            "sentence": self.sentence,
            "reason": self.reason,
            "tests": [test.as_dict() for test in self.tests],
        }


def against_published(
    ours: MethodRow, published: Sequence[MethodRow], *, caution: str | None
) -> tuple[Verdict, ...]:
    """Ours against rows of which only counts are known, on other patients.

    Sensitivity and specificity by Fisher's exact test, AUROC by its logit. Accuracy is not
    compared: it depends on how many of each class a test set has. Flagged rows are not tested.

    Args:
        ours: the one row decided on beforehand.
        published: in the order of the verdicts.
        caution: why no test of ours would be valid, if so; then none is made.
    """
    tests = [() if caution or ours.flag or row.flag else _unpaired(ours, row) for row in published]
    corrected = _corrected(tests)
    return tuple(
        _verdict(ours, row, found, caution or ours.flag or row.flag)
        for row, found in zip(published, corrected, strict=True)
    )


def against_same_cases(
    ours: MethodRow,
    others: Sequence[MethodRow],
    *,
    caution: str | None = None,
    ahead: Sequence[Estimate] = (),
) -> tuple[Verdict, ...]:
    """Ours against other rows of the same cases: DeLong's and McNemar's exact test.

    Args:
        ours: made by `row_of`.
        others: likewise, of the same cases.
        caution: why the p values are too small, if so; they are kept, and decide nothing.
        ahead: where ours was chosen on these cases and the others were not: how far ahead of each
            what is chosen is on cases left out (`analysis.optimism.corrected`). Decides then.

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
    verdicts = []
    for i, (row, test) in enumerate(zip(others, found, strict=True)):
        low, high = test.areas.interval or (None, None)
        area = Test(
            measure="AUROC",
            ours=_shown(ours.auroc),
            theirs=_shown(row.auroc),
            difference=_known(test.areas.difference),
            low=low,
            high=high,
            p=test.areas.p,
            how="DeLong within folds, same cases",
            p_holm=test.areas_p_holm,
            family=test.family,
        )
        calls = _mcnemar_row(ours, row, test.decisions, test.decisions_p_holm, test.family)
        flag = ours.flag or row.flag
        if caution and ahead and not flag:
            verdicts.append(_of_the_chosen(ours, row, (area, calls), ahead[i], caution))
        else:
            verdicts.append(_verdict(ours, row, (area, calls), caution or flag))
    return tuple(verdicts)


def _of_the_chosen(
    ours: MethodRow, row: MethodRow, tests: tuple[Test, ...], ahead: Estimate, caution: str
) -> Verdict:
    """By the interval of what is chosen, on cases left out of the choice."""
    known = ahead.mean == ahead.mean
    clear = known and not ahead.low <= 0 <= ahead.high
    outcome: Outcome = "none" if not clear else "better" if ahead.low > 0 else "worse"
    start = {
        "none": f"No difference can be shown between what the search picks and {row.method}",
        "better": f"What the search picks outperforms {row.method}",
        "worse": f"{row.method} outperforms what the search picks",
    }[outcome]
    gap = f"{ahead.mean:+.3f} [{ahead.low:+.2f}, {ahead.high:+.2f}]" if known else "not defined"
    return Verdict(
        against=row.method,
        table=row.table,
        outcome=outcome,
        sentence=(
            f"{start}: on patients left out of the choice the difference of AUROC is {gap} (the "
            f"choice resampled, BBC-CV, all intervals together 95 %). {_counts(ours, row)} "
            f"The p values of {ours.method} itself do not count, since {caution}."
        ),
        tests=tests,
        reason=caution,
    )


def _cases(row: MethodRow) -> Any:
    if row.predictions is None:
        raise ValueError(f"{row.method} is known by its counts alone; it has no cases.")
    return row.predictions.select("case", "fold", "label")


def _mcnemar_row(
    ours: MethodRow, other: MethodRow, decisions: Discordant, p_holm: float | None, family: int
) -> Test:
    a, b = ours.rates["accuracy"], other.rates["accuracy"]
    return Test(
        measure="accuracy",
        ours=f"{a.hits}/{a.total}",
        theirs=f"{b.hits}/{b.total}",
        difference=(a.hits - b.hits) / a.total if a.total else None,
        low=None,
        high=None,
        p=decisions.p,
        how=f"McNemar, {decisions.only_first} right alone against {decisions.only_second}",
        p_holm=p_holm,
        family=family,
    )


def _unpaired(ours: MethodRow, row: MethodRow) -> tuple[Test, ...]:
    found = [
        _of_rates(name, ours.rates[name], row.rates[name])
        for name in ("sensitivity", "specificity")
    ]
    a, b = ours.auroc, row.auroc
    if a.value is None or b.value is None or None in (a.low, a.high, b.low, b.high):
        return tuple(found)
    first, second = (a.low or 0.0, a.high or 0.0), (b.low or 0.0, b.high or 0.0)
    low, high = difference_interval(a.value, first, b.value, second)
    area = Test(
        measure="AUROC",
        ours=_shown(a),
        theirs=_shown(b),
        difference=a.value - b.value,
        low=low,
        high=high,
        p=z_test(first, second),
        how="z of the logits, Hanley-McNeil for theirs",
    )
    return (*found, area)


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
    )


def _corrected(groups: Sequence[tuple[Test, ...]]) -> list[tuple[Test, ...]]:
    """All tests of all groups as one family."""
    flat = [test for group in groups for test in group]
    values = iter(holm([test.p for test in flat]))
    return [
        tuple(replace(test, p_holm=next(values), family=len(flat)) for test in group)
        for group in groups
    ]


def _verdict(
    ours: MethodRow, row: MethodRow, tests: tuple[Test, ...], reason: str | None
) -> Verdict:
    outcome = "untested" if reason else _outcome(tests)
    return Verdict(
        against=row.method,
        table=row.table,
        outcome=outcome,
        sentence=_sentence(ours, row, tests, outcome, reason),
        tests=tests,
        reason=reason,
    )


def _outcome(tests: Sequence[Test]) -> Outcome:
    clear = {test.difference > 0 for test in tests if test.significant and test.difference}
    signs = {test.difference > 0 for test in tests if test.difference}
    if not clear:
        return "none"
    if len(signs) > 1:  # one higher for the other lower may be no more than another threshold
        return "mixed"
    return "better" if clear == {True} else "worse"


def _sentence(
    ours: MethodRow, row: MethodRow, tests: Sequence[Test], outcome: Outcome, reason: str | None
) -> str:
    counts = _counts(ours, row)
    if outcome == "untested":
        why = f"{reason}".rstrip(".")
        return (
            f"No difference can be shown between {ours.method} and {row.method}; "
            f"no test decides it: {why}. {counts}"
        )
    said = ", ".join(f"{test.measure} {_rounded(test.p_holm)}" for test in tests)
    p_values = f"Corrected p (Holm, {tests[0].family} tests): {said}." if tests else ""
    if outcome == "none":
        start = f"No difference can be shown between {ours.method} and {row.method}."
    elif outcome == "mixed":
        start = f"{ours.method} and {row.method} differ, but not all in one direction."
    elif outcome == "better":
        start = f"{ours.method} outperforms {row.method} in {_clear(tests)}."
    else:
        start = f"{row.method} outperforms {ours.method} in {_clear(tests)}."
    return f"{start} {counts} {p_values}".rstrip()


def _clear(tests: Sequence[Test]) -> str:
    return " and ".join(test.measure for test in tests if test.significant)


def _counts(ours: MethodRow, row: MethodRow) -> str:
    parts = [
        f"{name} {a.hits}/{a.total} against {b.hits}/{b.total}"
        for name, a, b in (
            (name, ours.rates[name], row.rates[name])
            for name in ("sensitivity", "specificity", "accuracy")
        )
    ]
    parts.append(f"AUROC {_shown(ours.auroc)} against {_shown(row.auroc)}")
    text = ", ".join(parts) + "."
    return text[0].upper() + text[1:]


def _rounded(p: float | None) -> str:
    if p is None:
        return "not testable"
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def _shown(figure: Figure) -> str:
    return "-" if figure.value is None else f"{figure.value:.3f}"


def _known(value: float) -> float | None:
    return None if value != value else value
