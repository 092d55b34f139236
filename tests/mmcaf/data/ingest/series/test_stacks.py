"""Slices -> stacks, from positions alone: whatever numbers and names say."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcaf.data.ingest.index import INSTANCES
from mmcaf.data.ingest.series.stacks import Stack, series_with_losses, stacks_of

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def slices(z: Any, first: int = 0, **changes: Any) -> pl.DataFrame:
    """One usable slice per position; `changes` are columns, or values of a whole column."""
    positions = [float(at) for at in z]
    n = len(positions)
    columns: dict[str, Any] = dict.fromkeys(INSTANCES)
    columns |= {
        "source": 0,
        "kind": "image",
        "series_uid": "1.2",
        "acquisition": 1,
        "instance": list(range(1, n + 1)),
        "rows": 64,
        "columns": 64,
        "spacing_y_mm": 0.7,
        "spacing_x_mm": 0.7,
        "orientation": [AXIAL] * n,
        "position_mm": [[-10.0, -20.0, at] for at in positions],
    }
    columns["sop_uid"] = [f"1.2.{first + i}" for i in range(n)]
    columns |= changes
    whole = {k: v if isinstance(v, list) else [v] * n for k, v in columns.items()}
    return pl.DataFrame(whole, schema=INSTANCES).with_columns(
        row=pl.Series(range(first, first + n), dtype=pl.UInt32)
    )


def only(table: pl.DataFrame) -> Stack:
    (stack,), verdicts = stacks_of(table)
    assert verdicts == {}
    return stack


@given(seed=st.integers(0, 2**32 - 1), up=st.booleans())
@settings(max_examples=25, deadline=None)
def test_order_comes_from_positions_however_files_are_numbered(seed: int, up: bool) -> None:
    random = np.random.default_rng(seed)
    z = np.cumsum(np.full(15, 2.5))[:: 1 if up else -1]
    table = slices(z).sample(fraction=1, shuffle=True, seed=seed)
    table = table.with_columns(sop_uid=pl.Series([f"1.{n}" for n in random.permutation(15)]))
    stack = only(table)
    assert stack.z_mm == pytest.approx(np.sort(z))
    assert [at[2] for at in stack.slices["position_mm"]] == pytest.approx(np.sort(z))
    assert stack.spacing_z_mm == pytest.approx(2.5)
    assert stack.flags == ()


def test_eleven_slices_are_no_stack_and_twelve_are() -> None:
    assert stacks_of(slices(range(11))) == ([], dict.fromkeys(range(11), "E_FEW_SLICES"))
    assert only(slices(range(12))).slices.height == 12


def test_numbers_that_neither_rise_nor_fall_are_told() -> None:
    shuffled = [1, 3, 2, *range(4, 15)]
    assert only(slices(range(14), instance=shuffled)).flags == ("W_INSTANCE_ORDER",)
    assert only(slices(range(14), instance=list(range(14, 0, -1)))).flags == ()
    assert only(slices(range(14), instance=None)).flags == ()


def test_the_normal_decides_what_is_up() -> None:
    """Tilted axes: the way along the normal is shorter than along z, and slices are not sheared."""
    angle = np.radians(20)
    normal = np.array([0, -np.sin(angle), np.cos(angle)])
    axes = [1.0, 0.0, 0.0, 0.0, float(np.cos(angle)), float(np.sin(angle))]
    positions = [(normal * 3 * i).tolist() for i in range(13)]
    stack = only(slices(range(13), orientation=[axes] * 13, position_mm=positions))
    assert stack.spacing_z_mm == pytest.approx(3)
    assert stack.tilt_deg == pytest.approx(0, abs=1e-3)


def test_a_sheared_stack_is_told_with_its_angle() -> None:
    positions = [[0.0, i * np.tan(np.radians(12)) * 2, i * 2.0] for i in range(13)]
    stack = only(slices(range(13), position_mm=positions))
    assert stack.flags == ("W_TILT",)
    assert stack.tilt_deg == pytest.approx(12, abs=1e-3)
    assert stack.spacing_z_mm == pytest.approx(2)


def test_a_missing_slice_is_told_and_three_part_the_stack() -> None:
    z = [float(i) for i in range(30)]
    assert only(slices([at for at in z if at != 14])).flags == ("W_Z_GAP",)
    two, verdicts = stacks_of(slices([at for at in z if not 14 <= at <= 16]))
    assert [stack.slices.height for stack in two] == [14, 13]
    assert all(stack.flags == ("W_SLICES_LEFT_OUT",) for stack in two)
    assert verdicts == {}


def test_the_short_end_of_a_parted_stack_is_left_out() -> None:
    (stack,), verdicts = stacks_of(slices([*range(14), *range(40, 45)]))
    assert stack.slices.height == 14
    assert stack.flags == ("W_SLICES_LEFT_OUT",)
    assert verdicts == dict.fromkeys(range(14, 19), "E_FEW_SLICES")


def test_of_two_slices_at_a_position_the_first_number_stays() -> None:
    table = pl.concat([slices(range(20)), slices([7.0004], first=20, instance=30)])
    (stack,), verdicts = stacks_of(table)
    assert verdicts == {20: "E_DUP_POSITION"}
    assert 7 in stack.slices["row"]


def test_positions_that_repeat_and_nothing_tells_whose_slices_are() -> None:
    few = pl.concat([slices(range(20)), slices(range(5), first=20)])
    (stack,), verdicts = stacks_of(few)
    assert set(stack.slices["row"]) == set(range(5, 20))
    assert verdicts == dict.fromkeys([*range(5), *range(20, 25)], "E_REPEATED_POSITIONS")
    assert set(stack.flags) == {"W_MULTI_PHASE", "W_SLICES_LEFT_OUT"}
    all_twice = pl.concat([slices(range(14)), slices(range(14), first=14)])
    assert stacks_of(all_twice) == ([], dict.fromkeys(range(28), "E_MIXED_PASSES"))


def test_phases_of_one_number_are_told_apart_by_time() -> None:
    early = slices(range(14), acquired_s=[100.0 + i for i in range(14)])
    late = slices(range(14), first=14, acquired_s=[200.0 + i for i in range(14)])
    stacks, verdicts = stacks_of(pl.concat([late, early]))
    assert verdicts == {}
    assert [stack.phase for stack in stacks] == [0, 1]
    assert [set(stack.slices["row"]) for stack in stacks] == [set(range(14)), set(range(14, 28))]
    assert all(stack.flags == ("W_MULTI_PHASE",) for stack in stacks)


def test_phases_with_numbers_of_their_own_come_in_the_order_of_these() -> None:
    second = slices(range(12), acquisition=2, acquired_s=1.0)
    first = slices(range(12), first=12, acquisition=1, acquired_s=2.0)
    stacks, _ = stacks_of(pl.concat([second, first]))
    assert [(stack.phase, stack.acquisition) for stack in stacks] == [(0, 1), (1, 2)]


def test_bolus_tracking_is_no_body() -> None:
    """One position imaged over and over within a scan's series."""
    tracking = slices([50.0] * 30, acquired_s=[float(i) for i in range(30)])
    assert stacks_of(tracking) == ([], dict.fromkeys(range(30), "E_REPEATED_POSITIONS"))


@pytest.mark.parametrize(
    "odd",
    [
        {"rows": 32},
        {"columns": 128},
        {"spacing_x_mm": 0.8},
        {"orientation": [[0.99, 0.141, 0.0, -0.141, 0.99, 0.0]]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_slice_of_another_shape_is_left_out(odd: dict[str, Any]) -> None:
    table = pl.concat([slices(range(14)), slices([14.0], first=14, **odd)])
    (stack,), verdicts = stacks_of(table)
    assert verdicts == {14: "E_MIXED_SHAPE"}
    assert stack.slices.height == 14


def test_rounding_of_a_header_is_no_other_shape() -> None:
    spacing = [0.7, 0.70000001] * 7
    assert only(slices(range(14), spacing_x_mm=spacing)).slices.height == 14


@pytest.mark.parametrize("odd", [5, 7, 9])
def test_the_most_common_shape_is_the_one_that_most_agree_with(odd: int) -> None:
    """Not the median of two kinds, which would be neither; noise is no kind."""
    noise = np.random.default_rng(odd).uniform(-1e-5, 1e-5, 14 + odd)
    spacing = [0.7 + n if at % 2 or at > 2 * odd else 0.9 + n for at, n in enumerate(noise)]
    table = slices(range(14 + odd), spacing_x_mm=spacing).sample(fraction=1, shuffle=True, seed=1)
    stacks, verdicts = stacks_of(table)
    assert list(verdicts.values()).count("E_MIXED_SHAPE") == sum(value > 0.8 for value in spacing)
    assert all(max(stack.slices["spacing_x_mm"]) < 0.8 for stack in stacks)


def test_two_shapes_of_a_body_each_are_two_stacks() -> None:
    table = pl.concat([slices(range(14)), slices(range(13), first=14, spacing_x_mm=0.9)])
    stacks, verdicts = stacks_of(table)
    assert verdicts == {}
    assert sorted(stack.slices.height for stack in stacks) == [13, 14]
    assert all("W_MULTI_PHASE" in stack.flags for stack in stacks)


@pytest.mark.parametrize(
    ("x", "flags"),
    [
        ([3.0 * (i == 6) for i in range(20)], ("W_ORIGIN_SHIFT",)),
        ([3.0 * (i > 6) for i in range(20)], ("W_ORIGIN_SHIFT",)),
        ([0.3 * min(i, 7) for i in range(20)], ("W_ORIGIN_SHIFT",)),
        ([0.3 * i for i in range(20)], ("W_TILT",)),
        ([0.01 * (i % 2) for i in range(20)], ()),
    ],
    ids=["one", "from one on", "up to one", "all", "noise"],
)
def test_an_origin_that_jumps_is_no_tilt(x: list[float], flags: tuple[str, ...]) -> None:
    positions = [[at, -20.0, 2.0 * i] for i, at in enumerate(x)]
    assert only(slices(range(20), position_mm=positions)).flags == flags


def test_numbers_of_a_stack_that_its_slices_share() -> None:
    assert only(slices(range(14), acquisition=[3, None] * 7)).acquisition == 3
    assert only(slices(range(14), acquisition=list(range(14)))).acquisition is None


class TestLosses:
    def losses(self, *changes: dict[str, Any]) -> set[str]:
        used = slices(range(14), path=[f"a/{n}" for n in range(14)])
        other = [slices([20.0], first=20 + i, **change) for i, change in enumerate(changes)]
        return series_with_losses(pl.concat([used, *other]).drop("row"))

    def test_without_any_nothing_is_lost(self) -> None:
        assert self.losses() == set()

    @pytest.mark.parametrize("reason", ["E_PIXEL_LEN", "E_DECODE", "E_DUP_SOP_CONFLICT", "E_RGB"])
    def test_a_slice_turned_away_is_lost_to_its_series(self, reason: str) -> None:
        assert self.losses({"path": "b/1", "reason": reason}) == {"1.2"}
        assert self.losses({"path": "b/1", "reason": reason, "series_uid": "7"}) == set()

    @pytest.mark.parametrize("reason", ["E_DUP_SOP", "E_DUP_PIXELS", "E_LOCALIZER"])
    def test_copies_and_scouts_are_no_loss(self, reason: str) -> None:
        assert self.losses({"path": "b/1", "reason": reason}) == set()

    def test_a_coronal_scout_is_no_loss_and_a_flipped_slice_is_one(self) -> None:
        coronal, prone = [1.0, 0, 0, 0, 0, -1], [-1.0, 0, 0, 0, -1, 0]
        turned = {"path": "b/1", "reason": "E_NON_AXIAL"}
        assert self.losses(turned | {"orientation": [coronal]}) == set()
        assert self.losses(turned | {"orientation": [prone]}) == {"1.2"}

    def test_a_broken_copy_of_a_used_slice_is_no_loss(self) -> None:
        broken = {"path": "b/1", "reason": "E_PIXEL_LEN", "sop_uid": "1.2.3"}
        assert self.losses(broken) == set()

    def test_a_file_without_header_counts_for_the_series_beside_it(self) -> None:
        broken = {"path": "a/x", "reason": "E_UNREADABLE", "series_uid": None, "sop_uid": None}
        broken |= {"orientation": None}
        assert self.losses(broken) == {"1.2"}
        assert self.losses(broken | {"path": "b/x"}) == set()
        assert self.losses(broken | {"reason": "E_NOT_DICOM"}) == set()
        beside = {"path": "a/y", "series_uid": "9.9"}
        assert self.losses(broken, beside) == set()

    def test_they_are_flagged(self) -> None:
        (stack,), _ = stacks_of(slices(range(14)), {"1.2"})
        assert stack.flags == ("W_SLICES_LEFT_OUT",)


def test_series_are_never_mixed() -> None:
    table = pl.concat([slices(range(12)), slices(range(12), first=12, series_uid="9.9")])
    stacks, verdicts = stacks_of(table)
    assert {stack.series_uid: set(stack.slices["row"]) for stack in stacks} == {
        "1.2": set(range(12)),
        "9.9": set(range(12, 24)),
    }
    assert verdicts == {}


@given(st.lists(st.integers(0, 60), min_size=1, max_size=80))
@settings(max_examples=40, deadline=None)
def test_every_slice_has_one_end(z: list[int]) -> None:
    """Whatever the positions: in one stack, or left out with a code, never both or neither."""
    stacks, verdicts = stacks_of(slices(z))
    placed = [row for stack in stacks for row in stack.slices["row"]]
    assert sorted([*placed, *verdicts]) == list(range(len(z)))
    for stack in stacks:
        assert (np.diff(stack.z_mm) > 0).all()
        assert stack.slices.height >= 12
