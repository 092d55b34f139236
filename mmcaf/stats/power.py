"""The smallest difference that a test would have shown, at its number of cases.

Where a test shows nothing, a reader asks what it could have shown. Each function here answers for
one test: how large the true difference in favour of the first method had to be, so that the test
calls it significant in 80 of 100 samples as large as this one. The second method stands as it was
found. `alpha` is the level of the single test: of m tests corrected together after Holm give
0.05 / m, which is what its first step asks. None: however good the first method, no such power.
"""

from __future__ import annotations

from bisect import bisect_left
from math import ceil, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mmcaf.stats.areas import PairedAreas
from mmcaf.stats.metrics import Proportion
from mmcaf.stats.paired import Discordant
from mmcaf.stats.unpaired import fisher, hanley_mcneil_error

__all__ = ["POWER", "detectable_area", "detectable_calls", "detectable_gap", "detectable_rate"]

POWER = 0.8
_STEPS = 500  # of a rate or an area between 0 and 1


def detectable_gap(found: PairedAreas, alpha: float = 0.05, power: float = POWER) -> float | None:
    """Difference of two AUROCs of the same cases: (t_(1 - alpha/2) + t_power) standard errors.

    The error is the one found, so this holds for methods as much alike as these two (the usual
    formula of a power of a t test, with DeLong's error and its degrees of freedom).
    """
    from scipy.special import stdtrit

    if not found.error > 0:
        return None
    quantiles = stdtrit(found.freedom, [1 - alpha / 2, power])
    gap = float(sum(quantiles)) * found.error
    return gap if gap <= 1 - found.second else None


def detectable_area(
    theirs: float,
    interval: tuple[float, float],
    *,
    positives: int,
    negatives: int,
    folds: int = 1,
    alpha: float = 0.05,
    power: float = POWER,
    confidence: float = 0.95,
) -> float | None:
    """Difference of the AUROC of new cases to one published, by `unpaired.z_test`.

    What was published is not drawn anew, only ours is: its logit is normal around the true one, and
    its standard error, at the true area and at each one found, is Hanley and McNeil's (1982).

    Args:
        theirs: the published area.
        interval: its interval, symmetric on the logit scale.
        positives: number of positive cases of ours.
        negatives: number of negative ones.
        folds: how many networks share them.
        alpha: level of the test, two-sided.
        power: chance wanted.
        confidence: of `interval`.
    """
    low, high = interval
    if not 0 < low < high < 1 or min(positives, negatives) < folds:
        return None
    quantile, share = NormalDist().inv_cdf, np.vectorize(NormalDist().cdf)
    ends = [log(bound / (1 - bound)) for bound in (low, high)]
    error = (ends[1] - ends[0]) / (2 * quantile((1 + confidence) / 2))
    areas = np.linspace(theirs, 1, _STEPS, endpoint=False)[1:]
    logits = np.log(areas / (1 - areas))
    own = np.array(
        [
            hanley_mcneil_error(a, positives / folds, negatives / folds) / (a * (1 - a))
            for a in areas.tolist()
        ]
    ) / sqrt(folds)
    significant = np.flatnonzero(
        logits - sum(ends) / 2 > quantile(1 - alpha / 2) * np.hypot(own, error)
    )  # one stretch: nearest to 1 the error grows beyond all differences
    if not len(significant):
        return None
    first, last = logits[significant[0]], logits[significant[-1]]
    enough = share((last - logits) / own) - share((first - logits) / own) >= power
    return float(areas[enough.argmax()]) - theirs if enough.any() else None


def detectable_rate(
    ours: int, theirs: Proportion, alpha: float = 0.05, power: float = POWER
) -> float | None:
    """Difference of the rate among `ours` new cases to one published, by Fisher's exact test.

    What was published is not drawn anew, only ours is. Exact: the fewest hits that are significant,
    and the rate that gives so many with the chance wanted (Clopper and Pearson's equation).

    >>> round(detectable_rate(100, Proportion(10, 15)) or 0, 3)
    0.233
    """
    from scipy.special import betaincinv

    def significant(hits: int) -> bool:
        p = fisher(Proportion(hits, ours), theirs)
        return p is not None and p < alpha

    if not theirs.total or not significant(ours):
        return None
    fewest = bisect_left(
        range(ours + 1), True, lo=ceil(float(theirs) * ours), key=significant
    )  # above theirs p falls
    gap = float(betaincinv(fewest, ours - fewest + 1, power)) - float(theirs)
    return gap if gap > 0 else None


def detectable_calls(
    found: Discordant, theirs: float, alpha: float = 0.05, power: float = POWER
) -> float | None:
    """Difference of two accuracies on the same cases, by McNemar's exact test.

    Exact, if the second method alone is right as often as found (the share of cases on which the
    methods differ decides the power, Connor 1987, Biometrics 43:207).

    Args:
        found: the cases that one method alone got right.
        theirs: accuracy of the second method; no difference above the rest of it can be.
        alpha: level of the test, two-sided.
        power: chance wanted.
    """
    if not found.n:
        return None
    second = found.only_second / found.n
    needed = _needed(found.n, alpha)
    most = min(1 - theirs, 1 - second)  # of the first alone right

    def enough(step: int) -> bool:
        return _mcnemar_power(most * step / _STEPS, second, needed) >= power

    if not enough(_STEPS):
        return None
    step = bisect_left(range(_STEPS + 1), True, key=enough)
    gap = most * step / _STEPS - second
    return gap if gap > 0 else None


def _needed(n: int, alpha: float) -> NDArray[np.int64]:
    """(n + 1,) of d cases that one method alone got right, how many must be the first's."""
    from scipy.special import betainc

    needed, k = np.empty(n + 1, dtype=np.int64), 1
    for d in range(n + 1):
        while k <= d and 2 * betainc(k, d - k + 1, 0.5) >= alpha:
            k += 1
        needed[d] = k  # d + 1: cannot be
    return needed


def _mcnemar_power(first: float, second: float, needed: NDArray[np.int64]) -> float:
    from scipy.special import betainc, gammaln, xlog1py, xlogy

    n, d = len(needed) - 1, np.arange(len(needed))
    either = min(1.0, first + second)
    if not either > 0:
        return 0.0
    ways = gammaln(n + 1) - gammaln(d + 1) - gammaln(n - d + 1)
    chance = np.exp(ways + xlogy(d, either) + xlog1py(n - d, -either))
    can = needed <= d
    tail = betainc(needed[can], (d - needed)[can] + 1, first / either)
    return float(chance[can] @ tail)
