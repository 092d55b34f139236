"""Passes over one body: labels may count, stop or restart; no pass is mixed with another."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmcaf.data.ingest.series.passes import MIN_SLICES, Passes, passes_of, since_midnight

N = 24


def slices(z: Any, **labels: Any) -> pl.DataFrame:
    """Slices at `z`, numbered in this order unless `labels` say else; `at` is their number."""
    n = len(z)
    columns = {"acquired_s": None, "acquisition": 1, "instance": list(range(1, n + 1))} | labels
    whole = {k: v if isinstance(v, list) else [v] * n for k, v in columns.items()}
    kinds = {"acquired_s": pl.Float64, "acquisition": pl.Int64, "instance": pl.Int64}
    return pl.DataFrame(whole, schema=kinds).with_columns(
        z=pl.Series(np.asarray(z, dtype=float)), at=pl.Series(range(n))
    )


def together(*parts: pl.DataFrame, seed: int = 0) -> pl.DataFrame:
    """Slices of several passes, shuffled; `of` says which pass each is of."""
    marked = [part.with_columns(of=pl.lit(number)) for number, part in enumerate(parts)]
    return pl.concat(marked).sample(fraction=1, shuffle=True, seed=seed)


def grid(n: int = N, step: float = 5.0, first: float = 0.0) -> NDArray[np.float64]:
    return first + step * np.arange(n)


def sizes(found: Passes) -> tuple[list[int], list[int], int]:
    bodies = sorted(body.height for body in found.bodies)
    return bodies, sorted(scrap.height for scrap in found.scraps), found.untold.height


labels = st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=N, max_size=N)


@given(labels, st.booleans(), st.integers(0, 99), st.sampled_from([0.0, 0.01]))
@settings(max_examples=60, deadline=None)
def test_any_split_into_acquisitions_of_a_body_is_one_pass(
    acquisition: list[int | None], up: bool, seed: int, noise: float
) -> None:
    z = grid() + np.random.default_rng(seed).uniform(-noise, noise, N)
    found = passes_of(together(slices(z[:: 1 if up else -1], acquisition=acquisition), seed=seed))
    assert sizes(found) == ([N], [], 0)


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_numbers_at_random_part_no_body(seed: int) -> None:
    numbers = np.random.default_rng(seed).permutation(10_000)[:N].tolist()
    assert sizes(passes_of(slices(grid(), instance=numbers))) == ([N], [], 0)


@st.composite
def phases(draw: st.DrawFn) -> pl.DataFrame:
    """Two or three passes over one body, told apart by one label, which the others do not help."""
    tell = draw(st.sampled_from(["acquisition", "acquired_s", "each second", "instance"]))
    step = draw(st.sampled_from([0.6, 1.0, 2.5, 5.0]))
    parts = []
    for number in range(draw(st.integers(2, 3))):
        shift = draw(st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.7, -0.4])) * step if number else 0.0
        begin = draw(st.integers(0, N // 2 - 4)) if number else 0
        n = draw(st.integers(N // 2, N - begin)) if number else N
        z = grid(n, step, shift + begin * step)[:: draw(st.sampled_from([1, -1]))]
        label: dict[str, Any] = {"instance": list(range(1, n + 1))}
        if tell == "acquisition":
            label |= {"acquisition": number + 1, "instance": None}
        elif tell == "acquired_s":
            label |= {"acquired_s": 1000.0 + 90 * number, "acquisition": None}
        elif tell == "each second":
            label |= {"acquired_s": [1000.0 + 90 * number + i for i in range(n)]}
        else:
            label["instance"] = list(range(100 * number, 100 * number + n))
        parts.append(slices(z, **label))
    return together(*parts, seed=draw(st.integers(0, 99)))


@given(phases())
@settings(max_examples=100, deadline=None)
def test_passes_with_shifts_are_never_mixed(table: pl.DataFrame) -> None:
    found = passes_of(table)
    assert all(body["of"].n_unique() == 1 for body in found.bodies)
    assert any(body.height >= N - 1 for body in found.bodies)
    assert found.are_several


@given(phases(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_order_of_files_is_nothing(table: pl.DataFrame, seed: int) -> None:
    def members(of: pl.DataFrame) -> list[list[tuple[int, int]]]:
        return sorted(sorted(body.select("of", "at").rows()) for body in passes_of(of).bodies)

    assert members(table.sample(fraction=1, shuffle=True, seed=seed)) == members(table)


@pytest.mark.parametrize("first", [10.0, 12.5, 15.0])
def test_the_slice_at_a_turn_is_of_the_pass_it_was_imaged_in(first: float) -> None:
    """Foot to head and back: the highest slice would continue either way."""
    down = grid(first=first)[::-1]
    early, late = [100.0 + n for n in range(N)], [190.0 + n for n in range(N)]
    table = together(slices(grid(), acquired_s=early), slices(down, acquired_s=late))
    found = passes_of(table)
    assert sizes(found) == ([N, N], [], 0)
    assert all(body["of"].n_unique() == 1 for body in found.bodies)


def test_passes_that_nothing_tells_apart_are_in_none() -> None:
    assert sizes(passes_of(together(slices(grid()), slices(grid())))) == ([], [], 2 * N)


def test_passes_between_each_other_that_nothing_tells_apart_are_in_none() -> None:
    unnumbered = together(slices(grid(), instance=None), slices(grid(first=2), instance=None))
    assert sizes(passes_of(unnumbered)) == ([], [], 2 * N)


def test_numbers_at_random_are_no_reason_for_leaving_out() -> None:
    """It is the positions that repeat; nor do many slices without an order take long."""
    random = np.random.default_rng(0).permutation(10_000)[:800].tolist()
    parts = [slices(grid(400), instance=random[at : at + 400]) for at in (0, 400)]
    assert sizes(passes_of(together(*parts))) == ([], [], 800)


def test_numbers_that_restart_say_nothing_of_passes_in_opposite_directions() -> None:
    numbers = list(range(N, 0, -1))
    assert sizes(passes_of(together(slices(grid()), slices(grid(first=2), instance=numbers)))) == (
        [],
        [],
        2 * N,
    )
    half_way = together(slices(grid()), slices(grid(first=2.5), instance=numbers))
    assert passes_of(half_way).contradicted  # as even as one body: only the numbers come twice


def test_slices_missing_at_one_place_in_two_phases_part_neither() -> None:
    kept = [n for n in range(N) if n not in (6, 7)]
    early, late = [100 + n for n in kept], [200 + n for n in kept]
    parts = [slices(grid()[kept], instance=numbers) for numbers in (early, late)]
    found = passes_of(together(*parts))
    assert sizes(found) == ([N - 2, N - 2], [], 0)
    assert all(body["of"].n_unique() == 1 for body in found.bodies)


def test_one_position_twice_costs_this_position_only() -> None:
    found = passes_of(together(slices(grid()), slices([35.0], instance=8)))
    assert sizes(found) == ([N - 1], [], 2)
    assert found.are_several


@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_a_part_scanned_again_is_no_part_of_the_body(shift: float) -> None:
    again = slices(grid(7, first=40 + shift), instance=list(range(200, 207)))
    assert sizes(passes_of(together(slices(grid()), again))) == ([N], [7], 0)


def test_a_slice_out_of_place_does_not_part_the_body() -> None:
    z = grid()
    z[7] = 82.0
    bodies, scraps, _ = sizes(passes_of(slices(z)))
    assert sum(bodies + scraps) == N
    assert bodies[0] >= N - 1


def test_halves_with_a_seam_are_one_body() -> None:
    z = [*grid(12), *grid(12, first=57.0)]
    assert sizes(passes_of(slices(z, acquisition=[1] * 12 + [2] * 12))) == ([N], [], 0)


def test_a_stretch_scanned_more_finely_is_part_of_the_body() -> None:
    z = [*grid(10), *grid(20, step=2.5, first=47.5), *grid(10, first=100.0)]
    assert sizes(passes_of(slices(z, instance=None))) == ([40], [], 0)


def test_every_third_slice_may_be_missing_where_numbers_say_so() -> None:
    kept = [n for n in range(36) if n % 3]
    found = passes_of(slices(grid(36)[kept], instance=kept))
    assert sizes(found) == ([N], [], 0)


def test_positions_written_with_one_decimal_are_even_enough() -> None:
    found = passes_of(slices(grid(40, step=0.75).round(1), instance=None))
    assert sizes(found) == ([40], [], 0)


def test_a_label_that_contradicts_is_told() -> None:
    odd_and_even = [1, 2] * (N // 2)
    found = passes_of(slices(grid(), acquisition=odd_and_even))
    assert sizes(found) == ([N], [], 0)
    assert found.contradicted
    assert found.are_several
    assert not passes_of(slices(grid(), acquisition=[1] * 12 + [2] * 12)).contradicted


def test_too_few_slices_are_no_body() -> None:
    found = passes_of(slices(grid(MIN_SLICES - 1)))
    assert sizes(found) == ([], [MIN_SLICES - 1], 0)
    assert not found.are_several


def test_times_go_on_over_midnight() -> None:
    over = pl.Series([86_390.0, None, 20.0, 86_399.5])
    assert since_midnight(over).to_list() == [86_390.0, None, 86_420.0, 86_399.5]
    for within in ([0.0, 43_200.0], [None, None], [5.0]):
        assert since_midnight(pl.Series(within, dtype=pl.Float64)).to_list() == within
