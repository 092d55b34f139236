"""How far a setting moves predictions, beside how far another training seed does.

Pure numpy. A network trained twice from two seeds says two things of the same patient. A setting
whose two extremes differ by less than that cannot be told from luck in a search that trains each
trial once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmcaf.stats.estimates import Estimate

__all__ = ["Movement", "movement"]

_MOST = 20.0  # of a logarithm: beyond, nothing is known but that it is far

Logits = NDArray[np.float64]  # (seeds, patients)


@dataclass(frozen=True, slots=True)
class Movement:
    """How far predictions move, in logits, and as a share of what another seed moves them."""

    moved: float  # root mean square over seeds and patients, between the extremes at one seed
    by_seed: float  # the same between two seeds
    share: Estimate  # moved / by_seed
    steady: Estimate  # the part of it that is the same at every seed


def movement(low: Logits, high: Logits, base: Logits, *, confidence: float = 0.95) -> Movement:
    """How far a setting moves the logits of held-out patients.

    The interval is a jackknife over seeds (Efron and Tibshirani 1993, chapter 11) with Student's
    quantile: it tells what other seeds would say of these patients, not of others. `steady` takes
    from the squared mean over seeds what chance leaves in it. A setting that changes which weights
    there are draws others at the same seed, so its `share` begins near 1 and its `steady` near 0.

    Args:
        low: logits after training with one extreme, (seeds, patients).
        high: with the other one, at the same seeds.
        base: with neither, of two seeds or more; they need not be those of `low`.
        confidence: of the intervals.

    Raises:
        ValueError: shapes that do not fit, or fewer than two seeds.
    """
    if low.shape != high.shape or low.ndim != 2 or low.shape[1:] != base.shape[1:]:
        raise ValueError(f"need logits of the same patients, got {low.shape} and {base.shape}")
    if min(len(low), len(base)) < 2:
        raise ValueError(f"need two seeds at least, got {min(len(low), len(base))}")
    change = high - low
    moved, by_seed = float(np.sqrt(np.mean(change**2))), float(np.sqrt(_between(base)))
    return Movement(
        moved=moved,
        by_seed=by_seed,
        share=_estimate(change, base, lambda of: float(np.mean(of**2)), confidence),
        steady=_estimate(change, base, _steady, confidence),
    )


def _between(base: Logits) -> float:
    """Mean square difference of two seeds, over all pairs and patients."""
    return float(2 * np.mean(np.var(base, axis=0, ddof=1)))


def _steady(change: Logits) -> float:
    """Mean square over patients of the change that all seeds share; below 0 by chance."""
    chance = np.var(change, axis=0, ddof=1) / len(change)
    return float(np.mean(change.mean(axis=0) ** 2 - chance))


def _estimate(
    change: Logits, base: Logits, square: Callable[[Logits], float], confidence: float
) -> Estimate:
    """The root of `square(change)` over that between seeds, with its jackknife interval."""
    from scipy.special import stdtrit

    n, between = len(change), _between(base)
    if not np.any(change):
        return Estimate(0.0, 0.0, 0.0, n)
    if between == 0:
        return Estimate(np.inf, np.inf, np.inf, n)
    whole = square(change) / between
    if min(n, len(base)) < 3:  # nothing is left of a sample without one of its two
        return Estimate(_root(whole), np.nan, np.nan, n)
    left_out = [square(np.delete(change, seed, 0)) / between for seed in range(n)]
    others = [square(change) / _between(np.delete(base, seed, 0)) for seed in range(len(base))]
    variance = sum((len(of) - 1) * float(np.var(of)) for of in (left_out, others))
    half = float(stdtrit(min(n, len(base)) - 1, (1 + confidence) / 2)) * variance**0.5
    if square is _steady or min(left_out) <= 0:
        return Estimate(_root(whole), _root(whole - half), _root(whole + half), n)
    # A square is skewed: its logarithm is nearer to normal.
    factor = float(np.exp(min(half / whole, _MOST)))
    return Estimate(_root(whole), _root(whole / factor), _root(whole * factor), n)


def _root(square: float) -> float:
    return float(max(square, 0.0) ** 0.5)
