"""One contract, two ledgers; and what only a folder has: segments."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmstudy.errors import MMStudyError
from mmstudy.storage.compaction import compact
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger, Ledger
from mmstudy.storage.schema import RATES, Claim, EpochRow, State, TrialRow
from mmstudy.storage.segments import read_table, rows_of, table_files
from support.memory_ledger import MemoryLedger

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def trial(number: int, **changes: Any) -> TrialRow:
    row = TrialRow(
        number=number,
        state=State.COMPLETE,
        params='{"train.lr": 0.1}',
        seed=number,
        attempts=1,
        started=NOW,
        value=0.5 + number / 1000,
        best_epoch=0,
    )
    return replace(row, **changes)


def epoch(number: int, index: int = 0, **changes: Any) -> EpochRow:
    row = EpochRow(
        number=number,
        fold=0,
        epoch=index,
        attempt=1,
        n_train=4,
        n_val=2,
        n_val_positive=1,
        train_loss=0.5,
        val_loss=0.5,
        rates=dict.fromkeys(RATES, 0.25),
        lr=0.1,
        seconds=1.0,
        written=NOW,
    )
    return replace(row, **changes)


def case(number: int, name: str = "c0") -> dict[str, Any]:
    of = {"number": number, "fold": 0, "epoch": 0}
    return {**of, "case": name, "label": 1, "probability": 0.25}


@pytest.fixture(params=["folder", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Ledger:
    return MemoryLedger() if request.param == "memory" else FolderLedger(StudyFolder(tmp_path))


class TestContract:
    def test_a_new_ledger_knows_nothing(self, ledger: Ledger) -> None:
        assert ledger.trials() == []
        assert ledger.trial(0) is None
        assert ledger.epochs(0) == []
        assert ledger.predictions(0) == []
        assert ledger.claim(0) is None

    def test_what_is_put_is_found(self, ledger: Ledger) -> None:
        row = trial(7, state=State.FAIL, value=None, reason="why", versions="{}", gpu_seconds=1.5)
        ledger.put_trial(row)
        ledger.put_epochs(7, [epoch(7), epoch(7, 1, rates=dict.fromkeys(RATES))])
        ledger.put_predictions(7, [case(7)])
        claim = Claim(attempt=2, idle=1, epochs=3, launch="x", versions={"a": "1"})
        ledger.put_claim(7, claim)
        assert ledger.trial(7) == row
        assert ledger.epochs(7) == [epoch(7), epoch(7, 1, rates=dict.fromkeys(RATES))]
        assert ledger.predictions(7) == [case(7)]
        assert ledger.claim(7) == claim

    def test_a_later_row_takes_the_place_of_an_earlier(self, ledger: Ledger) -> None:
        ledger.put_trial(trial(1, state=State.RUNNING, value=None))
        ledger.put_trial(trial(1))
        assert ledger.trials() == [trial(1)]

    def test_trials_come_by_number_and_epochs_by_fold_and_epoch(self, ledger: Ledger) -> None:
        for number in (2, 0, 1):
            ledger.put_trial(trial(number))
        ledger.put_epochs(0, [epoch(0, 1), epoch(0, 0, fold=1), epoch(0, 0)])
        assert [row.number for row in ledger.trials()] == [0, 1, 2]
        places = [(row.fold, row.epoch) for row in ledger.epochs(0)]
        assert places == [(0, 0), (0, 1), (1, 0)]

    def test_what_is_given_out_is_a_copy(self, ledger: Ledger) -> None:
        ledger.put_predictions(0, [case(0)])
        ledger.predictions(0)[0]["probability"] = 9
        ledger.epochs(0).append(epoch(0))
        assert ledger.predictions(0) == [case(0)]
        assert ledger.epochs(0) == []

    def test_compaction_changes_nothing_a_reader_sees(self, ledger: Ledger) -> None:
        for number in range(5):
            running = number == 3
            state = State.RUNNING if running else State.COMPLETE
            ledger.put_trial(trial(number, state=state))
            ledger.put_epochs(number, [epoch(number), epoch(number, 1)])
            ledger.put_predictions(number, [case(number)])

        def seen() -> list[Any]:
            each = [(ledger.trial(n), ledger.epochs(n), ledger.predictions(n)) for n in range(5)]
            return [*each, ledger.trials()]

        before = seen()
        ledger.compact()
        assert seen() == before
        ledger.put_trial(trial(3))
        ledger.compact()
        assert [row.state for row in ledger.trials()] == [State.COMPLETE] * 5


def filled(folder: Path, trials: int) -> StudyFolder:
    ledger = FolderLedger(StudyFolder(folder))
    for number in range(trials):
        ledger.put_trial(trial(number))
        ledger.put_epochs(number, [epoch(number)])
        ledger.put_predictions(number, [case(number)])
    return StudyFolder(folder)


def test_compaction_leaves_three_segments_and_a_manifest(tmp_path: Path) -> None:
    paths = filled(tmp_path, 6)
    assert compact(paths) == 6
    assert compact(paths) == 0
    names = sorted(path.name for path in paths.segments.iterdir())
    assert names == [
        "manifest.json",
        "metrics-00000-00005.parquet",
        "predictions-00000-00005.parquet",
        "trials-00000-00005.parquet",
    ]
    assert not [*paths.trials.iterdir(), *paths.metrics.iterdir(), *paths.predictions.iterdir()]


@pytest.mark.parametrize("killed_at", ["trials", "metrics", "manifest", "unlink"])
def test_a_killed_compaction_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    paths = filled(tmp_path, 4)
    before = read_table(paths, "trials").sort("number")

    class Killed(BaseException):
        pass

    def die(self: Path, *arguments: Any, **options: Any) -> Any:
        raise Killed

    def die_at(path: Path, target: Any) -> Any:
        if killed_at in path.name or killed_at in Path(target).name:
            raise Killed
        return original(path, target)

    original = Path.replace
    if killed_at == "unlink":
        monkeypatch.setattr(Path, "unlink", die)
    else:
        monkeypatch.setattr(Path, "replace", die_at)
    with pytest.raises(Killed):
        compact(paths)
    monkeypatch.undo()
    assert read_table(paths, "trials").sort("number").equals(before)
    compact(paths)
    assert read_table(paths, "trials").sort("number").equals(before)
    assert not [*paths.trials.glob("[0-9]*")]


def test_a_live_reader_never_notices_a_compaction(tmp_path: Path) -> None:
    paths = filled(tmp_path, 60)
    expected, faults, reads, stop = [*range(60)], [], [0], threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                numbers = sorted(read_table(paths, "metrics")["number"])
                assert numbers == expected
                assert rows_of(paths, "predictions", 37).height == 1
                reads[0] += 1
            except BaseException as error:
                faults.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    ledger = FolderLedger(paths)
    for _ in range(2):  # back to small files, and again
        compact(paths)
        loose = [read_table(paths, table) for table in ("trials", "metrics", "predictions")]
        for row in loose[0]["number"]:
            ledger.put_trial(trial(row))
            ledger.put_epochs(row, [epoch(row)])
            ledger.put_predictions(row, [case(row)])
    stop.set()
    reader.join()
    assert not faults, faults[0]
    assert reads[0] > 3


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    paths = filled(tmp_path, 2)
    paths.trial(1).write_bytes(b"PAR1 cut short")
    with pytest.raises(MMStudyError, match=r"00001\.parquet"):
        read_table(paths, "trials")


def test_a_covered_trials_small_file_is_not_counted_twice(tmp_path: Path) -> None:
    paths = filled(tmp_path, 2)
    compact(paths)
    FolderLedger(paths).put_trial(trial(0))  # a deletion that came too late
    assert read_table(paths, "trials")["number"].sort().to_list() == [0, 1]
    assert len(table_files(paths, "trials")) == 1
