"""What a frozen image side says of each window: computed once, never mixed up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mmcaf.training.frozen import FrozenFold, digest_of, frozen_fold
from support.small_cohort import BRIEF, SmallCohort, small_cohort

DRAWS = 2


class Encoder:
    """Two numbers of a window, and how often it was asked."""

    def __init__(self, factor: float = 1.0) -> None:
        self.asked, self.factor = 0, factor

    def __call__(self, window: Tensor) -> Tensor:
        self.asked += 1
        return self.factor * torch.stack([window.mean((1, 2, 3, 4)), window.std((1, 2, 3, 4))], 1)


@pytest.fixture
def small() -> SmallCohort:
    return small_cohort()


@pytest.fixture
def fold_of(small: SmallCohort, tmp_path: Path) -> Callable[..., FrozenFold]:
    def made(encode: Encoder, folder: Path | None = tmp_path, **changes: Any) -> FrozenFold:
        given = {"draws": DRAWS, "window_seed": 7, "digest": "side"} | changes
        return frozen_fold(small.batches(given.pop("seed", 0)), encode, folder=folder, **given)

    return made


def epochs(fold: FrozenFold, count: int = 4) -> list[Any]:
    return [batch for number in range(count) for batch in fold.train.epoch(number)]


def test_tokens_are_what_the_image_side_says_of_the_very_windows(
    fold_of: Callable[..., FrozenFold],
) -> None:
    fold, plain = fold_of(Encoder()), Encoder()
    batches = fold.train.batches
    for number in range(3):
        for planned, batch in zip(batches.planned(number), fold.train.epoch(number), strict=True):
            expected = [plain(batches.window(index, draw))[0] for index, draw in planned]
            assert torch.equal(batch.volume, torch.stack(expected))
            assert batch.case.tolist() == [index for index, _ in planned]
            assert batch.label.tolist() == [float(batches.label[index]) for index, _ in planned]


def test_validation_has_the_tokens_of_every_window_in_order(
    fold_of: Callable[..., FrozenFold],
) -> None:
    fold, plain = fold_of(Encoder()), Encoder()
    found, expected = list(fold.val), list(fold.windows.val)
    assert len(found) == len(expected)
    for tokens, windows in zip(found, expected, strict=True):
        each = [plain(window[None])[0] for window in windows.volume]
        assert torch.allclose(tokens.volume, torch.stack(each), atol=1e-6)
        assert np.array_equal(tokens.case, windows.case)
        assert torch.equal(tokens.table, windows.table)
        assert torch.equal(tokens.label, windows.label)
    assert fold.val.case == fold.windows.val.case
    assert np.array_equal(fold.val.label, fold.windows.val.label)


def test_each_window_is_encoded_once_and_never_again(fold_of: Callable[..., FrozenFold]) -> None:
    first = Encoder()
    fold = fold_of(first)
    epochs(fold), list(fold.val), list(fold.val)
    windows = sum(len(part) for part in fold.windows.val.planned())
    assert first.asked == DRAWS * 8 + windows
    again = Encoder()
    later = fold_of(again)
    for here, there in zip(epochs(fold), epochs(later), strict=True):
        assert torch.equal(here.volume, there.volume)
    list(later.val)
    assert again.asked == 0


def test_later_epochs_meet_the_same_draws_again(fold_of: Callable[..., FrozenFold]) -> None:
    fold = fold_of(Encoder())
    seen: dict[int, set[float]] = {}
    for batch in epochs(fold, 6):
        for case, tokens in zip(batch.case.tolist(), batch.volume, strict=True):
            seen.setdefault(case, set()).add(float(tokens[0]))
    assert {len(values) for values in seen.values()} <= {1, DRAWS}
    assert max(len(values) for values in seen.values()) == DRAWS


def test_without_a_folder_nothing_is_kept_and_the_tokens_are_the_same(
    fold_of: Callable[..., FrozenFold], tmp_path: Path
) -> None:
    encode = Encoder()
    loose, kept = fold_of(encode, None), fold_of(Encoder())
    for here, there in zip(epochs(loose), epochs(kept), strict=True):
        assert torch.equal(here.volume, there.volume)
    once = encode.asked
    epochs(loose)
    assert encode.asked == 2 * once


@pytest.mark.parametrize(
    "change", [{"digest": "other"}, {"window_seed": 8}], ids=lambda change: next(iter(change))
)
def test_another_side_or_seed_has_files_of_its_own(
    fold_of: Callable[..., FrozenFold], change: dict[str, Any]
) -> None:
    epochs(fold_of(Encoder()))
    encode = Encoder(2.0)
    found = epochs(fold_of(encode, **change))
    assert encode.asked == DRAWS * 8
    assert not torch.equal(found[0].volume, epochs(fold_of(Encoder()))[0].volume)


def test_a_trial_s_own_seed_changes_the_order_and_not_the_windows(
    fold_of: Callable[..., FrozenFold],
) -> None:
    here = fold_of(Encoder())
    epochs(here)
    encode = Encoder()
    there = fold_of(encode, seed=5)
    orders = [[batch.case.tolist() for batch in epochs(fold)] for fold in (here, there)]
    assert orders[0] != orders[1]
    assert encode.asked == 0
    assert there.fitted()["image_side"] == here.fitted()["image_side"]


def test_other_cases_have_files_of_their_own(small: SmallCohort, tmp_path: Path) -> None:
    swapped = replace(
        small, fold=replace(small.fold, train=small.fold.val, val=small.fold.train[:4])
    )
    digests = {
        frozen_fold(
            of.batches(), Encoder(), draws=2, window_seed=0, folder=tmp_path, digest="x"
        ).train.store.digest
        for of in (small, swapped)
    }
    assert len(digests) == 2


def test_a_stage_may_take_other_batches_of_the_same_windows(
    fold_of: Callable[..., FrozenFold],
) -> None:
    fold = fold_of(Encoder())
    epochs(fold)
    encode = Encoder()
    larger = fold_of(encode).sampled(replace(BRIEF, batch_size=4), seed=3)
    assert {len(batch.case) for batch in larger.train.epoch(0)} == {4}
    assert encode.asked == 0
    assert larger.train.store.digest == fold.train.store.digest


def test_a_half_written_file_is_never_read(
    fold_of: Callable[..., FrozenFold], tmp_path: Path
) -> None:
    class Dies(Encoder):
        def __call__(self, window: Tensor) -> Tensor:
            if self.asked == 5:
                raise KeyboardInterrupt
            return super().__call__(window)

    with pytest.raises(KeyboardInterrupt):
        epochs(fold_of(Dies()))
    assert list(tmp_path.glob("*.npy")) == []
    encode = Encoder()
    epochs(fold_of(encode))
    assert encode.asked == DRAWS * 8


class TestDigest:
    def test_it_depends_on_every_part_and_on_their_order(self) -> None:
        weights = {"a": torch.ones(2), "b": torch.zeros(3)}
        found = [
            digest_of("x", 1, weights),
            digest_of("x", 2, weights),
            digest_of(1, "x", weights),
            digest_of("x", 1, {**weights, "b": torch.zeros(3).index_fill(0, torch.tensor([2]), 1)}),
            digest_of("x", 1, {"b": torch.ones(2), "a": torch.zeros(3)}),
            digest_of("x", 1),
        ]
        assert len(set(found)) == len(found)

    def test_it_depends_on_no_order_of_names(self) -> None:
        a, b = torch.ones(2), torch.zeros(3)
        assert digest_of({"a": a, "b": b}) == digest_of({"b": b, "a": a})
        assert digest_of({"x": 1, "y": 2}) == digest_of({"y": 2, "x": 1})

    def test_the_value_counts_and_not_how_it_lies_in_memory(self) -> None:
        square = torch.arange(6.0).reshape(2, 3)
        assert digest_of({"w": square.t().contiguous().t()}) == digest_of({"w": square})
        assert digest_of({"w": square.double()}) != digest_of({"w": square})
