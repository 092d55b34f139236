"""After the search: what is confirmed, evaluated, corrected, explained, exported, deleted."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmcaf.data import cohort as cohorts
from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmcaf.errors import CohortError
from mmcaf.files.look_notes import noted_looks
from mmcaf.stats.areas import auroc
from mmcaf.stats.estimates import corrected_interval
from mmcaf.stats.metrics import ConfusionMatrix
from mmcaf.stats.predictive import predictive
from mmcaf.stats.priors import corrected
from mmstudy.analysis.optimism import outcomes_of
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import MMStudyError, StudyHalted, UsageError
from mmstudy.followup.confirm import confirm, run_confirmation
from mmstudy.followup.evaluate import evaluate
from mmstudy.followup.predict import predict
from mmstudy.followup.rerun import task_of
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.lock import driver_lock, holder
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import TRIALS
from mmstudy.study import Study, open_study
from mmstudy.trial.compute import derive_seed, load_plan, train
from mmstudy.trial.folds import split_cohort
from support.damaged_cohort import damaged_copy
from support.keyed import keyed
from support.opened_files import opened
from support.renamed_cohort import renamed
from support.tiny_spec import TINY_SPEC

Command = Callable[..., tuple[int, str, str]]
SPEC: dict[str, Any] = deepcopy(TINY_SPEC) | {
    "protocol": {"kind": "kfold", "folds": 2, "test": {"fraction": 0.25, "seed": 1}},
    "search": {"trials": 5, "startup_trials": 5},
}


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("larger")
    write(folder / "dicom", SyntheticSpec(patients=20, size=48, slices=12, seed=6))
    return ingest([folder / "dicom"], keyed(folder / "cohort"), in_plane_px=48)


@pytest.fixture(scope="module")
def study(larger: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Study:
    return run(larger, tmp_path_factory.mktemp("root"))


def run(cohort: Cohort, root: Path, name: str = "s", **changes: Any) -> Study:
    plan = plan_study(parse_spec(SPEC | changes), cohort=cohort.folder, root=root, name=name)
    run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
    return open_study(root / name)


@pytest.fixture(scope="module")
def confirmed(study: Study, larger: Cohort) -> list[dict[str, Any]]:
    return confirm(
        study,
        InlineRunner(),
        cohort=larger.folder,
        top=2,
        seeds=3,
        progress=lambda *_: None,
    )


def test_confirmation_is_over_new_folds_that_never_hold_a_test_patient(
    study: Study, larger: Cohort, confirmed: list[dict[str, Any]]
) -> None:
    spec, test = study.about.spec, set(study.about.split.test)
    assert len(test) == 5
    splits = [
        split_cohort(spec.protocol, larger, seed=derive_seed(0, "confirm", run)) for run in range(3)
    ]
    for split in splits:
        assert set(split.test) == test
        assert not test & {case for fold in split.folds for case in (*fold.train, *fold.val)}
    folds = {split.folds for split in splits}
    assert len(folds) == 3
    assert splits[0] != study.about.split


def test_confirmed_values_are_at_the_searchs_epoch_with_the_corrected_interval(
    study: Study, confirmed: list[dict[str, Any]]
) -> None:
    rows = study.confirmations()
    top = study.trials()["number"].to_list()[:2]
    assert sorted({*rows["number"]}) == sorted(top)
    for found in confirmed:
        of = rows.filter(number=found["number"])
        assert set(of["epoch"]) == {study.trial(found["number"])["best_epoch"]}
        assert len({*of["seed"]}) == found["runs"] == 3
        expected = corrected_interval(of["auroc"].to_list(), ratio=(7 / 8 + 8 / 7) / 2)
        assert (found["confirmed"], found["low"], found["high"], found["folds"]) == (
            pytest.approx(expected.mean),
            pytest.approx(expected.low),
            pytest.approx(expected.high),
            6,
        )


def test_the_weights_that_a_study_names_are_read_nowhere_but_where_the_user_says(
    study: Study, larger: Cohort, cohort: Cohort, tmp_path: Path, command: Command
) -> None:
    """SAM's: `model.weights` of a received study is the word of a stranger."""
    stranger, mine = tmp_path / "root" / "s", tmp_path / "mine"
    shutil.copytree(study.folder.root, stranger)
    theirs = tmp_path / "of somebody else"
    theirs.mkdir()
    for name in ("config.json", "model.safetensors"):
        (theirs / name).write_text("{}")
    told = json.loads((stranger / "study.json").read_text())
    told["spec"]["model"] = {"name": "sam_msca", "weights": str(theirs)}
    told["spec"]["space"] = {"train.lr": told["spec"]["space"]["train.lr"]}
    (stranger / "study.json").write_text(json.dumps(told))
    lr = {"params": '{"train.lr": 0.001}'}
    for file in (stranger / "trials").glob("*.parquet"):
        row = pl.read_parquet(file).to_dicts()[0]
        write_rows(file, TRIALS, [row | lr])
    given = ["--root", str(tmp_path / "root"), "--cohort", str(larger.folder)]
    for called in (
        ["rerun", "s", "best"],
        ["confirm", "s", "--inline"],
        ["evaluate", "s", "best"],
        ["predict", "s", "best", str(cohort.folder)],
        ["explain", "s", "best"],
    ):
        with opened() as files:
            code, _, err = command(*called, *given)
        assert (code, "give their folder with --weights" in err) == (1, True), called
        assert not [file for file in files if file.startswith(str(theirs))]
        code, _, err = command(*called, *given, "--weights", str(mine))
        assert code != 0
        assert str(mine) in err
        assert str(theirs) not in err


@pytest.mark.parametrize("wrong", [{"top": 0}, {"top": 10**9}, {"seeds": 0}, {"seeds": 10**9}])
def test_no_number_of_runs_is_beyond_all_sense(study: Study, wrong: dict[str, int]) -> None:
    ((name, number),) = wrong.items()
    with pytest.raises(UsageError, match=rf"{name} must be from 1 to 1\d+, got {number}\."):
        confirm(study, InlineRunner(), **wrong)


def test_a_confirming_run_is_the_trial_trained_on_those_folds(
    study: Study, larger: Cohort, confirmed: list[dict[str, Any]]
) -> None:
    row = study.confirmations().row(0, named=True)
    task = replace(task_of(study, row["number"], larger), seed=row["seed"])

    def first_fold(split_seed: int | None) -> float | None:
        epochs = train(load_plan(replace(task, split_seed=split_seed)))
        found = next(one for one in epochs if one.report.epoch == row["epoch"])
        return found.report.rates["brier"]

    assert first_fold(derive_seed(0, "confirm", row["run"])) == row["brier"]
    assert first_fold(None) != row["brier"]


def test_the_best_is_the_best_confirmed(study: Study, confirmed: list[dict[str, Any]]) -> None:
    best = study.best_trial()
    assert best is not None
    assert best["number"] == confirmed[0]["number"]
    values = [row["confirmed"] for row in confirmed]
    assert values == sorted(values, reverse=True)


def test_a_confirmation_that_was_stopped_runs_only_what_is_missing(
    study: Study, larger: Cohort, confirmed: list[dict[str, Any]]
) -> None:
    before, cases = study.confirmations(), study.confirmed_cases(confirmed[0]["number"])
    assert cases.height == 3 * 15
    gone = study.folder.confirmation(confirmed[0]["number"], 1)
    whole = pl.read_parquet(gone)
    whole.head(1).write_parquet(gone)  # its second fold was never reached
    again = confirm(
        study, InlineRunner(), cohort=larger.folder, top=2, seeds=3, progress=lambda *_: None
    )
    drop = ["seconds", "written"]
    assert study.confirmations().drop(drop).equals(before.drop(drop))
    assert study.confirmed_cases(confirmed[0]["number"]).equals(cases)
    assert [row["confirmed"] for row in again] == [row["confirmed"] for row in confirmed]


def test_the_test_set_is_looked_at_once_per_look_and_logged(
    study: Study, larger: Cohort, command: Command
) -> None:
    root = str(study.folder.root.parent)
    arguments = ["evaluate", "s", "best", "--root", root, "--cohort", str(larger.folder)]
    for times in ("1 time", "2 times"):
        code, stdout, stderr = command(*arguments, "-f", "json")
        assert code == 0
        assert f"has been looked at {times}." in stderr
    row, other = json.loads(stdout)
    assert (row["look"], row["n"]) == (2, 5)
    assert row["threshold"] == "0.5"
    assert other["threshold"].startswith("mean of 2 folds' Youden")
    assert "Corrected ones are shifted on the logit scale" in stderr
    log = study.evaluations()
    assert log["look"].to_list() == [1, 2]
    assert log["auroc"][0] == log["auroc"][1]
    cases = pl.read_parquet(study.folder.test_predictions(1))
    assert sorted(cases["case"]) == sorted(study.about.split.test)
    labels, scores = cases["label"].to_numpy(), cases["probability"].to_numpy()
    assert row["auroc"]["value"] == log["auroc"][0] == auroc(labels, scores)
    assert row["brier_raw"]["value"] == log["brier"][0]
    called = scores >= 0.5
    rate = row["sensitivity"]
    assert (rate["hits"], rate["total"]) == (int((called & (labels == 1)).sum()), labels.sum())
    assert rate["low"] <= rate["value"] <= rate["high"]
    noted = [look for look in noted_looks(larger.folder)[0] if look.study == "s"]
    assert [datetime.fromisoformat(look.written) for look in noted] == log["written"].to_list()
    assert {look.cases for look in noted} == {study.about.split.test}
    code, stdout, _ = command("status", "s", "--root", root, "-f", "json")
    assert json.loads(stdout)[0]["test_looks"] == 2


def test_a_prevalence_that_is_none_costs_no_look(study: Study, command: Command) -> None:
    looks, root = study.evaluations().height, str(study.folder.root.parent)
    code, _, stderr = command("evaluate", "s", "best", "--root", root, "--prevalence", "20")
    assert (code, study.evaluations().height) == (2, looks)
    assert "between 0 and 1, got 20; for 20 % write 0.2" in stderr


def test_other_patients_have_counts_both_probabilities_and_a_prevalence_of_their_own(
    study: Study, larger: Cohort, cohort: Cohort, command: Command
) -> None:
    where = ["--root", str(study.folder.root.parent), "--cohort", str(larger.folder)]
    asked = ["predict", "s", "best", str(cohort.folder), *where]
    code, stdout, stderr = command(*asked, "--cases", "-f", "json")
    cases = pl.DataFrame(json.loads(stdout))
    assert code == 0
    assert "Corrected ones are shifted" in stderr
    best = study.best_trial()
    assert best is not None
    share = study.world(best["number"]).ensemble
    assert share is not None
    assert share.own < share.learnt == 0.5
    expected = corrected(cases["probability"].to_numpy(), share)
    assert cases["corrected"].to_numpy() == pytest.approx(expected)
    code, stdout, _ = command(*asked, "--prevalence", "0.2")
    assert code == 0
    for words in ("PPV at 20.0%", "The ensemble of the 2 folds' networks", "Calibration of"):
        assert words in stdout
    code, stdout, _ = command(*asked, "--prevalence", "0.2", "-f", "json")
    row = json.loads(stdout)[0]
    counts = ConfusionMatrix.from_scores(
        cases["label"].to_numpy(), cases["probability"].to_numpy(), threshold=0.5
    )
    rates, at = counts.rates(), predictive(counts, 0.2)
    assert (row["accuracy"]["hits"], row["n"]) == (rates["accuracy"].hits, 12)
    assert (row["npv_at"]["value"], row["npv_at"]["low"]) == (at.npv.value, at.npv.low)


@pytest.mark.parametrize("series", [False, True])
def test_the_studys_own_patients_are_refused_under_other_names(
    study: Study, larger: Cohort, tmp_path: Path, series: bool
) -> None:
    other = renamed(larger, tmp_path / "renamed", series=series)
    assert not set(other.patients["patient_id"]) & set(larger.patients["patient_id"])
    by = "20 by pixels" if series else "20 by series, 20 by pixels"
    with pytest.raises(MMStudyError, match=rf"20 of the 20 patients are of .* \({by}\)"):
        predict(study, 0, other.folder, cohort=larger.folder)


def test_confirming_says_whose_luck_it_takes_out(
    study: Study, larger: Cohort, confirmed: list[dict[str, Any]], command: Command
) -> None:
    where = ["--root", str(study.folder.root.parent), "--cohort", str(larger.folder)]
    code, stdout, stderr = command(
        *("confirm", "s", "--top", "2", "--seeds", "3", "--inline", "-f", "json"), *where
    )
    assert code == 0
    assert "does not take out luck of patients" in " ".join(stderr.split())
    rows = study.confirmations()
    for row in json.loads(stdout):
        values = rows.filter(number=row["number"]).group_by("run").agg(pl.mean("auroc"))["auroc"]
        assert row["training_error"] == pytest.approx(values.std() / 3**0.5)
        assert 0 <= row["patients_share"] <= 1


def test_no_trial_ever_sees_a_test_patient(study: Study) -> None:
    test = set(study.about.split.test)
    for number in study.trials()["number"]:
        assert not test & set(study.predictions(number)["case"])


def test_without_test_patients_there_is_nothing_to_evaluate(
    cohort: Cohort, tmp_path: Path, command: Command
) -> None:
    run(cohort, tmp_path, protocol={"kind": "kfold", "folds": 2}, search={"trials": 1})
    where = ["--root", str(tmp_path), "--cohort", str(cohort.folder)]
    code, stdout, stderr = command("evaluate", "s", "best", *where)
    assert (code, stdout) == (2, "")
    assert "set no patients aside for testing (protocol.test)" in stderr


def test_another_cohort_is_not_the_test_set(study: Study, cohort: Cohort, command: Command) -> None:
    where = ["--root", str(study.folder.root.parent), "--cohort", str(cohort.folder)]
    code, _, stderr = command("evaluate", "s", "best", *where)
    assert code == 1
    assert cohorts.load(cohort.folder).digest in stderr


def test_best_shows_what_to_expect_of_it(study: Study, command: Command) -> None:
    code, stdout, stderr = command(
        "best", "s", "--root", str(study.folder.root.parent), "-f", "json"
    )
    row = json.loads(stdout)[0]
    assert code == 0
    assert row["expected_low"] <= row["expected"] <= row["expected_high"]
    assert row["expected"] <= max(study.trials()["value"])
    assert "BBC-CV" in stderr


def test_the_choice_is_resampled_over_every_trial_and_epoch(study: Study) -> None:
    numbers = study.trials().filter(state="complete")["number"].sort().to_list()
    outcomes = outcomes_of(study, numbers)
    assert outcomes.score.shape == (len(numbers) * 2, 15)
    means = []
    for scores in outcomes.score:
        folds = [outcomes.fold == fold for fold in range(2)]
        means.append(np.mean([auroc(outcomes.label[f], scores[f]) for f in folds]))
    assert max(means) == pytest.approx(study.trials()["value"].max())


@pytest.mark.parametrize("name", ["trials", "best", "show"])
def test_what_a_machine_reads_says_that_it_is_synthetic(
    study: Study, command: Command, name: str
) -> None:
    where = ["0"] if name == "show" else []
    code, stdout, _ = command(
        name, "s", *where, "--root", str(study.folder.root.parent), "-f", "csv"
    )
    lines = stdout.splitlines()
    assert code == 0
    assert lines[0].startswith("origin,")
    assert all(line.startswith("SYNTHETIC,") for line in lines[1:])
    assert len(lines) > 1


def test_a_root_without_studies_says_so(command: Command, tmp_path: Path) -> None:
    code, stdout, stderr = command("ls", "--root", str(tmp_path / "typo"), "-f", "json")
    assert code == 0
    assert json.loads(stdout) == []
    assert "There is no study in" in stderr
    assert "typo" in stderr


def test_importance_of_few_trials_says_that_they_are_few(study: Study, command: Command) -> None:
    code, stdout, stderr = command("importance", "s", "--root", str(study.folder.root.parent))
    assert (code, stdout) == (1, "")
    assert "5 complete trials: too few to say; importance takes 30." in stderr


def test_importance_of_too_few_trials_is_refused(cohort: Cohort, tmp_path: Path) -> None:
    from mmstudy.search.importance import importance

    with pytest.raises(MMStudyError, match="1 complete trials: too few to say"):
        importance(run(cohort, tmp_path, search={"trials": 1}))


def test_a_warm_start_adopts_what_fits_exactly(
    study: Study, larger: Cohort, cohort: Cohort, tmp_path: Path
) -> None:
    source = {"trials": 2, "warm_start": str(study.folder.root)}
    narrow = {"train.lr": {"float": [1e-4, 1e-2], "log": True}}
    warm = run(larger, tmp_path, search=source, space=narrow, model=SPEC["model"])
    # Its scales are fixed at ones that the source never had: nothing fits.
    assert sorted(warm.trials()["number"]) == [0, 1]
    fixed = SPEC["model"] | {"pyramid_scales": [3]}
    warm = run(larger, tmp_path, "w", search=source, space=narrow, model=fixed)
    adopted = [
        row for row in study.trials().to_dicts() if row["param:model.pyramid_scales"] == "[3]"
    ]
    assert adopted
    assert warm.trials()["number"].min() == len(adopted)
    with pytest.raises(UsageError, match="of the 3 test patients of this study served in the"):
        run(cohort, tmp_path, "x", search=source)


def test_several_objectives_have_a_front_and_no_single_best(
    larger: Cohort, tmp_path: Path, command: Command
) -> None:
    search = {"trials": 4, "startup_trials": 4, "objectives": ["auroc", "parameters"]}
    found = run(larger, tmp_path, search=search)
    rows = found.trials().filter(state="complete").select("number", "value", "parameters").rows()
    front = {
        number
        for number, value, size in rows
        if not any(v >= value and s <= size and (v, s) != (value, size) for _, v, s in rows)
    }
    assert {*found.front()["number"]} == front
    code, stdout, _ = command("best", "s", "--root", str(tmp_path), "-f", "json")
    assert code == 0
    assert {row["number"] for row in json.loads(stdout)} == front


def test_hours_tell_what_was_spent_on_trials_that_gave_nothing(study: Study) -> None:
    hours, seconds = study.hours(), study.trials()["seconds"].sum()
    assert hours["all"] == pytest.approx(float(seconds) / 3600)
    assert hours["complete"] == hours["all"]
    assert hours["gpu"] == 0


def test_an_export_has_every_row(study: Study, tmp_path: Path, command: Command) -> None:
    where = ["--root", str(study.folder.root.parent)]
    code, _, _ = command("export", "s", "--out", str(tmp_path / "out"), *where)
    assert code == 0
    text = (tmp_path / "out" / "metrics.csv").read_text()
    rows = [*csv.DictReader(io.StringIO(text))]
    assert len(rows) == study.metrics().height
    assert float(rows[0]["auroc"]) == study.metrics()["auroc"][0]


def test_compact_moves_the_tables_and_changes_no_number(
    larger: Cohort, tmp_path: Path, command: Command
) -> None:
    found = run(larger, tmp_path, search={"trials": 2})
    before = (found.trials(), found.metrics(), found.out_of_fold(0))
    code, stdout, _ = command("compact", "s", "--root", str(tmp_path))
    assert code == 0
    assert stdout.split()[-1] == "2"
    after = (found.trials(), found.metrics(), found.out_of_fold(0))
    assert all(a.equals(b) for a, b in zip(before, after, strict=True))
    check = ["rerun", "s", "0", "--check", "--root", str(tmp_path), "--cohort", str(larger.folder)]
    assert command(*check)[0] == 0
    assert run(larger, tmp_path, search={"trials": 3}).counts()["complete"] == 3


def test_a_running_study_is_neither_compacted_nor_deleted(study: Study, command: Command) -> None:
    root = ["--root", str(study.folder.root.parent)]
    study.folder.lock.write_text("host h, process 1")  # as a killed driver leaves it
    assert holder(study.folder) is None
    assert not study.live()
    assert command("stop", "s", *root)[0] == 1
    with driver_lock(study.folder):
        assert study.live()
        for arguments in (["compact", "s"], ["rm", "s", "--yes"]):
            code, _, stderr = command(*arguments, *root)
            assert code == 2
            assert "Another driver runs the study s: host " in stderr
    assert study.folder.study.exists()


def test_rm_deletes_the_study_it_was_told_to(
    cohort: Cohort, tmp_path: Path, command: Command
) -> None:
    run(cohort, tmp_path, "a", search={"trials": 1})
    run(cohort, tmp_path, "b", search={"trials": 1})
    assert command("rm", "a", "--yes", "--root", str(tmp_path))[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_doctor_names_what_is_not_there(command: Command, tmp_path: Path) -> None:
    code, stdout, _ = command("doctor", "--root", str(tmp_path), "-f", "json")
    found = {row["what"]: row for row in json.loads(stdout)}
    assert code == 0
    assert found["torch"]["ok"]
    assert found["install"] == {"what": "install", "found": "full", "ok": True}
    assert "GiB" in found["free disk"]["found"]


def test_nothing_follows_on_volumes_that_changed(
    study: Study, larger: Cohort, cohort: Cohort, tmp_path: Path
) -> None:
    changed, told = damaged_copy(larger, tmp_path / "own")
    looks, runs = study.evaluations().height, study.confirmations().height
    with pytest.raises(CohortError, match=told):
        confirm(study, InlineRunner(), cohort=changed.folder)
    with pytest.raises(CohortError, match=told):
        evaluate(study, 0, changed.folder)
    assert (study.evaluations().height, study.confirmations().height) == (looks, runs)
    other, told = damaged_copy(cohort, tmp_path / "other")
    with pytest.raises(CohortError, match=told):
        predict(study, 0, other.folder, cohort=larger.folder)


def test_a_volume_that_changes_under_a_confirmation_halts_it(
    study: Study, larger: Cohort, tmp_path: Path
) -> None:
    changed, told = damaged_copy(larger, tmp_path / "own")
    task = replace(task_of(study, 0, changed), confirms=(0, 99), split_seed=7, last_epoch=0)
    with pytest.raises(StudyHalted, match=told):
        list(run_confirmation(task))
