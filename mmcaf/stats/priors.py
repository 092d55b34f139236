"""A probability learnt at one share of positive cases, said for another: a shift of its log-odds.

A network whose training drew both classes evenly answers for a world in which half of the patients
are positive. Where only the shares of the classes differ between two worlds, and not how patients
of a class look, the odds of one are those of the other times the ratio of the prior odds (Saerens,
Latinne and Decaestecker 2002, Neural Computation 14:21; of a logistic regression it is King and
Zeng's prior correction of the intercept, 2001, Political Analysis 9:137). Ranks stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["EVEN", "Share", "World", "corrected", "mean_share"]

EVEN = 0.5


@dataclass(frozen=True, slots=True)
class Share:
    """The share of positive cases a network learnt at, and that of the patients it is to be right
    for; both strictly between 0 and 1.

    >>> round(Share(learnt=0.5, own=0.2).shift, 3)
    -1.386
    """

    learnt: float
    own: float

    def __post_init__(self) -> None:
        if not (0 < self.learnt < 1 and 0 < self.own < 1):
            raise ValueError(
                f"Need shares between 0 and 1, got learnt={self.learnt:g} and own={self.own:g}."
            )

    @classmethod
    def drawn(cls, positives: int, cases: int, *, evenly: bool) -> Share:
        """Of a training set: `evenly` says that positive cases were repeated up to one half; where
        they are more than that, nothing is repeated.

        >>> Share.drawn(20, 100, evenly=True)
        Share(learnt=0.5, own=0.2)

        Raises:
            ValueError: a class has no case.
        """
        if not 0 < positives < cases:
            raise ValueError(f"Need cases of both classes, got {positives} positive of {cases}.")
        own = positives / cases
        return cls(max(own, EVEN) if evenly else own, own)

    @property
    def shift(self) -> float:
        """What is added to a logit."""
        return log(self.own / (1 - self.own)) - log(self.learnt / (1 - self.learnt))


def corrected(probabilities: ArrayLike, share: Share) -> NDArray[np.float64]:
    """Probabilities of any shape, learnt at `share.learnt`, for patients of whom `share.own` are
    positive; 0 and 1 stay what they are.

    >>> [round(float(p), 3) for p in corrected([0.0, 0.5, 0.8, 1.0], Share(learnt=0.5, own=0.2))]
    [0.0, 0.2, 0.5, 1.0]

    Raises:
        ValueError: a probability outside [0, 1], or NaN.
    """
    p = np.asarray(probabilities, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("Need probabilities in [0, 1], got others.")
    yes = p * (share.own / share.learnt)
    no = (1 - p) * ((1 - share.own) / (1 - share.learnt))
    return np.asarray(yes / (yes + no))


def mean_share(shares: Sequence[Share]) -> Share:
    """That of the mean of several networks' probabilities: one shift for all, so that it keeps
    their order.

    Raises:
        ValueError: there is none.
    """
    if not shares:
        raise ValueError("Need the share of one network at least, got none.")
    learnt, own = (float(np.mean([getattr(s, n) for s in shares])) for n in ("learnt", "own"))
    return Share(learnt, own)


@dataclass(frozen=True, slots=True)
class World:
    """What the probabilities of a trial's networks are true of, fold by fold."""

    shares: tuple[Share, ...]  # of each fold; empty where they are not known
    why_not: str = ""  # why they are not, as a clause

    @property
    def known(self) -> bool:
        """Whether probabilities can be corrected."""
        return bool(self.shares)

    @property
    def ensemble(self) -> Share | None:
        """Of the mean of all folds' networks."""
        return mean_share(self.shares) if self.shares else None

    @property
    def changes(self) -> bool:
        """Whether a corrected probability is another than the raw one."""
        return any(share.shift for share in self.shares)

    def of_call(self, threshold: float) -> float | None:
        """The corrected probability that a raw threshold is."""
        share = self.ensemble
        return None if share is None else float(corrected(threshold, share))

    @property
    def sentence(self) -> str:
        """What was done to the probabilities that are shown, in words."""
        share = self.ensemble
        if share is None:
            return f"Probabilities are raw, as the networks gave them: {self.why_not}."
        if not self.changes:
            return (
                "Training counted every patient once, so probabilities are of the patients' "
                f"own share of squamous ones ({share.own:.0%}) and need no correction."
            )
        return (
            "Training drew both classes evenly, so raw probabilities are of a world with "
            f"{share.learnt:.0%} squamous patients. Corrected ones are shifted on the logit scale "
            f"to the {share.own:.0%} of the training folds (Saerens et al. 2002). Calls are made "
            f"on the raw scale: raw 0.50 is corrected {self.of_call(0.5):.2f}."
        )
