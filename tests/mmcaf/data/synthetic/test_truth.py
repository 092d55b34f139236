"""The densities behind a synthetic cohort: what is drawn has them, and their ratio is the best."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bernoulli, norm
from sklearn.metrics import roc_auc_score

from mmcaf.data.synthetic.truth import Truth, bayes_auroc, draw_sample

PUBLISHED = {  # adenocarcinoma, squamous
    "age_years": ((60.9, 10.2), (62.8, 9.2)),
    "ln_diameter_mm": ((3.77, 0.40), (4.13, 0.33)),
}


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    squamous = np.arange(60_000) % 2 == 1
    return squamous, Truth(1.0, 1.0).draw(squamous, np.random.default_rng(0))


@pytest.mark.parametrize("name", PUBLISHED)
def test_with_full_signal_the_classes_have_the_published_moments(drawn, name: str) -> None:  # type: ignore[no-untyped-def]
    squamous, latents = drawn
    for of, (mean, sd) in zip((~squamous, squamous), PUBLISHED[name], strict=True):
        assert latents[name][of].mean() == pytest.approx(mean, abs=4 * sd / 30_000**0.5)
        assert latents[name][of].std() == pytest.approx(sd, rel=0.02)


def test_with_full_signal_sexes_and_smoking_are_the_published_ones(drawn) -> None:  # type: ignore[no-untyped-def]
    squamous, latents = drawn
    male = latents["male"] == 1
    assert male[~squamous].mean() == pytest.approx(118 / 251, abs=0.012)
    assert male[squamous].mean() == pytest.approx(47 / 61, abs=0.012)
    assert latents["smoker"][squamous & male].mean() == pytest.approx(0.87, abs=0.012)
    assert latents["smoker"][~squamous & ~male].mean() == pytest.approx(0.063, abs=0.012)


def test_the_ratio_is_that_of_the_densities() -> None:
    truth = Truth(1.0, 1.0)
    case = {
        "male": np.array([1.0, 0.0]),
        "smoker": np.array([0.0, 1.0]),
        "age_years": np.array([55.0, 70.0]),
        "weight_kg": np.array([80.0, 50.0]),
        "ln_diameter_mm": np.array([4.0, 3.2]),
        "lateral_px": np.array([60.0, 100.0]),
        "solidity": np.array([1.0, -1.0]),
    }
    expected = bernoulli(47 / 61).logpmf([1, 0]) - bernoulli(118 / 251).logpmf([1, 0])
    smoking = zip((0.87, 0.15), (0.70, 0.063), (0, 1), strict=True)
    expected += [bernoulli(b).logpmf(k) - bernoulli(a).logpmf(k) for b, a, k in smoking]
    for name, value in (("age_years", 62.8), ("weight_kg", 65.7)):
        sd_b, (mean_a, sd_a) = (9.2, (60.9, 10.2)) if name == "age_years" else (12.4, (65.1, 11.8))
        expected += norm(value, sd_b).logpdf(case[name]) - norm(mean_a, sd_a).logpdf(case[name])
    assert truth.ratio(case, "clinical") == pytest.approx(expected)
    both = truth.ratio(case, "both")
    assert both == pytest.approx(truth.ratio(case, "clinical") + truth.ratio(case, "image"))


def test_without_signal_nothing_can_be_known() -> None:
    squamous = np.arange(1000) % 2 == 1
    truth = Truth(0.0, 0.0)
    latents = truth.draw(squamous, np.random.default_rng(0))
    assert truth.ratio(latents, "both") == pytest.approx(0, abs=1e-9)
    assert bayes_auroc(0.0, 0.0) == {"clinical": 0.5, "image": 0.5, "both": 0.5}


def test_signal_of_one_kind_says_nothing_of_the_other() -> None:
    found = bayes_auroc(1.0, 0.0)
    assert found["clinical"] == 0.5
    assert found["image"] == pytest.approx(found["both"], abs=1e-4)
    assert found["image"] > 0.85


def test_more_signal_is_more_to_know() -> None:
    areas = [bayes_auroc(signal, 0.0)["image"] for signal in (0.0, 0.5, 1.0, 2.0)]
    assert areas == sorted(areas)
    assert len(set(areas)) == 4


def test_a_sample_s_own_area_is_near_the_best_possible() -> None:
    truth, bayes = Truth(1.0, 1.0), bayes_auroc(1.0, 1.0)["both"]
    squamous = np.arange(40) < 12
    for seed in range(5):
        labels, latents = draw_sample(truth, squamous, bayes, seed)
        assert labels.sum() == 12
        area = roc_auc_score(labels, truth.ratio(latents, "both"))
        assert area == pytest.approx(bayes, abs=0.02)


def test_a_seed_decides_the_sample() -> None:
    truth, squamous = Truth(1.0, 1.0), np.arange(30) < 10
    once, again, other = (draw_sample(truth, squamous, 0.9, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(once[1][k], again[1][k]) for k in once[1])
    assert np.array_equal(once[0], again[0])
    assert not np.array_equal(once[1]["age_years"], other[1]["age_years"])
