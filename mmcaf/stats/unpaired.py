"""Two methods judged on different patients, of which only counts may be known.

What is compared here is weaker than the same cases judged twice
(`mmcaf.stats.paired`): other patients may simply be easier. Rates within one class (sensitivity,
specificity) do not depend on how many of each class a test set has; accuracy does, so it is
compared within one set only.
"""

from __future__ import annotations

from functools import cache
from math import comb, erfc, exp, log, pi, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mmcaf.stats.metrics import Proportion

__all__ = [
    "area_higher",
    "difference_interval",
    "fisher",
    "hanley_mcneil",
    "hanley_mcneil_error",
    "rate_higher",
    "z_test",
]


def fisher(first: Proportion, second: Proportion) -> float | None:
    """Two-sided p of Fisher's exact test that two proportions are one; None where one has no case.

    In whole numbers, so that equally likely tables are equal: all as unlikely as the one seen.

    >>> fisher(Proportion(10, 15), Proportion(10, 15))
    1.0
    """
    if not first.total or not second.total:
        return None
    hits, a, b = first.hits + second.hits, first.total, second.total
    ways = {k: comb(a, k) * comb(b, hits - k) for k in range(max(0, hits - b), min(a, hits) + 1)}
    seen = ways[first.hits]
    return sum(way for way in ways.values() if way <= seen) / comb(a + b, hits)


def difference_interval(
    first: float,
    first_interval: tuple[float, float],
    second: float,
    second_interval: tuple[float, float],
) -> tuple[float, float]:
    """Interval of `first - second` from the interval of each (Newcombe 1998, method 10).

    With Wilson's intervals of two proportions this is Newcombe's; it stays within [-1, 1].

    >>> a, b = Proportion(56, 70), Proportion(48, 80)
    >>> [round(x, 4) for x in difference_interval(float(a), a.wilson(), float(b), b.wilson())]
    [0.0524, 0.3339]
    """
    (low1, high1), (low2, high2), gap = first_interval, second_interval, first - second
    return (
        gap - sqrt((first - low1) ** 2 + (high2 - second) ** 2),
        gap + sqrt((high1 - first) ** 2 + (second - low2) ** 2),
    )


def hanley_mcneil(
    area: float, positives: int, negatives: int, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of a published AUROC whose scores are unknown, on the logit scale.

    Standard error after Hanley and McNeil 1982, from the area and the number of each class alone;
    wider than DeLong's needs to be. (0, 1), excluding nothing, at an area of 0 or 1.

    Raises:
        ValueError: the area is outside [0, 1], or a class has no case.
    """
    if not 0 <= area <= 1 or min(positives, negatives) < 1:
        raise ValueError(
            "Need an area in [0, 1] and cases of both classes, got "
            f"{area:g} of {positives} positive and {negatives} negative."
        )
    if not 0 < area < 1:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre, half = log(area / (1 - area)), z * hanley_mcneil_error(area, positives, negatives)
    half /= area * (1 - area)
    return 1 / (1 + exp(half - centre)), 1 / (1 + exp(-half - centre))


def hanley_mcneil_error(area: float, positives: float, negatives: float) -> float:
    """Standard error of an AUROC after Hanley and McNeil 1982, from the numbers of each class."""
    both_above, both_below = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area)
    spread += (positives - 1) * (both_above - area**2) + (negatives - 1) * (both_below - area**2)
    return sqrt(spread / (positives * negatives))


def z_test(
    first: tuple[float, float], second: tuple[float, float], confidence: float = 0.95
) -> float | None:
    """Two-sided p that two AUROCs of different patients are one, from their logit intervals.

    The intervals are symmetric on the logit scale, so each holds its area and standard error. None
    where one excludes nothing.
    """
    z = _logits_apart(first, second, confidence)
    return None if z is None else erfc(abs(z) / sqrt(2))


def area_higher(
    first: tuple[float, float], second: tuple[float, float], confidence: float = 0.95
) -> float | None:
    """Probability that the first of two AUROCs of different patients is the higher one.

    From these intervals alone: the share above 0 of the normal distribution around the difference
    of logits, which is what Bayes' theorem gives where nothing was known before. None where an
    interval excludes nothing.
    """
    z = _logits_apart(first, second, confidence)
    return None if z is None else NormalDist().cdf(z)


def rate_higher(first: Proportion, second: Proportion) -> float | None:
    """Probability that the first of two rates of different patients is the higher one.

    From these counts alone: each rate has Jeffreys' distribution, Beta(hits + 1/2, misses + 1/2)
    (Brown et al. 2001, Stat Sci 16:101), which assumes next to nothing before. The integral is
    Gauss and Legendre's over the arcsine of the first rate's root, where that distribution is
    smooth. None where one has no case.

    >>> rate_higher(Proportion(10, 15), Proportion(10, 15))
    0.5
    """
    from scipy.special import betainc, betaln, xlogy

    if not first.total or not second.total:
        return None
    hits, misses = first.hits, first.total - first.hits
    nodes, weights = _nodes()
    angle = (nodes + 1) * (pi / 4)
    density = 2 * np.exp(
        xlogy(2 * hits, np.sin(angle))
        + xlogy(2 * misses, np.cos(angle))
        - betaln(hits + 0.5, misses + 0.5)
    )
    below = betainc(second.hits + 0.5, second.total - second.hits + 0.5, np.sin(angle) ** 2)
    return round(float(weights @ (density * below)) * (pi / 4), 6)


@cache
def _nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places and weights of the integral, on [-1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(300)
    return nodes, weights


def _logits_apart(
    first: tuple[float, float], second: tuple[float, float], confidence: float
) -> float | None:
    """The difference of two logits, in its standard errors."""
    centres, errors = [], []
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    for low, high in (first, second):
        if not 0 < low < high < 1:
            return None
        ends = [log(bound / (1 - bound)) for bound in (low, high)]
        centres.append(sum(ends) / 2)
        errors.append((ends[1] - ends[0]) / (2 * z))
    return (centres[0] - centres[1]) / sqrt(errors[0] ** 2 + errors[1] ** 2)
