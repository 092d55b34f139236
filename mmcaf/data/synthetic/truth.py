"""The truth behind a synthetic cohort: two class densities, drawn from and known exactly.

Each class parameter lies between the pooled mean and the published one by the factor `signal`; at 0
the classes are one distribution, an exact null. Because the densities are known, the best possible
(Bayes) AUROC is that of the latents' log-likelihood ratio. Anchors: the collection's published
class statistics; how smoking depends on sex is an assumption that reproduces the marginals.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mmcaf.stats.areas import auroc

__all__ = ["Latents", "Truth", "bayes_auroc", "draw_sample"]

_DRAWS = 200_000  # Monte Carlo cases behind a Bayes AUROC
_TRIES = 200  # to find a sample whose own ratio is close to it
_CLOSE = 0.02

# Published class statistics: (adenocarcinoma, squamous). Probabilities first, then mean and SD.
_PROBABILITIES = {
    "male": (118 / 251, 47 / 61),
    "smoker_if_male": (0.70, 0.87),
    "smoker_if_female": (0.063, 0.15),
}
_NORMALS = {
    "age_years": ((60.9, 10.2), (62.8, 9.2)),
    "weight_kg": ((65.1, 11.8), (65.7, 12.4)),
    "ln_diameter_mm": ((3.77, 0.40), (4.13, 0.33)),
    "lateral_px": ((85.8, 28.1), (71.8, 23.6)),  # from the midline, of 512
    "solidity": ((-0.6, 1.0), (0.6, 1.0)),  # ground glass to solid
}
_CLINICAL = ("age_years", "weight_kg")

Latents = dict[str, NDArray[np.float64]]


def bayes_auroc(signal_image: float, signal_clinical: float) -> dict[str, float]:
    """Best possible AUROC from the clinical row, the image and both, by Monte Carlo."""
    random = np.random.default_rng(0)
    squamous = random.random(_DRAWS) < 0.5
    truth = Truth(signal_image, signal_clinical)
    latents = truth.draw(squamous, random)
    return {
        what: round(auroc(squamous.astype(int), truth.ratio(latents, what)), 4)
        for what in ("clinical", "image", "both")
    }


def draw_sample(
    truth: Truth, squamous: NDArray[np.bool_], bayes: float, seed: int
) -> tuple[NDArray[np.bool_], Latents]:
    """Shuffled labels and latents; of several draws the first whose own AUROC is near `bayes`."""
    best: tuple[float, NDArray[np.bool_], Latents] | None = None
    for attempt in range(_TRIES):
        random = np.random.default_rng([seed, attempt])
        labels = random.permutation(squamous)
        latents = truth.draw(labels, random)
        off = abs(auroc(labels.astype(int), truth.ratio(latents, "both")) - bayes)
        if best is None or off < best[0]:
            best = (off, labels, latents)
        if off <= _CLOSE or bayes == 0.5:
            break
    if best is None:
        raise ValueError("Need at least one draw.")
    return best[1], best[2]


class Truth:
    """Two class densities, `signal` of the way from their pooled mean to the published ones."""

    def __init__(self, signal_image: float, signal_clinical: float) -> None:
        self._probabilities = {
            name: tuple(_apart_probability(pair, signal_clinical))
            for name, pair in _PROBABILITIES.items()
        }
        self._normals = {
            name: _apart(pair, signal_clinical if name in _CLINICAL else signal_image)
            for name, pair in _NORMALS.items()
        }

    def draw(self, squamous: NDArray[np.bool_], random: np.random.Generator) -> Latents:
        """Latents of cases of the given classes, shape (cases,) each."""
        count = len(squamous)
        p = {name: np.where(squamous, b, a) for name, (a, b) in self._probabilities.items()}
        male = random.random(count) < p["male"]
        smokes = np.where(male, p["smoker_if_male"], p["smoker_if_female"])
        drawn: Latents = {
            "male": male.astype(float),
            "smoker": (random.random(count) < smokes).astype(float),
        }
        for name, ((mean_a, sd_a), (mean_b, sd_b)) in self._normals.items():
            mean, sd = np.where(squamous, mean_b, mean_a), np.where(squamous, sd_b, sd_a)
            drawn[name] = random.normal(mean, sd)
        return drawn

    def ratio(self, latents: Mapping[str, NDArray[np.float64]], what: str) -> NDArray[np.float64]:
        """Log-likelihood ratio, squamous against adenocarcinoma, per case."""
        total = np.zeros(len(latents["male"]))
        if what in ("clinical", "both"):
            male, smoker = latents["male"] == 1, latents["smoker"] == 1
            total += _log_odds(male, *self._probabilities["male"])
            of_male = _log_odds(smoker, *self._probabilities["smoker_if_male"])
            of_female = _log_odds(smoker, *self._probabilities["smoker_if_female"])
            total += np.where(male, of_male, of_female)
        for name, (adeno, squamous) in self._normals.items():
            if what == "both" or (name in _CLINICAL) == (what == "clinical"):
                total += _log_density(latents[name], *squamous)
                total -= _log_density(latents[name], *adeno)
        return total


Pair = tuple[tuple[float, float], tuple[float, float]]


def _apart(pair: Pair, signal: float) -> Pair:
    (mean_a, sd_a), (mean_b, sd_b) = pair
    mean, sd = (mean_a + mean_b) / 2, (sd_a + sd_b) / 2
    return (
        (mean + signal * (mean_a - mean), max(sd + signal * (sd_a - sd), 0.1 * sd)),
        (mean + signal * (mean_b - mean), max(sd + signal * (sd_b - sd), 0.1 * sd)),
    )


def _apart_probability(pair: tuple[float, float], signal: float) -> tuple[float, float]:
    logits = np.log(pair) - np.log1p(-np.array(pair))
    moved = logits.mean() + signal * (logits - logits.mean())
    low, high = 1 / (1 + np.exp(-moved))
    return float(low), float(high)


def _log_odds(holds: NDArray[np.bool_], adeno: float, squamous: float) -> NDArray[np.float64]:
    if_so, if_not = np.log(squamous / adeno), np.log((1 - squamous) / (1 - adeno))
    odds: NDArray[np.float64] = np.asarray(np.where(holds, if_so, if_not), dtype=np.float64)
    return odds


def _log_density(x: NDArray[np.float64], mean: float, sd: float) -> NDArray[np.float64]:
    density: NDArray[np.float64] = -(((x - mean) / sd) ** 2) / 2 - np.log(sd)
    return density
