"""A choice made on the other folds, and how far chance moves what it gets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmcaf.stats.areas import auroc, auroc_standard_error, delong
from mmcaf.stats.choice import chance, picked, with_chance
from mmcaf.stats.estimates import Outcomes


def drawn(seed: int, trials: int, n: int = 60, folds: int = 3, signal: float = 1.0) -> Outcomes:
    """As good trials, n cases of which a third is positive, a shift between folds."""
    random = np.random.default_rng(seed)
    label = (np.arange(n) % 3 == 0).astype(np.int64)
    fold = np.arange(n) // 3 % folds
    scores = random.normal(size=n) + random.normal(size=(trials, n)) + signal * 1.4 * label
    scores += random.normal(size=(trials, folds))[:, fold]
    return Outcomes(np.arange(n), fold, label, scores)


def twice(once: Outcomes) -> Outcomes:
    """Each case in a second repeat of the folds as well, with the same scores."""
    return Outcomes(
        case=np.tile(once.case, 2),
        fold=np.concatenate([once.fold, once.fold + once.fold.max() + 1]),
        label=np.tile(once.label, 2),
        score=np.tile(once.score, 2),
    )


def test_each_fold_is_judged_by_the_best_on_the_others() -> None:
    of = drawn(0, 12)
    areas = np.array(
        [[auroc(of.label[of.fold == f], s[of.fold == f]) for f in range(3)] for s in of.score]
    )
    expected = [int(np.delete(areas, f, axis=1).mean(axis=1).argmax()) for f in range(3)]
    found = picked(of)
    assert found is not None
    assert found.tolist() == [expected[f] for f in of.fold]


def test_folds_that_share_cases_choose_nothing_for_each_other() -> None:
    once = drawn(1, 8)
    plain, doubled = picked(once), picked(twice(once))
    assert plain is not None
    assert doubled is not None
    assert doubled.tolist() == [*plain, *plain]
    assert picked(replace(once, fold=np.zeros(60, dtype=np.int64))) is None


def test_each_draw_chooses_by_its_own_areas() -> None:
    """By hand: every case's pull on the area of each trial, its sign, and the best on the rest."""
    of, draws = drawn(9, 6, n=24), 20
    random = np.random.Generator(np.random.Philox(0))
    signs = random.choice((-1.0, 1.0), size=(draws, 24))
    expected = np.zeros(draws)
    for draw in range(draws):
        moved = np.zeros((3, 6))
        for fold in range(3):
            inside = of.fold == fold
            cases = [np.flatnonzero(inside & (of.label == label)) for label in (0, 1)]
            for trial, scores in enumerate(of.score):
                area = auroc(of.label[inside], scores[inside])
                for own, others, way in ((cases[1], cases[0], 1), (cases[0], cases[1], -1)):
                    for case in own:
                        share = np.mean(way * scores[case] > way * scores[others])
                        pull = (share - area) / np.sqrt(len(own) * (len(own) - 1))
                        moved[fold, trial] += signs[draw, case] * pull
        best = [np.delete(moved, fold, axis=0).sum(axis=0).argmax() for fold in range(3)]
        expected[draw] = np.mean([moved[fold, best[fold]] for fold in range(3)])
    assert chance(of, resamples=draws) == pytest.approx(expected)


def test_of_one_method_chance_has_delongs_error() -> None:
    of = drawn(2, 1, n=90)
    moved = chance(of, resamples=20_000)
    error = auroc_standard_error(of.label, of.score[0], of.fold)
    assert moved.mean() == pytest.approx(0, abs=0.02 * error * 3)
    assert moved.std() == pytest.approx(error, rel=0.02)
    repeated = auroc_standard_error(*of_repeats(of))
    assert chance(twice(of), resamples=20_000).std() == pytest.approx(repeated, rel=0.02)


def of_repeats(once: Outcomes) -> tuple[np.ndarray, ...]:
    of = twice(once)
    return of.label, of.score[0], of.fold, of.case


def test_of_two_methods_on_the_same_cases_it_is_that_of_the_difference() -> None:
    of = drawn(3, 2, n=90)
    first, second = (chance(replace(of, score=s[None]), resamples=20_000) for s in of.score)
    plain = delong(of.label, *of.score, folds=of.fold)
    assert (first - second).std() == pytest.approx(plain.error, rel=0.02)
    found = with_chance(plain, first - second)
    assert plain.p is not None
    assert found.p == pytest.approx(plain.p, abs=0.02)
    assert found.interval == pytest.approx(plain.interval, abs=0.01)
    assert (found.first, found.second, found.difference) == (
        plain.first,
        plain.second,
        plain.difference,
    )


def test_a_lonely_case_has_the_spread_of_the_others() -> None:
    of = drawn(4, 1, n=60)
    lonely = np.ones(60, dtype=bool)
    lonely[np.flatnonzero((of.fold == 0) & (of.label == 1))[1:]] = False
    kept = Outcomes(np.arange(lonely.sum()), of.fold[lonely], of.label[lonely], of.score[:, lonely])
    error = auroc_standard_error(kept.label, kept.score[0], kept.fold)
    assert chance(kept, resamples=20_000).std() == pytest.approx(error, rel=0.02)


def test_a_choice_among_many_is_moved_further_than_any_of_them() -> None:
    of = drawn(5, 40, n=120, folds=5)
    one = chance(replace(of, score=of.score[:1]), resamples=4000).std()
    assert chance(of, resamples=4000).std() > 1.05 * one


def test_a_copy_of_a_configuration_changes_nothing() -> None:
    of = drawn(6, 5)
    copied = replace(of, score=np.concatenate([of.score, of.score]))
    assert chance(copied, resamples=200) == pytest.approx(chance(of, resamples=200))


def test_draws_do_not_depend_on_how_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    of = drawn(7, 4)
    whole = chance(of, resamples=100)
    monkeypatch.setattr("mmcaf.stats.choice._NUMBERS", 3 * 4 * 7)
    assert chance(of, resamples=100) == pytest.approx(whole)


def test_where_delong_has_no_p_there_is_none() -> None:
    found = delong([1, 0], [0.2, 0.1], [0.1, 0.2])
    assert with_chance(found, np.ones(10)).p is None


@pytest.mark.parametrize(("n", "folds", "trials"), [(48, 3, 12), (150, 5, 30)])
def test_as_good_a_method_differs_from_what_is_picked_as_seldom_as_promised(
    n: int, folds: int, trials: int
) -> None:
    """150 runs; DeLong's test alone: 0.06 and 0.1."""
    clear = []
    for seed in range(150):
        of = drawn(seed, trials + 1, n, folds)
        others = replace(of, score=of.score[1:])
        index = picked(others)
        assert index is not None
        chosen = others.score[index, np.arange(n)]
        plain = delong(of.label, chosen, of.score[0], folds=of.fold)
        moved = chance(others, resamples=199)
        moved = moved - chance(replace(of, score=of.score[:1]), resamples=199)
        p = with_chance(plain, moved).p
        clear.append(p is not None and p < 0.05)
    assert np.mean(clear) < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 150)
