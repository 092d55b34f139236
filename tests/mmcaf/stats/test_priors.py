"""Probabilities learnt at one share of positive cases, said for another."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from mmcaf.stats.priors import Share, corrected, mean_share

SHARES = st.floats(0.01, 0.99)


def drawn(random: np.random.Generator, cases: int) -> tuple[np.ndarray, np.ndarray]:
    """Two features of cases of whom a fifth are positive, and their labels."""
    labels = (random.random(cases) < 0.2).astype(int)
    return random.normal(labels[:, None] * [1.0, 0.6], 1.0, (cases, 2)), labels


def evenly(random: np.random.Generator, labels: np.ndarray) -> np.ndarray:
    """Rows as training draws them: the positive repeated until they are as many as the others."""
    sick, well = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    return np.concatenate([well, np.resize(random.permutation(sick), len(well))])


def intercept(labels: np.ndarray, p: np.ndarray) -> float:
    """Calibration in the large, by statsmodels."""
    logits, family = np.log(p / (1 - p)), sm.families.Binomial()
    return float(sm.GLM(labels, np.ones(len(p)), family=family, offset=logits).fit().params[0])


def test_it_is_king_and_zengs_correction_of_the_intercept() -> None:
    random = np.random.default_rng(0)
    x, y = drawn(random, 400)
    rows = evenly(random, y)
    fitted = sm.Logit(y[rows], sm.add_constant(x[rows])).fit(disp=0)
    share = y.mean()
    moved = fitted.params.copy()
    moved[0] -= np.log((1 - share) / share * y[rows].mean() / (1 - y[rows].mean()))
    of = Share.drawn(int(y.sum()), len(y), evenly=True)
    theirs = fitted.model.cdf(sm.add_constant(x) @ moved)
    assert corrected(fitted.predict(sm.add_constant(x)), of) == pytest.approx(theirs, abs=1e-12)


def test_it_is_bayes_rule_with_other_priors() -> None:
    density: dict[int, Callable[[np.ndarray], np.ndarray]] = {
        k: lambda x, k=k: np.exp(-((x - k) ** 2) / 2) for k in (0, 1)
    }
    x = np.linspace(-3, 4, 30)

    def posterior(share: float) -> np.ndarray:
        yes = share * density[1](x)
        return yes / (yes + (1 - share) * density[0](x))

    assert corrected(posterior(0.5), Share(0.5, 0.15)) == pytest.approx(posterior(0.15))
    assert corrected(posterior(0.3), Share(0.3, 0.7)) == pytest.approx(posterior(0.7))


def test_what_was_learnt_evenly_is_calibrated_after_it_and_was_not_before() -> None:
    """The figures of an oversampled logistic regression at 20 %: -1.41 before, near 0 after."""
    random = np.random.default_rng(1)
    before, after, brier = [], [], []
    for _ in range(40):
        x, y = drawn(random, 240)
        rows = evenly(random, y)
        fitted = sm.Logit(y[rows], sm.add_constant(x[rows])).fit(disp=0)
        unseen, truth = drawn(random, 400)
        raw = fitted.predict(sm.add_constant(unseen))
        own = corrected(raw, Share.drawn(int(y.sum()), len(y), evenly=True))
        before.append(intercept(truth, raw))
        after.append(intercept(truth, own))
        brier.append([np.mean((p - truth) ** 2) for p in (raw, own)])
    assert np.mean(before) == pytest.approx(-1.4, abs=0.15)
    assert abs(np.mean(after)) < 0.2
    assert np.mean(brier, axis=0)[0] > np.mean(brier, axis=0)[1] + 0.03


@given(SHARES, SHARES, st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_order_and_ends_stay(learnt: float, own: float, p: list[float]) -> None:
    order = np.argsort(p, kind="stable")
    found = corrected(p, Share(learnt, own))
    assert (np.diff(found[order]) >= 0).all()
    assert corrected([0.0, 1.0], Share(learnt, own)).tolist() == [0.0, 1.0]
    assert corrected(found, Share(own, learnt)) == pytest.approx(p, abs=1e-6)
    assert corrected(learnt, Share(learnt, own)) == pytest.approx(own)


def test_positive_cases_are_repeated_up_to_one_half_and_never_beyond() -> None:
    assert Share.drawn(20, 100, evenly=True) == Share(0.5, 0.2)
    assert Share.drawn(20, 100, evenly=False).shift == 0
    assert Share.drawn(60, 100, evenly=True) == Share(0.6, 0.6)


def test_an_ensemble_has_one_shift() -> None:
    found = mean_share([Share(0.5, 0.2), Share(0.5, 0.3)])
    assert (found.learnt, found.own) == (0.5, pytest.approx(0.25))
    with pytest.raises(ValueError, match="share of one network at least"):
        mean_share([])


@pytest.mark.parametrize("share", [(0.0, 0.5), (0.5, 1.0)])
def test_a_share_of_one_class_is_refused(share: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"Need shares between 0 and 1"):
        Share(*share)
    with pytest.raises(ValueError, match="cases of both classes, got 0 positive of 5"):
        Share.drawn(0, 5, evenly=True)


@pytest.mark.parametrize("odd", [-0.1, 1.5, np.nan])
def test_what_is_no_probability_is_not_corrected(odd: float) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        corrected([0.5, odd], Share(0.5, 0.2))
