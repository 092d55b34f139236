"""Whether a value depends on settings: partial F tests under values dealt anew to the trials.

Pure numpy. One additive model has every setting in it, so that a setting is not credited with what
another one does beside which it was tried.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

__all__ = ["dependence"]

Columns = NDArray[np.float64]  # (trials, columns) of one setting in the model, without a constant


def dependence(
    settings: Mapping[str, Columns], values: NDArray[np.float64], *, deals: int = 999, seed: int = 0
) -> dict[str, float]:
    """p of each setting under values dealt anew, adjusted for all settings by step-down min p.

    The statistic is the partial F of the setting's columns, which is pivotal: dealing the values
    themselves then keeps its level (Anderson and Legendre 1999). The adjustment is that of Westfall
    and Young (1993). With more columns than half of the trials each setting is in a model alone.

    Args:
        settings: columns of each, with one row per trial.
        values: (trials,).
        deals: number of them; the least p is 1 / (deals + 1).
        seed: of the deals.

    >>> x = np.linspace(-1, 1, 40)
    >>> dependence({"rate": x[:, None]}, 2 * x + np.sin(99 * x))
    {'rate': 0.001}
    """
    random = np.random.default_rng(seed)
    dealt = np.stack([values, *(random.permutation(values) for _ in range(deals))])
    dealt = (dealt - values.mean()).T  # [trials, 1 + deals]
    crowded = sum(of.shape[1] for of in settings.values()) > len(values) / 2
    tails = np.stack([_tail(settings, name, dealt, alone=crowded) for name in settings])
    return dict(zip(settings, _adjusted(tails).tolist(), strict=True))


def _tail(
    settings: Mapping[str, Columns], name: str, values: NDArray[np.float64], *, alone: bool
) -> NDArray[np.float64]:
    """The F distribution's tail of the setting's partial F, for each column of `values`."""
    from scipy.special import fdtrc

    others = [] if alone else [of for other, of in settings.items() if other != name]
    without = _basis(others, len(values))
    whole = _basis([*others, settings[name]], len(values))
    gained, left = whole.shape[1] - without.shape[1], len(values) - whole.shape[1]
    if gained == 0 or left == 0:  # another setting says the same, or nothing is left to judge by
        return np.ones(values.shape[1])
    unexplained = (values**2).sum(axis=0) - ((whole.T @ values) ** 2).sum(axis=0)
    explained = ((whole.T @ values) ** 2).sum(axis=0) - ((without.T @ values) ** 2).sum(axis=0)
    ratio = (explained / gained).clip(0) / (unexplained / left).clip(1e-300)
    tail: NDArray[np.float64] = fdtrc(gained, left, ratio)
    return tail


def _basis(parts: list[Columns], trials: int) -> NDArray[np.float64]:
    """An orthonormal basis of the constant and these columns."""
    design = np.hstack([np.ones((trials, 1)), *parts])
    design = design / np.linalg.norm(design, axis=0).clip(1e-300)
    left, size, _ = np.linalg.svd(design, full_matrices=False)
    kept: NDArray[np.float64] = left[:, size > 1e-9 * size[0]]
    return kept


def _adjusted(tails: NDArray[np.float64]) -> NDArray[np.float64]:
    """Step-down min p of the first column of `tails`, [settings, 1 + deals]."""
    seen, dealt = tails[:, 0], tails[:, 1:]
    order, p, least = np.argsort(seen), np.ones(len(seen)), 0.0
    for rank, place in enumerate(order):
        smallest = dealt[order[rank:]].min(axis=0)
        least = max(least, (1 + int((smallest <= seen[place]).sum())) / (dealt.shape[1] + 1))
        p[place] = least
    return p
