"""Do explanations depend on what was learnt? The check of Adebayo et al. (2018).

A network's parts are given fresh random weights one after another, from the logit down to the
image (cascading randomisation); the last step leaves nothing of what was learnt. An explanation
that stays the same as the weights go is one of the picture, not of the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

__all__ = ["cascade", "rank_correlation"]


def cascade(
    net: nn.Module, fresh: nn.Module, order: Sequence[str]
) -> Iterator[tuple[str, nn.Module]]:
    """(name of the part just randomised, the network so far), the logit's part first.

    The same copy is yielded again and again; `net` is unchanged.

    Args:
        net: the trained network.
        fresh: one of the same structure, untrained; its weights, and its running statistics, are
            what a part is given.
        order: the parts in the order in which they compute, see `call_order`.
    """
    copy = deepcopy(net)
    for name in order[:0:-1]:
        copy.get_submodule(name).load_state_dict(fresh.get_submodule(name).state_dict())
        yield name, copy
    copy.load_state_dict(fresh.state_dict())  # and whatever belongs to no part
    yield order[0], copy


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float | None:
    """Spearman's, over all elements; None of fewer than three, or where either is
    constant: there are no ranks."""
    a, b = np.ravel(a), np.ravel(b)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)
