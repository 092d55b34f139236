"""The sentences of a comparison: what its tests decided, their figures, what they could have shown.

"Outperforms" is said of AUROC alone. Of calls it is said who is better at the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from mmstudy.comparison.outcome import AREA, Test, outcome_of
from mmstudy.comparison.row import Figure, MethodRow

__all__ = [
    "capital",
    "could_show",
    "counts_of",
    "detail",
    "difference",
    "excluded",
    "likely",
    "rounded",
    "shown",
    "statement",
]


def statement(ours: str, theirs: str, tests: Sequence[Test]) -> str:
    """What the tests of two rows decided, in one to three sentences.

    Args:
        ours: name of our row.
        theirs: name of the other.
        tests: of their measures.
    """
    outcome, area, calls = outcome_of(tests)
    if outcome == "none":
        return f"No difference can be shown between {ours} and {theirs}."
    said = ["Mixed:"] if outcome == "mixed" else []
    if area in ("better", "worse"):
        first, second = (ours, theirs) if area == "better" else (theirs, ours)
        said.append(f"{first} outperforms {second} in AUROC.")
    names = " and ".join(test.measure for test in tests if test.significant and not _area(test))
    if calls == "mixed":
        unknown = [test.measure for test in tests if test.difference is None and not _area(test)]
        why = (
            f"; {' and '.join(unknown)} is not known, so that another threshold alone could do that"
            if unknown
            else ", but not all in one direction, as another threshold alone could do"
        )
        said.append(f"At their thresholds {ours} and {theirs} differ in {names}{why}.")
    elif calls != "none":
        first, second = (ours, theirs) if calls == "better" else (theirs, ours)
        said.append(f"At its threshold {first} is better than {second} in {names}.")
    return capital(" ".join(said))


def counts_of(ours: MethodRow, theirs: MethodRow) -> str:
    """The figures of two rows, side by side."""
    parts = [
        f"{name} {a.hits}/{a.total} against {b.hits}/{b.total}"
        for name, a, b in (
            (name, ours.rates[name], theirs.rates[name])
            for name in ("sensitivity", "specificity", "accuracy")
        )
    ]
    parts.append(f"AUROC {shown(ours.auroc)} against {shown(theirs.auroc)}")
    return capital(", ".join(parts) + ".")


def detail(test: Test) -> str:
    """One test: its difference, what that excludes, who is likely higher, what it could show."""
    if test.difference is None:
        return f"{capital(test.measure)}: not testable."
    parts = [f"{capital(test.measure)}: {difference(test)}"]
    if (bound := excluded(test)) != "-":
        parts.append(f"excludes that ours is {bound}")
    parts.append("not testable" if test.p_holm is None else f"corrected p {rounded(test.p_holm)}")
    if test.higher is not None:
        parts.append(f"P(ours higher) {likely(test.higher)}")
    if (least := could_show(test)) != "-":
        parts.append(f"could show {least}")
    return "; ".join(parts) + "."


def difference(test: Test) -> str:
    """The difference of a test with its interval; a dash where it is not defined."""
    if test.difference is None:
        return "-"
    bounds = f" [{test.low:+.2f}, {test.high:+.2f}]" if None not in (test.low, test.high) else ""
    return f"{round(test.difference, 3) + 0.0:+.3f}{bounds}"


def excluded(test: Test) -> str:
    """What the lower end of a test's interval excludes, the bound rounded up; a dash without one.

    It reads on from "excludes that ours is".
    """
    if test.worse_by is None:
        return "-"
    return f"worse by more than {_up(test.worse_by, 3)}" if test.worse_by else "worse"


def could_show(test: Test) -> str:
    """The smallest difference in our favour that a test shows with 80 % power, rounded up.

    A dash where there was no test or no spread, or it shows a difference that it had less power to
    show.
    """
    if None in (test.p, test.low) or (test.significant and test.detectable is None):
        return "-"
    if test.detectable is None:
        return "none in our favour"
    return f"+{_up(test.detectable, 2)} or more"


def _up(value: float, digits: int) -> str:
    scale = 10**digits
    return f"{ceil(round(value * scale, 6)) / scale:.{digits}f}"


def shown(figure: Figure) -> str:
    """The value of a figure, or a dash."""
    return "-" if figure.value is None else f"{figure.value:.3f}"


def capital(text: str) -> str:
    """The text with a capital first; a name that is no word of ours stays as it is.

    >>> capital("sensitivity 1/2"), capital("made trial 0 outperforms PECon")
    ('Sensitivity 1/2', 'made trial 0 outperforms PECon')
    """
    ours = text.split(" ")[0].rstrip(":") in _WORDS
    return text[0].upper() + text[1:] if ours else text


_WORDS = ("sensitivity", "specificity", "accuracy", "what")


def _area(test: Test) -> bool:
    return test.measure == AREA


def rounded(p: float) -> str:
    """A p value for people."""
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def likely(probability: float) -> str:
    """A probability for people, never 0 or 1."""
    if probability > 0.995:
        return "above 0.99"
    return "below 0.01" if probability < 0.005 else f"{probability:.2f}"
