"""What a test could have shown: held against statsmodels, scipy and the tests themselves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom, fisher_exact, multinomial, norm
from statsmodels.stats.power import TTestPower

from mmcaf.stats.areas import PairedAreas, delong
from mmcaf.stats.metrics import Proportion
from mmcaf.stats.paired import Discordant
from mmcaf.stats.power import detectable_area, detectable_calls, detectable_gap, detectable_rate
from mmcaf.stats.unpaired import hanley_mcneil

THEIRS = hanley_mcneil(0.56, 15, 28)


class TestGap:
    @pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
    def test_it_is_that_of_a_paired_t_test(self, alpha: float) -> None:
        """With many cases; with few the sum of two quantiles is a little more."""
        error, n = 0.02, 400
        found = PairedAreas(0.7, 0.7, 0.0, None, 1.0, error, n - 1)
        expected = TTestPower().solve_power(nobs=n, alpha=alpha, power=0.8) * error * np.sqrt(n)
        assert detectable_gap(found, alpha) == pytest.approx(expected, rel=0.005)

    def test_delongs_test_has_that_power(self) -> None:
        random, labels = np.random.default_rng(2), np.repeat([1, 0], [60, 240])

        def scores(area: float) -> np.ndarray:
            return random.normal(size=300) + norm.ppf(area) * np.sqrt(2) * labels

        told = [delong(labels, scores(0.85), scores(0.72)) for _ in range(40)]
        gap = float(np.mean([detectable_gap(one) for one in told]))
        shown = [delong(labels, scores(0.72 + gap), scores(0.72)).p for _ in range(300)]
        assert np.mean([p is not None and p < 0.05 for p in shown]) == pytest.approx(0.8, abs=0.07)

    def test_nothing_where_the_areas_cannot_be_so_far_apart_or_have_no_spread(self) -> None:
        assert detectable_gap(PairedAreas(0.9, 0.95, -0.05, None, 0.5, 0.03, 40)) is None
        assert detectable_gap(delong([1, 0], [1, 0], [0, 1])) is None


class TestArea:
    def test_the_z_test_has_that_power(self) -> None:
        """Of ours drawn anew with Hanley and McNeil's error, on the logit scale."""
        gap = detectable_area(0.56, THEIRS, positives=46, negatives=223, alpha=0.05 / 36)
        assert gap is not None
        centre, spread = self.logit(0.56 + gap, 46, 223)
        of_theirs, error = self.logit(0.56, 15, 28)
        ours = np.random.default_rng(0).normal(centre, spread, 4000)
        found = [self.logit(area, 46, 223) for area in expit(ours)]
        z = [(own - of_theirs) / np.hypot(spread, error) for own, spread in found]
        assert np.mean(2 * norm.sf(z) < 0.05 / 36) == pytest.approx(0.8, abs=0.02)

    def logit(self, area: float, positives: int, negatives: int) -> tuple[float, float]:
        ends = [np.log(b / (1 - b)) for b in hanley_mcneil(area, positives, negatives)]
        return float(np.mean(ends)), float(np.ptp(ends)) / (2 * norm.ppf(0.975))

    def test_more_cases_and_a_smaller_family_show_smaller_differences(self) -> None:
        def least(n: int, alpha: float = 0.05) -> float:
            found = detectable_area(0.56, THEIRS, positives=n, negatives=2 * n, alpha=alpha)
            return found or 1.0

        assert least(200) < least(50) < least(20)
        assert least(50) < least(50, 0.05 / 36)

    def test_folds_cost_a_little(self) -> None:
        one, five = (
            detectable_area(0.56, THEIRS, positives=50, negatives=100, folds=folds)
            for folds in (1, 5)
        )
        assert one is not None
        assert five is not None
        assert one < five < one + 0.02

    def test_some_rows_nothing_can_outperform(self) -> None:
        theirs = hanley_mcneil(0.786, 15, 28)
        assert detectable_area(0.786, theirs, positives=46, negatives=223, alpha=0.05 / 36) is None
        assert detectable_area(0.56, (0.0, 1.0), positives=46, negatives=223) is None
        assert detectable_area(0.56, THEIRS, positives=0, negatives=223) is None


class TestRate:
    @pytest.mark.parametrize(("n", "theirs"), [(100, (10, 15)), (46, (4, 15)), (223, (18, 28))])
    def test_fishers_test_has_exactly_that_power(self, n: int, theirs: tuple[int, int]) -> None:
        hits, total = theirs
        gap = detectable_rate(n, Proportion(hits, total))
        assert gap is not None
        fewest = next(
            k
            for k in range(round(n * hits / total), n + 1)
            if fisher_exact([[k, n - k], [hits, total - hits]]).pvalue < 0.05
        )
        assert binom.sf(fewest - 1, n, hits / total + gap) == pytest.approx(0.8)

    def test_a_rate_near_1_nothing_can_exceed(self) -> None:
        assert detectable_rate(223, Proportion(27, 28)) is None
        assert detectable_rate(0, Proportion(10, 15)) is None
        assert detectable_rate(20, Proportion(0, 0)) is None


class TestCalls:
    @pytest.mark.parametrize(("alone", "n"), [(2, 43), (8, 120)])
    def test_mcnemars_test_has_exactly_that_power(self, alone: int, n: int) -> None:
        gap = detectable_calls(Discordant(3, alone, n), theirs=0.6)
        assert gap is not None
        second = alone / n
        shares = [second + gap, second, 1 - 2 * second - gap]
        power = sum(
            multinomial.pmf([a, b, n - a - b], n, shares)
            for a in range(n + 1)
            for b in range(min(a, n - a) + 1)
            if Discordant(a, b, n).p < 0.05
        )
        assert power == pytest.approx(0.8, abs=0.005)

    def test_no_more_can_be_gained_than_is_left(self) -> None:
        assert detectable_calls(Discordant(3, 2, 43), theirs=0.9) is None
        assert detectable_calls(Discordant(0, 0, 0), theirs=0.5) is None
