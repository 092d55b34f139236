"""What has been recorded is never replaced: all its pieces agree, or are mended."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from mmcaf.data.cohort import Cohort
from mmstudy.driver.judgement import Finding, judge, mend
from mmstudy.storage.compaction import compact
from mmstudy.storage.examination import examine
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.schema import EpochRow, State
from mmstudy.study import Study, open_study
from mmstudy.trial.state import trial_state
from mmstudy.trial.task import TrialTask
from support.recorded_study import FOLDS, quick, run_quick, spec_of, truth

TRIALS = 6


@pytest.fixture(scope="module")
def journals(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The journal after each change of a study of six trials; the last one is its end."""
    root, kept = tmp_path_factory.mktemp("whole"), list[bytes]()
    journal = root / "s" / "optuna.journal"
    run_quick(cohort, root, TRIALS, after=lambda: kept.append(journal.read_bytes()))
    kept.append(str(root).encode())
    return kept


@pytest.fixture
def study(journals: list[bytes], tmp_path: Path) -> Study:
    """A copy of the finished study."""
    shutil.copytree(Path(journals[-1].decode()) / "s", tmp_path / "s")
    return open_study(tmp_path / "s")


def same(ours: list[pl.DataFrame], theirs: list[pl.DataFrame]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert_frame_equal(one, other)


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in found}


def said(study: Study, trials: int = TRIALS) -> list[str]:
    return [str(one) for one in judge(study.folder, spec_of(trials), FOLDS)]


def test_of_a_whole_study_nothing_is_said_and_nothing_is_written(study: Study) -> None:
    before, told = files(study.folder.root), list[Finding]()
    assert judge(study.folder, spec_of(TRIALS), FOLDS) == []
    assert examine(study.folder, FOLDS).whole
    mend(study.folder, spec_of(TRIALS), FOLDS, say=told.append)
    assert told == []
    assert files(study.folder.root) == before


@pytest.mark.parametrize("what", ["nothing", "journal", "row", "metrics", "manifest"])
def test_the_rows_of_a_mended_study_are_those_that_lie_there(what: str, study: Study) -> None:
    """A driver goes on with them, and does not read them again."""
    folder = study.folder
    match what:
        case "journal":
            folder.journal.unlink()
        case "row":
            folder.trial(2).write_bytes(b"")
        case "metrics":
            folder.trial_metrics(2).unlink()
        case "manifest":
            compact(folder)
            folder.manifest.write_bytes(b"")
            next(folder.segments.glob("trials-*")).write_bytes(b"")
    mended = mend(folder, spec_of(TRIALS), FOLDS, say=lambda _: None)
    assert mended.rows == {row.number: row for row in FolderLedger(folder).trials()}
    states = [mended.rows[number].state for number in range(TRIALS)]
    expected = {"manifest": [State.RUNNING] * TRIALS}.get(what, [State.COMPLETE] * TRIALS)
    if what in ("row", "metrics"):
        expected[2] = State.RUNNING
    assert states == expected


def test_rows_of_a_segment_may_lie_in_any_order(study: Study) -> None:
    compact(study.folder)
    for file in study.folder.segments.glob("*.parquet"):
        table = pl.read_parquet(file)
        table.sample(fraction=1, shuffle=True, seed=1).write_parquet(file)
    assert said(study) == []
    assert examine(study.folder, FOLDS).whole


def test_rows_without_a_number_are_told_beside_those_of_others(study: Study) -> None:
    file = study.folder.trial_metrics(2)
    table = pq.read_table(file)
    schema = pa.schema([field.with_nullable(True) for field in table.schema])
    rows = [
        row | {"number": of} for of, row in zip((None, 7, 2, 2), table.to_pylist(), strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    records = examine(study.folder, FOLDS)
    assert [damage.file for damage in records.damages] == [file]


def test_a_new_study_is_whole(tmp_path: Path) -> None:
    assert judge(StudyFolder(tmp_path / "none"), spec_of(1), FOLDS) == []


@pytest.mark.parametrize("how", ["lost", "empty", "foreign", "garbage", "other user's"])
def test_without_its_journal_a_study_goes_on_and_no_trial_changes(
    how: str, study: Study, cohort: Cohort, tmp_path: Path
) -> None:
    before, journal, told = truth(study), study.folder.journal, list[str]()
    if how == "lost":
        journal.unlink()
    elif how == "empty":
        journal.write_bytes(b"")
    elif how == "foreign":
        other = run_quick(cohort, tmp_path / "other", 4, search={"seed": 9})
        shutil.copy(other.folder.journal, journal)
    elif how == "garbage":
        journal.write_bytes(os.urandom(5000))
    else:
        if os.geteuid() != 0:
            pytest.skip("only root can give a file away")
        os.chown(journal, 12345, 12345)
    again = run_quick(cohort, tmp_path, TRIALS + 2, say=told.append)
    assert len(told) == 1
    assert told[0].startswith("optuna.journal: it")
    assert told[0].endswith("; it is written anew from the records.")
    same(truth(again, list(range(TRIALS))), before)
    assert again.counts()["complete"] == TRIALS + 2
    kept = sorted(path.name for path in study.folder.quarantine.glob("*"))
    assert len(kept) == (0 if how == "lost" else 2)
    assert said(again, TRIALS + 2) == []


def test_a_journal_older_by_any_number_of_steps_changes_no_trial(
    study: Study, journals: list[bytes], cohort: Cohort, tmp_path: Path
) -> None:
    before, counted = truth(study), 0
    for content in dict.fromkeys(journals[:-1]):
        study.folder.journal.write_bytes(content)
        again = run_quick(cohort, tmp_path, TRIALS)
        same(truth(again), before)
        counted += 1
    assert counted > TRIALS * 2


def test_a_journal_cut_at_twenty_places_changes_no_trial(
    study: Study, cohort: Cohort, tmp_path: Path
) -> None:
    before, content = truth(study), study.folder.journal.read_bytes()
    for k in range(20):
        study.folder.journal.write_bytes(content[: len(content) * k // 20 + k])
        assert said(study)  # what is missing is seen
        same(truth(run_quick(cohort, tmp_path, TRIALS)), before)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def other_schema(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), path)


def link(path: Path) -> None:
    stranger = path.parent.parent.parent / f"stranger-{path.name}"
    shutil.move(path, stranger)
    path.symlink_to(stranger)


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "garbage": lambda path: path.write_bytes(os.urandom(500)),
    "schema": other_schema,
    "link": link,
    "fifo": fifo,
    "folder": folder,
    "missing": Path.unlink,
}


@pytest.mark.parametrize("table", ["trials", "metrics", "predictions"])
@pytest.mark.parametrize(
    ("how", "gathered"),
    [*((how, False) for how in DAMAGES), ("cut", True), ("link", True), ("missing", True)],
)
def test_a_damaged_table_is_put_aside_and_its_trials_come_out_again(
    how: str, table: str, gathered: bool, study: Study, cohort: Cohort, tmp_path: Path
) -> None:
    before, told = truth(study), list[str]()
    if gathered:
        compact(study.folder)
        (file,) = study.folder.segments.glob(f"{table}-*.parquet")
    else:
        file = next((study.folder.root / table).glob("00002*.parquet"))
    DAMAGES[how](file)
    expected = said(study)
    assert expected
    again = run_quick(cohort, tmp_path, TRIALS, say=told.append)
    # A run looks less deeply: it may say of a file in other words why it cannot be used.
    assert {line.partition(":")[0] for line in expected} <= {
        line.partition(":")[0] for line in told
    }
    same(truth(again), before)
    assert again.counts()["complete"] == TRIALS
    assert said(again) == []
    notes = [path.read_text() for path in again.folder.quarantine.glob("*.why.txt")]
    name = file.relative_to(study.folder.root).as_posix()
    assert how == "missing" or any(note.startswith(name) for note in notes)


@pytest.mark.parametrize("how", ["empty", "cut", "garbage", "missing", "fifo"])
def test_a_damaged_manifest_is_made_again_from_its_segments(
    how: str, study: Study, cohort: Cohort, tmp_path: Path
) -> None:
    before = truth(study)
    compact(study.folder)
    DAMAGES[how](study.folder.manifest)
    again = run_quick(cohort, tmp_path, TRIALS)
    same(truth(again), before)
    assert said(again) == []


def changed(path: Path, **changes: object) -> None:
    table = pq.read_table(path)
    rows = [row | changes for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


@pytest.mark.parametrize(
    ("table", "changes", "told"),
    [
        ("trials", {"state": "zombie"}, "column state holds 'zombie'"),
        ("trials", {"params": "{"}, "column params, is damaged"),
        ("trials", {"params": "[1]"}, "column params, is damaged"),
        ("trials", {"value": None}, "value of a complete trial"),
        ("trials", {"value": float("nan")}, "column value holds nan"),
        ("trials", {"best_epoch": -1}, "column best_epoch holds -1"),
        ("trials", {"number": 3}, "holds rows of trial 3"),
        ("trials", {"value": 0.123}, "do not give the value in its row"),
        ("metrics", {"auroc": 0.123}, "do not give the value in its row"),
        ("metrics", {"epoch": 0}, "is there twice"),
        ("metrics", {"n_val": 3}, "a prediction for each validation case"),
        ("predictions", {"number": 4}, "holds rows of trial 4"),
    ],
)
def test_rows_that_contradict_one_another_are_told_and_computed_again(
    table: str, changes: dict[str, object], told: str, study: Study, cohort: Cohort, tmp_path: Path
) -> None:
    before = truth(study)
    changed(next((study.folder.root / table).glob("00002*.parquet")), **changes)
    assert any(told in line for line in said(study))
    same(truth(run_quick(cohort, tmp_path, TRIALS)), before)


def interrupted(cohort: Cohort, root: Path, epochs: int) -> Study:
    """A study whose second trial was stopped after so many epochs."""

    def stopped(task: TrialTask) -> Iterator[EpochRow | None]:
        for done, row in enumerate(quick(task)):
            yield row
            if task.number == 1 and done + 1 == epochs:
                raise KeyboardInterrupt

    return run_quick(cohort, root, 2, objective=stopped)


PIECES: dict[str, Callable[[StudyFolder], Path]] = {
    "checkpoint": lambda of: of.checkpoint(1),
    "claim": lambda of: of.claim(1),
    "metrics": lambda of: of.trial_metrics(1),
    "predictions": lambda of: of.trial_predictions(1),
}


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(("how", "epochs"), [*((how, 3) for how in DAMAGES), ("cut", 1)])
def test_a_damaged_piece_of_a_running_trial_never_fails_it(
    how: str, piece: str, epochs: int, cohort: Cohort, tmp_path: Path
) -> None:
    whole = run_quick(cohort, tmp_path / "whole", 2)
    study = interrupted(cohort, tmp_path / "broken", epochs)
    assert study.trial(1)["state"] == State.RUNNING
    DAMAGES[how](PIECES[piece](study.folder))
    again = run_quick(cohort, tmp_path / "broken", 2)
    same(truth(again), truth(whole))
    assert not again.folder.checkpoint(1).exists()


def test_what_a_killed_driver_left_beside_a_trial_is_swept_by_the_next_one(
    cohort: Cohort, tmp_path: Path
) -> None:
    study = interrupted(cohort, tmp_path, 1)
    left = [
        path.with_name(f".{path.name}.tmp-host-1-0f3a9c1e")
        for path in (study.folder.checkpoint(1), study.folder.trial_metrics(1))
    ]
    fresh = left[0].with_name(left[0].name.replace("-1-", "-2-"))
    for path in (*left, fresh):
        path.touch()
    for path in left:
        os.utime(path, times=(0, 0))
    run_quick(cohort, tmp_path, 2)
    assert [path for path in (*left, fresh) if path.exists()] == [fresh]


def test_a_checkpoint_newer_than_the_metrics_is_not_gone_on_from(
    cohort: Cohort, tmp_path: Path
) -> None:
    whole = run_quick(cohort, tmp_path / "whole", 2)
    study = interrupted(cohort, tmp_path / "broken", 1)
    older = study.folder.trial_metrics(1).read_bytes()
    shutil.rmtree(study.folder.root)
    study = interrupted(cohort, tmp_path / "broken", 3)
    study.folder.trial_metrics(1).write_bytes(older)
    assert any("the metrics of epochs before it are missing" in one for one in said(study, 2))
    same(truth(run_quick(cohort, tmp_path / "broken", 2)), truth(whole))


def test_a_bit_that_flipped_in_a_checkpoint_is_seen(cohort: Cohort, tmp_path: Path) -> None:
    whole = run_quick(cohort, tmp_path / "whole", 2)
    study = interrupted(cohort, tmp_path / "broken", 1)
    content = bytearray(study.folder.checkpoint(1).read_bytes())
    content[-3] ^= 1
    study.folder.checkpoint(1).write_bytes(content)
    assert any("not those that were written" in one for one in said(study, 2))
    assert trial_state(study.folder, 1).checkpoint is None
    same(truth(run_quick(cohort, tmp_path / "broken", 2)), truth(whole))
