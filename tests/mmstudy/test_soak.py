"""Nothing is lost: a seeded sample of what `make soak` does in full.

SOAK=full runs all of it; SOAK_SEED chooses other moments.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmcaf.data.cohort import Cohort
from soak import copies, cuts, kills, oddities, on_ray
from soak.commands import Commands
from soak.shim import built
from soak.study import Bench, Report
from support.object_store import object_store

pytestmark = pytest.mark.slow

FULL = os.environ.get("SOAK") == "full"
SEED = int(os.environ.get("SOAK_SEED", "16"))


@pytest.fixture(scope="module")
def library() -> Iterator[Path]:
    with built() as found:
        yield found


@pytest.fixture(scope="module")
def bench(
    library: Path, cohort: Cohort, dicom_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("soak").resolve()
    (folder / "dicom").symlink_to(dicom_folder)
    with Commands(library, folder) as commands:
        yield Bench.at(folder, commands, cohort.folder)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(f"{SEED} {request.node.name}")  # noqa: S311 - no secret


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Iterator[Report]:
    """Printed at the end, whatever happened."""
    report = Report()
    yield report
    sys.stdout.write(f"\n{request.node.name}, seed {SEED}\n{report}\n")


@pytest.mark.parametrize("command", kills.COMMANDS)
def test_killed_at_any_moment_a_command_goes_on(
    bench: Bench, command: str, chance: random.Random, report: Report
) -> None:
    kills.kill(bench, command, kills.SHARES[command] if FULL else 1, chance, report)
    assert report.counts
    assert not report.faults


def test_a_power_cut_loses_nothing_that_was_recorded(
    bench: Bench, chance: random.Random, report: Report
) -> None:
    cuts.cut_power(bench, 52 if FULL else 6, chance, report)
    assert report.counts
    assert not report.faults


def test_a_copy_of_a_running_study_goes_on(
    bench: Bench, chance: random.Random, report: Report
) -> None:
    copies.copy_while_running(bench, 12 if FULL else 3, chance, report)
    assert report.counts
    assert not report.faults


def test_a_damaged_journal_changes_no_ended_trial(
    bench: Bench, chance: random.Random, report: Report
) -> None:
    copies.damage_journal(bench, 20 if FULL else 2, chance, report)
    assert report.counts
    assert not report.faults


def test_the_clock_may_jump_by_a_day(bench: Bench, chance: random.Random, report: Report) -> None:
    oddities.jump_clocks(bench, 8 if FULL else 2, chance, report)
    assert report.counts
    assert not report.faults


def test_of_two_drivers_by_different_paths_one_runs(
    bench: Bench, chance: random.Random, report: Report
) -> None:
    oddities.run_twins(bench, 8 if FULL else 2, chance, report)
    assert report.counts
    assert not report.faults


def test_without_locks_nothing_runs(bench: Bench, report: Report) -> None:
    oddities.without_locks(bench, report)
    assert report.counts
    assert not report.faults


def test_a_paused_holder_of_a_lease_changes_nothing_when_it_wakes(
    bench: Bench, chance: random.Random, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with object_store() as (address, _):
        oddities.pause_the_holder(bench, address, 4 if FULL else 1, chance, report)
    assert report.counts
    assert not report.faults


def test_on_ray_kills_and_pauses_lose_nothing(
    bench: Bench, library: Path, chance: random.Random, report: Report
) -> None:
    with on_ray.cluster(bench, library) as (there, nodes, node):
        on_ray.trouble_on_ray(there, nodes, node, 20 if FULL else 4, chance, report)
    assert report.counts
    assert not report.faults
