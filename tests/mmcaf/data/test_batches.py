from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from mmcaf.data.batches import Batch, EvalBatches, TrainBatches
from mmcaf.errors import DataError
from support.small_cohort import SmallCohort, small_cohort

AUGMENTED: dict[str, Any] = {
    "rotate_degrees": 15.0,
    "flip": True,
    "sharpen": True,
    "jitter_slices": 2,
}


@pytest.fixture
def small() -> SmallCohort:
    return small_cohort()


def identical(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a.volume, b.volume)
        and torch.equal(a.table, b.table)
        and torch.equal(a.label, b.label)
        and np.array_equal(a.case, b.case)
        for a, b in zip(first, second, strict=True)
    )


def drawn(batches: TrainBatches, epoch: int = 0) -> list[str]:
    return [batches.case[index] for batch in batches.epoch(epoch) for index in batch.case]


def test_shapes_and_types_are_what_the_network_takes(small: SmallCohort) -> None:
    batch = next(small.batches().train.epoch(0))
    assert batch.volume.shape == (2, 1, 4, 16, 16)
    assert batch.table.shape == (2, 7)
    assert batch.label.shape == (2,)
    assert {batch.volume.dtype, batch.table.dtype, batch.label.dtype} == {torch.float32}


def test_three_hu_windows_are_three_channels(small: SmallCohort) -> None:
    three = ((-1150.0, 350.0), (-160.0, 240.0), (-1000.0, 1000.0))
    fold = small.batches(hu=three)
    assert next(fold.train.epoch(0)).volume.shape == (2, 3, 4, 16, 16)
    wide = next(iter(small.batches().val)).volume  # the third window is that cohort's own
    assert torch.equal(next(iter(fold.val)).volume[:, 2:], wide)


def test_a_batch_carries_its_own_cases_rows(small: SmallCohort) -> None:
    batches = small.batches().train
    table = batches.encoder.transform(batches.rows)
    for batch in batches.epoch(0):
        assert np.array_equal(batch.table.numpy(), table[batch.case])
        assert batch.label.tolist() == batches.label[batch.case].tolist()


def test_tensors_lie_in_aligned_memory_of_torch(small: SmallCohort) -> None:
    fold = small.batches()  # sums over numpy's memory may depend on where it happens to begin
    for batch in [*fold.train.epoch(0), *fold.val]:
        assert {t.data_ptr() % 64 for t in (batch.volume, batch.table, batch.label)} == {0}


def test_an_epoch_is_the_same_whenever_it_is_asked_for(small: SmallCohort) -> None:
    batches = small.batches(**AUGMENTED).train
    list(batches.epoch(0))  # must leave nothing behind
    assert identical(list(batches.epoch(1)), list(small.batches(**AUGMENTED).train.epoch(1)))


def test_epochs_differ(small: SmallCohort) -> None:
    batches = small.batches(**AUGMENTED).train
    assert not identical(list(batches.epoch(0)), list(batches.epoch(1)))


def test_seeds_differ(small: SmallCohort) -> None:
    first, second = (list(small.batches(seed, **AUGMENTED).train.epoch(0)) for seed in (0, 1))
    assert not identical(first, second)


def test_the_cohorts_row_order_has_no_effect(small: SmallCohort) -> None:
    mixed = replace(small, rows=small.rows.sample(fraction=1, shuffle=True, seed=1))
    found = list(mixed.batches(**AUGMENTED).train.epoch(0))
    assert identical(found, list(small.batches(**AUGMENTED).train.epoch(0)))


def test_squamous_cases_are_repeated_to_parity(small: SmallCohort) -> None:
    batches = small.batches().train
    counts = Counter(drawn(batches))
    assert counts["c00"] == counts["c04"] == 3  # two squamous against six
    assert all(counts[name] == 1 for name in batches.case if name not in ("c00", "c04"))


def test_a_remainder_is_dealt_without_favour(small: SmallCohort) -> None:
    seven = replace(small, fold=replace(small.fold, train=(*small.fold.train, "c09")))
    batches = seven.batches().train
    counts = [Counter(drawn(batches, epoch)) for epoch in range(20)]
    assert {count["c00"] + count["c04"] for count in counts} == {7}
    assert {count["c00"] for count in counts} == {3, 4}


def test_without_oversampling_every_case_is_drawn_once(small: SmallCohort) -> None:
    assert sorted(drawn(small.batches(oversample=False).train)) == sorted(small.fold.train)


def test_a_repeated_case_shows_another_window(small: SmallCohort) -> None:
    batches = small.batches(**AUGMENTED).train
    index = batches.case.index("c00")
    windows = [b.volume[b.case == index] for b in batches.epoch(0)]
    first, second, *_ = torch.cat(windows)
    assert not torch.equal(first, second)


def test_the_order_of_cases_changes_from_epoch_to_epoch(small: SmallCohort) -> None:
    batches = small.batches().train
    assert drawn(batches, 0) != drawn(batches, 1)


@pytest.mark.parametrize(("batch_size", "sizes"), [(3, [3, 3, 2]), (7, [8]), (4, [4, 4])])
def test_no_batch_holds_a_single_window(
    small: SmallCohort, batch_size: int, sizes: list[int]
) -> None:
    train = replace(small.train, batch_size=batch_size, oversample=False)
    found = replace(small, train=train).batches().train.epoch(0)
    assert [len(batch.case) for batch in found] == sizes


def test_without_augmentation_a_window_is_the_normalised_slice(small: SmallCohort) -> None:
    fold = small.batches()
    batches, intensity = fold.train, fold.train.intensity
    seen = 0
    for batch in batches.epoch(0):
        for index, found in zip(batch.case, batch.volume[:, 0], strict=True):
            volume = small.volumes[batches.case[index]]
            middle = len(volume) // 2
            if len(volume) < 4:
                continue
            start = min(max(middle - 2, 0), len(volume) - 4)
            hu = volume[start : start + 4].astype(np.float32)
            (expected,) = intensity.apply(hu[None])[0]
            views = np.lib.stride_tricks.sliding_window_view(expected, (16, 16), axis=(1, 2))
            assert (views == found.numpy()[:, None, None]).all(axis=(0, 3, 4)).sum() == 1
            seen += 1
    assert seen > 8


def test_evaluation_windows_are_numpy_slices(small: SmallCohort) -> None:
    batches = small.batches().val
    windows = torch.cat([batch.volume for batch in batches])[:, 0].numpy()
    expected = [  # of 8, 10, 12 and 13 slices
        batches.intensity.apply(small.volumes[case][None, s : s + 4, 8:24, 8:24])[0, 0]
        for case, starts in (
            ("c08", (0, 2, 4)),
            ("c09", (0, 2, 4, 6)),
            ("c10", (0, 2, 4, 6, 8)),
            ("c11", (0, 2, 4, 6, 8, 9)),
        )
        for s in starts
    ]
    assert np.array_equal(windows, np.stack(expected))


def test_evaluation_is_the_same_twice(small: SmallCohort) -> None:
    batches = small.batches(**AUGMENTED).val
    assert identical(list(batches), list(batches))


def test_evaluation_does_not_depend_on_the_seed(small: SmallCohort) -> None:
    first, second = (list(small.batches(seed, **AUGMENTED).val) for seed in (0, 1))
    assert identical(first, second)


def test_tiling_does_not_look_at_the_annotation(small: SmallCohort) -> None:
    moved = replace(small, rows=small.rows.with_columns(z_first_lesion=0, z_last_lesion=0))
    assert identical(list(moved.batches().val), list(small.batches().val))


def test_the_oracle_sees_one_window_around_the_lesion(small: SmallCohort) -> None:
    batches = small.batches(location="oracle").val
    (windows,) = (batch.volume[:, 0].numpy() for batch in batches)
    hu = [
        small.volumes[c][n // 2 - 2 :][:4, 8:24, 8:24]
        for c, n in zip(("c08", "c09", "c10", "c11"), (8, 10, 12, 13), strict=True)
    ]
    assert np.array_equal(windows, batches.intensity.apply(np.stack(hu))[:, 0])


@pytest.mark.parametrize("unknown", [-1, None])
def test_a_case_without_annotation_is_drawn_around_its_middle(
    small: SmallCohort, unknown: int | None
) -> None:
    nothing = pl.lit(unknown, dtype=pl.Int64)
    blind = replace(
        small, rows=small.rows.with_columns(z_first_lesion=nothing, z_last_lesion=nothing)
    )
    assert identical(list(blind.batches().train.epoch(0)), list(small.batches().train.epoch(0)))


def test_perturbing_validation_cases_leaves_training_bit_identical(small: SmallCohort) -> None:
    validating = pl.col("case").is_in(list(small.fold.val))
    clinical = ("age_years", "weight_kg", "t_ord", "n_ord", "m_ord")
    changed = small.rows.with_columns(
        *(pl.when(validating).then(999.0).otherwise(pl.col(name)).alias(name) for name in clinical),
        label=pl.when(validating).then(1 - pl.col("label")).otherwise("label"),
    )
    volumes = {
        case: volume + 500 if case in small.fold.val else volume
        for case, volume in small.volumes.items()
    }
    ours = small.batches(**AUGMENTED)
    theirs = replace(small, rows=changed, volumes=volumes).batches(**AUGMENTED)
    assert theirs.fitted() == ours.fitted()
    assert identical(list(theirs.train.epoch(0)), list(ours.train.epoch(0)))
    assert not identical(list(theirs.val), list(ours.val))


def test_cases_of_neither_part_leave_everything_bit_identical(small: SmallCohort) -> None:
    fold = replace(small.fold, val=small.fold.val[:2])  # the other two are the test set
    rows = small.rows.filter(~pl.col("case").is_in(list(small.fold.val[2:])))
    ours = replace(small, fold=fold).batches(**AUGMENTED)
    theirs = replace(small, fold=fold, rows=rows).batches(**AUGMENTED)
    assert theirs.fitted() == ours.fitted()
    assert identical(list(theirs.train.epoch(0)), list(ours.train.epoch(0)))
    assert identical(list(theirs.val), list(ours.val))


def test_training_rows_decide_the_fitted_state(small: SmallCohort) -> None:
    older = small.rows.with_columns(age_years=pl.col("age_years") + 1)
    assert replace(small, rows=older).batches().fitted() != small.batches().fitted()


def test_a_case_of_the_fold_that_the_cohort_lacks_is_named(small: SmallCohort) -> None:
    fold = replace(small.fold, val=(*small.fold.val, "nobody"))
    with pytest.raises(DataError, match="1 cases of the fold are not in the cohort, nobody"):
        replace(small, fold=fold).batches()


def test_a_case_without_volume_is_named(small: SmallCohort) -> None:
    del small.volumes["c09"]
    with pytest.raises(DataError, match="Case c09 has no cached volume"):
        small.batches()


def test_a_volume_smaller_than_the_window_is_refused(small: SmallCohort) -> None:
    with pytest.raises(DataError, match=r"shape \[9, 32, 32\], too small for a window of 40 x 40"):
        small.batches(window=(4, 40, 40))


def test_a_single_training_case_is_refused(small: SmallCohort) -> None:
    with pytest.raises(DataError, match="at least two training cases, got 1"):
        replace(small, fold=replace(small.fold, train=("c00",))).batches()


def test_evaluating_no_case_is_refused(small: SmallCohort) -> None:
    val = small.batches().val
    arguments: tuple[Any, ...] = (val.volumes, val.encoder, val.intensity, val.config, 4)
    with pytest.raises(DataError, match="at least one case"):
        EvalBatches(small.rows.clear(), *arguments)


def struck_fold(small: SmallCohort, part: str) -> SmallCohort:
    """Every row and voxel of one part of the fold is perturbed."""
    names = list(getattr(small.fold, part))
    there = pl.col("case").is_in(names)
    numbers = ("age_years", "weight_kg", "t_ord", "n_ord", "m_ord")
    rows = small.rows.with_columns(
        *(
            pl.when(there).then(pl.col(name) * 3 + 7).otherwise(name).alias(name)
            for name in numbers
        ),
        *(
            pl.when(there).then(1 - pl.col(name)).otherwise(name).cast(pl.Int8).alias(name)
            for name in ("sex", "smoker", "label")
        ),
        *(
            pl.when(there).then(0).otherwise(name).alias(name)
            for name in ("z_first_lesion", "z_last_lesion")
        ),
    )
    volumes = {
        name: (volume // 2 + 100).astype(np.int16) if name in names else volume
        for name, volume in small.volumes.items()
    }
    return replace(small, rows=rows, volumes=volumes)


def test_nothing_of_the_validation_cases_enters_what_is_fitted_or_drawn(
    small: SmallCohort,
) -> None:
    before, after = small.batches(**AUGMENTED), struck_fold(small, "val").batches(**AUGMENTED)
    assert json.dumps(before.fitted()) == json.dumps(after.fitted())
    for epoch in range(3):  # the sampler: which cases, in what order, which windows of them
        assert identical(list(before.train.epoch(epoch)), list(after.train.epoch(epoch)))
    assert not identical(list(before.val), list(after.val))


def test_the_training_cases_do_enter_it(small: SmallCohort) -> None:
    before, after = small.batches().fitted(), struck_fold(small, "train").batches().fitted()
    assert before["encoder"] != after["encoder"]
    assert before["intensity"] != after["intensity"]
