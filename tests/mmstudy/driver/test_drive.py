from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.run import ingest
from mmcaf.errors import CohortError
from mmstudy.analysis.selection import selection_of
from mmstudy.cli.main import main
from mmstudy.driver.drive import plan_study, run_study, weights_of
from mmstudy.driver.inline import InlineRunner
from mmstudy.driver.tally import Standing
from mmstudy.errors import Interrupted, MMStudyError, TooManyFailures, TrialFailed, UsageError
from mmstudy.followup.predict import predict
from mmstudy.followup.rerun import rerun
from mmstudy.search.optuna_study import Proposal, Search, Told
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.parquet import read_rows, write_rows
from mmstudy.storage.schema import METRICS, TRIALS, EpochRow, State
from mmstudy.study import Study, open_study
from mmstudy.trial.run import run_trial
from mmstudy.trial.task import TrialTask
from support.cheap_trial import run_cheap
from support.damaged_cohort import damage
from support.tiny_spec import TINY_SPEC

Command = Callable[..., tuple[int, str, str]]


def run(cohort: Cohort, root: Path, runner: Any = None, **changes: Any) -> Study:
    spec = parse_spec(deepcopy(TINY_SPEC) | changes)
    plan = plan_study(spec, cohort=cohort.folder, root=root, name="s")
    run_study(plan, runner or InlineRunner(), notify=ignore, progress=lambda *_: None)
    return open_study(root / "s")


def ignore(_: Standing) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def done(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Study:
    before = os.umask(0o022)  # of a user who lets everybody read
    try:
        return run(cohort, tmp_path_factory.mktemp("root"))
    finally:
        os.umask(before)


def test_nobody_else_can_read_a_study(done: Study) -> None:
    found = [done.folder.root, *done.folder.root.rglob("*")]
    assert len(found) > 15
    assert [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_every_epoch_of_every_fold_is_recorded_once(done: Study) -> None:
    places = done.metrics().select("number", "fold", "epoch").rows()
    assert places == [(n, f, e) for n in range(2) for f in range(2) for e in range(2)]


def test_a_constraint_need_not_hold_for_what_trials_replace(cohort: Cohort, tmp_path: Path) -> None:
    space = {"train.batch_size": {"choice": [8, 12]}}
    changes = {"space": space, "constraints": ["train.batch_size >= 8"]}
    spec = parse_spec(deepcopy(TINY_SPEC) | changes)
    plan = plan_study(spec, cohort=cohort.folder, root=tmp_path, name="s")
    assert plan.describe()["space"].keys() == space.keys()


def test_a_study_of_the_annotated_box_is_told_where_the_lesion_is(
    cohort: Cohort, tmp_path: Path
) -> None:
    model = {"model": {"name": "lesion_box"}, "train": {"epochs": 1}, "space": {}}
    changes = {**model, "search": {"trials": 1}, "pruning": None}
    assert run(cohort, tmp_path, **changes).oracle


def test_the_objective_is_the_best_shared_epoch(done: Study) -> None:
    for trial in done.trials().to_dicts():
        means = done.metrics(trial["number"]).group_by("epoch").mean().sort("epoch")["auroc"]
        assert trial["value"] == pytest.approx(means.max(), abs=1e-12)
        assert trial["best_epoch"] == means.arg_max()


def test_a_trials_seconds_are_accounted_for(done: Study) -> None:
    rows, trial = done.metrics(0), done.trial(0)
    assert (rows["data_seconds"] > 0).all()
    assert (rows["data_seconds"] < rows["seconds"]).all()
    assert trial["seconds"] == pytest.approx(rows["seconds"].sum() + rows["prepare_seconds"].sum())
    assert 0 < trial["data_wait_share"] < 1
    assert (rows["prepare_seconds"] > 0).all()  # loading, or writing the row before
    lived = (trial["ended"] - trial["started"]).total_seconds()
    assert trial["prepare_seconds"] < trial["seconds"] < lived + 0.1
    assert trial["gpu_utilisation"] is None  # no GPU here


def test_each_case_is_validated_once_per_epoch(done: Study) -> None:
    assert sorted(done.out_of_fold(0)["case"]) == sorted(
        case for fold in done.about.split.folds for case in fold.val
    )


def test_the_same_spec_and_seed_give_the_same_study(
    cohort: Cohort, done: Study, tmp_path: Path
) -> None:
    again = run(cohort, tmp_path)
    columns = ["number", "value", "param:train.lr", "param:model.pyramid_scales"]
    assert again.trials().select(columns).equals(done.trials().select(columns))


def test_a_rerun_gives_every_stored_number_and_notices_an_altered_one(
    cohort: Cohort, tmp_path: Path, command: Command
) -> None:
    study = run(cohort, tmp_path)
    check = ["rerun", "s", "0", "--check", "--root", str(tmp_path), "--cohort", str(cohort.folder)]
    code, _, stderr = command(*check)
    assert code == 0
    assert "stored values hold exactly (difference 0)" in stderr
    path = study.folder.trial_metrics(0)
    rows = read_rows(path, METRICS, limit=study.folder.root)
    rows[-1]["brier"] += 1e-9
    write_rows(path, METRICS, rows)
    code, _, stderr = command(*check)
    assert code == 4
    assert "1 of" in stderr
    assert "brier of fold 1 epoch 1" in stderr
    assert "Computed elsewhere" not in stderr
    trial = study.folder.rows(study.folder.trial(0), TRIALS)[0]
    write_rows(study.folder.trial(0), TRIALS, [trial | {"hardware": "an abacus"}])
    assert "Computed elsewhere: hardware was an abacus, is " in command(*check)[2]


class KilledAfter(InlineRunner):
    """Leaves everything as a SIGKILL would after `epochs` epochs."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def run(self, conductor: Any, objective: Any, resources: Any) -> None:
        task = conductor.next_task()
        for _ in objective(task):
            self.left -= 1
            if not self.left:  # the epoch is recorded, its report never arrives
                return


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_an_interrupted_trial_goes_on_from_its_checkpoint_to_the_same_numbers(
    cohort: Cohort, done: Study, tmp_path: Path, epochs: int
) -> None:
    run(cohort, tmp_path, KilledAfter(epochs))
    study = run(cohort, tmp_path)
    assert study.counts() == {"running": 0, "complete": 2, "pruned": 0, "fail": 0}
    row = study.trial(0)
    assert row["attempts"] == 2
    drop = ["attempt", "seconds", "written", "prepare_seconds", "data_seconds"]
    assert study.metrics(0).drop(drop).equals(done.metrics(0).drop(drop))
    assert Counter(study.metrics(0)["attempt"]) == {1: epochs, 2: 4 - epochs}


def test_failed_trials_do_not_count_and_too_many_end_the_study(
    cohort: Cohort, tmp_path: Path
) -> None:
    class Failing(InlineRunner):
        def run(self, conductor: Any, objective: Any, resources: Any) -> None:
            def fail(task: TrialTask) -> Any:
                raise TrialFailed("on purpose")
                yield

            super().run(conductor, fail, resources)

    with pytest.raises(TooManyFailures, match="3 trials failed"):
        run(cohort, tmp_path, Failing(), limits={"failed_trials": 2})
    study = open_study(tmp_path / "s")
    assert study.counts()["fail"] == 3
    assert set(study.trials()["reason"]) == {"on purpose"}
    assert study.best_trial() is None


def test_a_second_driver_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    class Nested(InlineRunner):
        def run(self, conductor: Any, objective: Any, resources: Any) -> None:
            with pytest.raises(UsageError, match=rf"process {os.getpid()}"):
                run(cohort, tmp_path)

    run(cohort, tmp_path, Nested())


def test_another_space_refuses_to_go_on_and_says_what_changed(
    cohort: Cohort, tmp_path: Path
) -> None:
    run(cohort, tmp_path)
    with pytest.raises(UsageError, match=r"train\.epochs was 2, is 3"):
        run(cohort, tmp_path, train={"epochs": 3, "optimizer": "adamw"})


def test_the_journal_re_attaches_running_trials_under_their_number(tmp_path: Path) -> None:
    spec = parse_spec(TINY_SPEC)
    first = Search(tmp_path / "optuna.journal", spec)
    asked = first.ask()
    again = Search(tmp_path / "optuna.journal", spec)
    assert again.interrupted() == [asked.number]
    assert again.take_up(asked.number) == asked
    again.complete(asked.number, [0.5])
    assert again.told() == {0: Told(State.COMPLETE, 0.5)}


def test_a_half_written_line_and_a_dead_writers_lock_do_not_lose_the_journal(
    tmp_path: Path,
) -> None:
    spec, journal = parse_spec(TINY_SPEC), tmp_path / "optuna.journal"
    asked = Search(journal, spec).ask()
    with journal.open("ab") as file:
        file.write(b'{"op_code": 5, "wor')
    Path(f"{journal}.lock").symlink_to(journal)
    again = Search(journal, spec)
    assert again.take_up(asked.number) == asked
    again.complete(asked.number, [0.5])
    assert Search(journal, spec).told() == {0: Told(State.COMPLETE, 0.5)}


def test_enqueued_points_come_first_and_once(tmp_path: Path) -> None:
    points = ({"train.lr": 2e-3}, {"train.lr": 3e-3})
    search = {"trials": 4, "enqueue": points}
    spec = parse_spec(deepcopy(TINY_SPEC) | {"search": search})
    asked = [Search(tmp_path / "optuna.journal", spec).ask().params["train.lr"] for _ in range(4)]
    assert asked[:2] == [2e-3, 3e-3]
    assert not {2e-3, 3e-3} & {*asked[2:]}


def test_re_opening_a_study_does_not_repeat_suggestions(tmp_path: Path) -> None:
    spec = parse_spec(TINY_SPEC)
    seen = set()
    for _ in range(4):
        seen.add(Search(tmp_path / "optuna.journal", spec).ask().params["train.lr"])
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["status", "nowhere"], 1, "No study in"),
        (["run", "nowhere"], 2, "ready are: fusion"),
        (["data", "ingest", "nowhere", "--out", "x"], 2, "No folder nowhere"),
        (["run", "smoke"], 2, "give --cohort"),
    ],
)
def test_wrong_usage_is_a_sentence_and_an_exit_code(
    arguments: list[str],
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["mmstudy", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == code
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("limit", "what"),
    [(300, "study.json"), (5_500, r"00000\.parquet"), (30_000, "last.safetensors")],
)
def test_a_full_disk_stops_the_study_which_goes_on_when_there_is_room(
    cohort: Cohort, tmp_path: Path, limit: int, what: str
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises((MMStudyError, OSError), match=f"{what}.*File too large.*Free some"):
            run(cohort, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.rglob(".*.tmp-*"))
    again = run(cohort, tmp_path)
    assert again.counts() == {"running": 0, "complete": 2, "pruned": 0, "fail": 0}
    assert all(row["same"] for row in rerun(again, 0, cohort.folder))


def test_an_interrupted_study_stores_its_epoch_and_goes_on(cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match="the same command goes on"):
        run(cohort, tmp_path, _InterruptedAfter(epochs=3))
    stopped = open_study(tmp_path / "s")
    assert stopped.counts() == {"running": 1, "complete": 0, "pruned": 0, "fail": 0}
    assert stopped.metrics(0).height == 3
    again = run(cohort, tmp_path)
    assert again.counts() == {"running": 0, "complete": 2, "pruned": 0, "fail": 0}
    assert again.metrics(0)["attempt"].to_list() == [1, 1, 1, 2]
    assert all(row["same"] for row in rerun(again, 0, cohort.folder))


class _InterruptedAfter(InlineRunner):
    """Somebody presses Ctrl-C after some epochs."""

    def __init__(self, *, epochs: int) -> None:
        self._epochs = epochs

    def run(self, conductor: Any, objective: Any, resources: Any) -> None:
        def pressed(task: TrialTask) -> Iterator[Any]:
            for done, row in enumerate(objective(task), 1):
                if done == self._epochs:
                    signal.raise_signal(signal.SIGINT)
                yield row

        super().run(conductor, pressed, resources)


def test_three_hu_windows_train(cohort: Cohort, tmp_path: Path) -> None:
    three = [[-1150, 350], [-160, 240], [-1000, 400]]
    study = run(cohort, tmp_path, data={**TINY_SPEC["data"], "hu": three})
    assert study.counts()["complete"] == 2
    assert all(row["same"] for row in rerun(study, 0, cohort.folder))


def test_a_cohort_ingested_under_another_key_is_refused_and_nothing_is_changed(
    cohort: Cohort, dicom_folder: Path, tmp_path: Path
) -> None:
    study = run(cohort, tmp_path)
    before = study.folder.study.read_bytes()
    other = ingest([dicom_folder], tmp_path / "again", in_plane_px=48)
    assert other.digest == cohort.digest
    with pytest.raises(UsageError, match="ingested anew, under another key"):
        run(other, tmp_path, search={"trials": 3, "startup_trials": 2})
    assert study.folder.study.read_bytes() == before


def test_patients_of_the_studys_own_cohort_in_another_form_are_not_predicted(
    cohort: Cohort, dicom_folder: Path, tmp_path: Path
) -> None:
    study = run(cohort, tmp_path)
    other = ingest([dicom_folder], tmp_path / "larger", in_plane_px=64)
    assert other.digest != cohort.digest
    with pytest.raises(MMStudyError, match="12 of the 12 patients are of the cohort"):
        predict(study, 0, other.folder, cohort=cohort.folder)


def test_a_window_larger_than_the_cohorts_slices_is_refused_before_anything_is_written(
    cohort: Cohort, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="16 for jitter need slices of 64"):
        run(cohort, tmp_path, data={"window": [8, 48, 48]})
    assert not (tmp_path / "s").exists()


def test_a_study_that_failed_too_often_begins_no_trial_again(
    cohort: Cohort, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "train": {"epochs": 2, "optimizer": "sgd", "lr": 10.0, "momentum": 0.0, "loss": "bce"},
        "space": {"train.weight_decay": {"float": [9.0, 10.0]}},
        "limits": {"failed_trials": 0},
    }
    try:
        run(cohort, tmp_path, **changes)
    except TooManyFailures:
        tried = open_study(tmp_path / "s").trials().height
        with pytest.raises(TooManyFailures):
            run(cohort, tmp_path, **changes)
        assert open_study(tmp_path / "s").trials().height == tried
    else:
        pytest.fail("these settings were to fail")


@pytest.fixture
def mine(cohort: Cohort, tmp_path: Path) -> Cohort:
    """A cohort that may be damaged."""
    shutil.copytree(cohort.folder, tmp_path / "c")
    return replace(cohort, folder=tmp_path / "c")


def test_nothing_runs_on_a_volume_that_changed(
    mine: Cohort, tmp_path: Path, command: Command
) -> None:
    path, whole, case = damage(mine)
    with pytest.raises(CohortError, match=rf"Case {case}: {path} has other voxels"):
        run(mine, tmp_path)
    assert not (tmp_path / "s").exists()
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(TINY_SPEC))
    asked = ["run", str(tmp_path / "spec.yaml"), "--cohort", str(mine.folder), "--root"]
    code, out, told = command(*asked, str(tmp_path), "--name", "s", "--dry-run")
    assert (code, out) == (2, "")
    assert f"Case {case}" in told
    path.write_bytes(whole)
    code, out, told = command(*asked, str(tmp_path), "--name", "s", "--dry-run")
    assert code == 0, told


def test_a_trial_is_not_run_again_on_a_volume_that_changed(
    mine: Cohort, tmp_path: Path, command: Command
) -> None:
    run(mine, tmp_path)
    path, whole, case = damage(mine)
    asked = ["rerun", "s", "0", "--root", str(tmp_path), "--check"]
    code, out, told = command(*asked)
    assert (code, out) == (2, "")
    assert f"Case {case}: {path} has other voxels" in told
    path.write_bytes(whole)
    assert command(*asked)[0] == 0


def test_a_volume_that_changes_under_a_study_ends_it_and_fails_no_trial(
    mine: Cohort, done: Study, tmp_path: Path
) -> None:
    changed: list[tuple[Path, bytes, str]] = []

    def meddles(task: TrialTask) -> Iterator[Any]:
        for row in run_trial(task):
            yield row
            if row is not None and row.epoch == 0 and not changed:
                changed.append(damage(mine))

    spec = parse_spec(deepcopy(TINY_SPEC))
    plan = plan_study(spec, cohort=mine.folder, root=tmp_path, name="s")
    with pytest.raises(MMStudyError, match=r"has other voxels than were ingested.*goes on") as told:
        run_study(plan, InlineRunner(), objective=meddles)
    path, whole, case = changed[0]
    assert f"Case {case}: " in str(told.value)
    study = open_study(tmp_path / "s")
    assert (study.counts()["fail"], study.metrics().height) == (0, 1)
    path.write_bytes(whole)
    run(mine, tmp_path)
    same = ["number", "fold", "epoch", "train_loss", "auroc"]
    assert study.metrics(0).select(same).equals(done.metrics(0).select(same))
    assert study.counts() == done.counts()


def test_a_cohort_exchanged_under_a_study_ends_it_and_fails_no_trial(
    mine: Cohort, tmp_path: Path
) -> None:
    spec = parse_spec(deepcopy(TINY_SPEC))
    plan = plan_study(spec, cohort=mine.folder, root=tmp_path, name="s")

    def exchanged(task: TrialTask) -> Iterator[Any]:
        path = mine.folder / "cohort.json"
        path.write_text(path.read_text().replace(mine.digest, "0" * 16))
        yield from run_trial(task)

    with pytest.raises(MMStudyError, match=rf"begun on cohort {mine.digest}, .* is 0{{16}}"):
        run_study(plan, InlineRunner(), objective=exchanged)
    assert open_study(tmp_path / "s").counts()["fail"] == 0


@pytest.mark.parametrize(
    ("own", "space", "proposed", "read"),
    [
        ("mine", {}, {}, "mine"),
        ("mine", {}, {"model.weights": "a stranger's"}, None),
        (None, {}, {"model.weights": "a stranger's"}, None),
        (None, {"model.weights": {"choice": ["a", "b"]}}, {"model.weights": "b"}, "b"),
        (None, {"model.weights": {"choice": ["a", "b"]}}, {"model.weights": "c"}, None),
    ],
)
def test_only_weights_that_the_users_own_spec_names_are_read(
    own: str | None, space: dict[str, Any], proposed: dict[str, Any], read: str | None
) -> None:
    """A journal may come from a stranger, and propose others."""
    model = {"name": "sam_msca"} | ({"weights": own} if own else {})
    spec = parse_spec(TINY_SPEC | {"model": model, "space": space, "search": {"trials": 1}})
    assert weights_of(spec, Proposal(0, proposed)) == read


def cheap(cohort: Cohort, root: Path, name: str = "s", **search: Any) -> Study:
    """A study of trials that take no time."""
    spec = parse_spec(deepcopy(TINY_SPEC) | {"search": {"trials": 2, **search}})
    plan = plan_study(spec, cohort=cohort.folder, root=root, name=name)
    run_study(plan, InlineRunner(), objective=in_no_time)
    return open_study(root / name)


def in_no_time(task: TrialTask) -> Iterator[EpochRow]:
    given = json.loads(task.params) | {"train.epochs": 2, "seconds": 0}
    return run_cheap(replace(task, params=json.dumps(given)))


def rates_of(study: Study) -> list[float]:
    return study.trials().sort("number")["param:train.lr"].to_list()


def test_the_best_of_another_study_are_tried_first_and_stay_so(
    cohort: Cohort, tmp_path: Path
) -> None:
    source = cheap(cohort, tmp_path, "before", trials=3)
    enqueue = {"from": str(source.folder.root), "top": 2}
    study = cheap(cohort, tmp_path, trials=2, enqueue=enqueue)
    wanted = source.trials()["param:train.lr"].to_list()[:2]
    assert rates_of(study) == wanted
    (record,) = study.about.sources
    assert (record.study, record.trials, record.taken) == ("before", 3, 2)
    # The source may be gone, and the journal lost: the record says what was tried.
    shutil.rmtree(source.folder.root)
    study.folder.journal.unlink()
    longer = cheap(cohort, tmp_path, trials=4, enqueue=enqueue)
    assert rates_of(longer)[:2] == wanted
    assert not {*wanted} & {*rates_of(longer)[2:]}
    assert longer.about.sources == (record,)


def test_a_warm_start_is_recorded(cohort: Cohort, tmp_path: Path) -> None:
    source = cheap(cohort, tmp_path, "before", trials=3)
    study = cheap(cohort, tmp_path, trials=1, warm_start=str(source.folder.root))
    (record,) = study.about.sources
    assert (record.way, record.study, record.trials, record.taken) == ("warm_start", "before", 3, 3)
    assert {*record.searched} == {*cohort.patients["case"]}
    found = selection_of(study)
    assert (found.trials, found.before) == (1, "3 trials of before")
    assert study.trials()["number"].min() == 3  # the adopted ones are none of its own


def test_a_source_that_saw_the_test_patients_begins_nothing(cohort: Cohort, tmp_path: Path) -> None:
    source = cheap(cohort, tmp_path, "before", trials=1)
    protocol = {"kind": "kfold", "folds": 2, "test": {"fraction": 0.25}}
    search = {"trials": 1, "enqueue": {"from": str(source.folder.root)}}
    spec = parse_spec(deepcopy(TINY_SPEC) | {"protocol": protocol, "search": search})
    plan = plan_study(spec, cohort=cohort.folder, root=tmp_path, name="s")
    with pytest.raises(UsageError, match=r"test patients of this study served in the search of"):
        run_study(plan, InlineRunner(), objective=in_no_time)
    assert not plan.folder.study.exists()
