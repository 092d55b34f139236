"""The benchmark: rows on one footing, resumed, honest about choice and about what is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.stats.areas import auroc
from mmstudy.analysis.optimism import corrected_best, cross_fitted_choice
from mmstudy.benchmark import run as benchmark_run
from mmstudy.benchmark.read import read_benchmark
from mmstudy.benchmark.rows import ROWS, wanted_rows
from mmstudy.benchmark.run import Budget, plan_benchmark, run_benchmark
from mmstudy.driver.contract import Runner
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import Interrupted, UsageError
from mmstudy.report.benchmark import benchmark_table
from mmstudy.report.table import render
from mmstudy.spec.reading import find_spec, load_spec
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.origin import Origin
from mmstudy.storage.schema import State
from mmstudy.study import open_study
from support.broken_study import BREAKS
from support.cheap_study import study_of_scores
from support.made_study import made_study

Command = Callable[..., tuple[int, str, str]]
SETTINGS = ("data.window=[8,32,32]", "protocol.test=null", "data.tile_stride=8")
BUDGET = Budget(trials=2, seeds=1, epochs=2, width=1 / 16, folds=2, settings=SETTINGS)
CHEAP = ("mmcaf_net", "kan", "logistic", "lesion_box")


def inline(_: bool) -> Runner:
    return InlineRunner()


def run(rows: tuple[str, ...], cohort: Cohort, root: Path, budget: Budget = BUDGET) -> None:
    plan = plan_benchmark(rows, budget, cohort=cohort.folder, root=root)
    run_benchmark(plan, inline, progress=lambda *_: None, say=lambda _: None)


@pytest.fixture(scope="module")
def root(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    run((*CHEAP, "sam_msca"), cohort, folder)
    return folder


def test_a_budget_beyond_all_sense_is_refused_before_any_row_runs() -> None:
    with pytest.raises(UsageError, match=r"seeds must be from 1 to 1000, got 1000001\."):
        Budget(trials=1, seeds=1_000_001)


def test_each_row_is_complete_or_says_why_not(root: Path) -> None:
    found = read_benchmark(root)
    assert found is not None
    assert found.origin == Origin(synthetic=True)
    states = {row.entry.key: row.state for row in found.rows}
    assert states.pop("sam_msca") == "not reproducible here: needs SAM weights (--sam)"
    assert set(states.values()) == {"complete"}
    assert [row.entry.key for row in found.rows] == [
        key for key in ROWS if key in (*CHEAP, "sam_msca")
    ]
    assert {row.trials for row in found.rows if row.entry.key in ("mmcaf_net", "kan")} == {2}
    assert {row.seeds for row in found.rows if row.ours} == {1}


def test_all_rows_stand_on_the_same_cases_and_are_tested_as_one_family(root: Path) -> None:
    found = read_benchmark(root)
    assert found is not None
    scored = [row.ours.predictions for row in found.rows if row.ours is not None]
    cases = [known["case"].to_list() for known in scored if known is not None]
    assert len(cases) == 4
    assert all(one == cases[0] for one in cases)
    assert len(cases[0]) == 12
    assert found.verdicts.keys() == {"kan", "logistic", "lesion_box"}
    assert {test.family for verdict in found.verdicts.values() for test in verdict.tests} == {6}


def test_rows_share_folds_and_earlier_stages(root: Path) -> None:
    splits = [open_study(root / f"bench-{key}").about.split for key in CHEAP]
    assert all(split == splits[0] for split in splits)
    shared = root / "bench-shared"
    assert len(list(shared.glob("trunk-*.safetensors"))) == 4  # two folds, and two of the new split
    assert not (root / "bench-mmcaf_net" / "artifacts" / "shared").exists()
    found = read_benchmark(root)
    assert found is not None
    assert found.shared_seconds


def test_mmcaf_net_has_the_numbers_of_a_study_of_its_own(
    root: Path, cohort: Cohort, tmp_path: Path
) -> None:
    stages = "[{part: trunk, EPOCHS}, {part: image, EPOCHS}, {part: fusion}]".replace(
        "EPOCHS",
        "epochs: 2, lr: 3.0e-4, batch_size: 4, optimizer: adamw, schedule: constant, "
        "warmup_epochs: 0, weight_decay: 0.01, momentum: 0.9, dampening: 0.9, loss: bce, "
        "oversample: true",
    )
    settings = [*SETTINGS, "search.trials=2", "train.epochs=2", "model.width=0.0625"]
    settings += ["protocol.folds=2", "resources.gpu=0", "resources.cpu=1", f"train.stages={stages}"]
    spec = load_spec(find_spec("models/mmcaf_net"), settings, environment={})
    plan = plan_study(spec, cohort=cohort.folder, root=tmp_path, name="alone")
    run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
    alone, row = open_study(tmp_path / "alone"), open_study(root / "bench-mmcaf_net")
    columns = ["number", "fold", "epoch", "train_loss", "val_loss", "auroc", "brier"]
    assert alone.metrics().select(columns).equals(row.metrics().select(columns))
    for number in range(2):
        assert alone.predictions(number).equals(row.predictions(number))


def test_the_same_command_again_computes_nothing(root: Path, cohort: Cohort) -> None:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.parquet")}
    run((*CHEAP, "sam_msca"), cohort, root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.parquet")} == before


def test_a_row_with_more_trials_follows_its_search_and_confirms_the_new_best(
    cohort: Cohort, tmp_path: Path
) -> None:
    run(("kan",), cohort, tmp_path, replace(BUDGET, trials=1))
    run(("kan",), cohort, tmp_path, replace(BUDGET, trials=6))
    study, found = open_study(tmp_path / "bench-kan"), read_benchmark(tmp_path)
    (top,), best = study.highest(1), study.best_trial()
    assert found is not None
    assert best is not None
    assert study.trial(top)["value"] == study.trials()["value"].max()
    assert top in study.confirmed()
    (row,) = found.rows
    assert row.state == "complete"
    assert row.trials == 6
    assert row.confirmed == study.confirmed()[int(best["number"])]


def test_a_failed_trial_does_not_count_as_searched(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(("kan",), cohort, tmp_path)
    ledger = FolderLedger(open_study(tmp_path / "bench-kan").folder)
    ledger.put_trial(replace(ledger.trials()[0], state=State.FAIL, value=None, reason="made"))
    gone_on = []
    monkeypatch.setattr(benchmark_run, "run_study", lambda *_, **__: gone_on.append(True))
    run(("kan",), cohort, tmp_path)
    assert gone_on


def test_a_root_in_a_store_is_refused(cohort: Cohort, command: Command) -> None:
    code, _, told = command("benchmark", str(cohort.folder), "--root", "file:///nowhere/studies")
    assert code == 2
    assert "--root must be a folder, not an address" in told


def test_more_rows_join_those_that_are_there(root: Path, cohort: Cohort, tmp_path: Path) -> None:
    run(("logistic",), cohort, tmp_path)
    run(("kan",), cohort, tmp_path)
    found = read_benchmark(tmp_path)
    assert found is not None
    assert [row.entry.key for row in found.rows] == ["kan", "logistic"]


def test_a_stopped_benchmark_goes_on_and_keeps_what_was_done(
    root: Path, cohort: Cohort, tmp_path: Path
) -> None:
    plan = plan_benchmark(("kan", "logistic"), BUDGET, cohort=cohort.folder, root=tmp_path)

    def stopped(what: str, done: int, of: int) -> None:
        if "trials" in what and done == 1:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, Interrupted)):
        run_benchmark(plan, inline, progress=stopped, say=lambda _: None)
    halfway = read_benchmark(tmp_path)
    assert halfway is not None
    assert [row.state for row in halfway.rows] == ["running or interrupted", "not run yet"]
    run(("kan", "logistic"), cohort, tmp_path)
    done = read_benchmark(tmp_path)
    assert done is not None
    assert {row.state for row in done.rows} == {"complete"}
    assert trial(tmp_path, "kan", 0) == trial(root, "kan", 0)
    assert figures(tmp_path, "logistic") == figures(root, "logistic")  # not begun when stopped


def figures(root: Path, key: str) -> Any:
    found = read_benchmark(root)
    assert found is not None
    row = next(row for row in found.rows if row.entry.key == key)
    assert row.ours is not None
    return row.ours.as_dict(), row.expected, row.confirmed


def trial(root: Path, key: str, number: int) -> Any:
    """What a trial was and gave; one begun after an interruption is another than without it."""
    study = open_study(root / f"bench-{key}")
    row = {k: v for k, v in study.trial(number).items() if k.startswith("param:") or k == "value"}
    return row, study.predictions(number).rows()


def test_every_format_says_synthetic_n_and_what_is_flagged(root: Path) -> None:
    found = read_benchmark(root)
    assert found is not None
    table = benchmark_table(found)
    for how in ("table", "markdown", "latex", "csv"):
        text = render(table, how)  # type: ignore[arg-type]
        assert "SYNTHETIC" in text
        assert "n=43" in text
    whole = json.loads(render(table, "json"))
    assert whole["synthetic"] is True
    assert len(table.rows) == len(whole["rows"]) == 5
    for row in (*table.rows, *whole["rows"]):  # the row of the lesion's size is told of it
        told = row["row"] in ("lesion_box", "Lesion box size (oracle)")
        assert row["origin"] == ("SYNTHETIC ORACLE" if told else "SYNTHETIC")
    assert whole["rows"][0]["ours"]["n"] == 12
    of_table = {line["row"]: line for line in table.people()}
    assert of_table["MMCAF-Net"]["MMCAF-Net minus it, AUROC"] == "reference"
    assert of_table["SAM+E3D-MSCA"]["ours AUROC"] == "-"


def test_the_command_shows_what_there_is_and_refuses_what_it_does_not_know(
    root: Path, cohort: Cohort, command: Command, tmp_path: Path
) -> None:
    code, out, _ = command(
        "benchmark", str(cohort.folder), "--root", str(root), "--show", "-f", "json"
    )
    assert code == 0
    assert json.loads(out)["trials"] == 2
    code, _, told = command("benchmark", str(cohort.folder), "--models", "pecom", "--dry-run")
    assert code == 2
    assert "no row 'pecom'. Did you mean 'pecon'?" in told
    code, _, told = command(
        "benchmark", str(cohort.folder), "--root", str(tmp_path), "--set", "train.lrr=1"
    )
    assert code == 2
    assert "train.lrr: no such setting. Did you mean 'lr'?" in told
    assert not list(tmp_path.iterdir())


def test_all_rows_can_be_planned_at_once(cohort: Cohort, tmp_path: Path) -> None:
    plan = plan_benchmark(wanted_rows("all"), BUDGET, cohort=cohort.folder, root=tmp_path)
    assert plan.plans.keys() == ROWS.keys() - {"sam_msca"}
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="--models is `all` or some of"):
        wanted_rows(" , ")


def test_a_changed_budget_is_refused_not_mixed(root: Path, cohort: Cohort) -> None:
    other = Budget(trials=2, seeds=1, epochs=3, width=1 / 16, folds=2, settings=SETTINGS)
    with pytest.raises(UsageError, match=r"train\.epochs was 2, is 3"):
        plan_benchmark(("kan",), other, cohort=cohort.folder, root=root)


@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_row_is_told_and_the_others_are_shown(
    command: Command, tmp_path: Path, what: str
) -> None:
    made_study(tmp_path, name="bench-mmcaf_net")
    BREAKS[what](made_study(tmp_path, name="bench-kan").folder.root)
    state = {"trials": 1, "seeds": 0, "rows": {"mmcaf_net": {}, "kan": {}, "mlp": {}}}
    (tmp_path / "benchmark.json").write_text(json.dumps(state), encoding="utf-8")
    code, out, err = command("benchmark", "c", "--show", "--root", str(tmp_path), "-f", "json")
    states = {row["row"]: row["state"] for row in json.loads(out)["rows"]}
    assert (code, err) == (0, "")
    assert states["mmcaf_net"] == "complete"
    assert states["mlp"] == "not run yet"
    told = "not run yet" if what == "no study.json" else "cannot be read: "
    assert states["kan"].startswith(told)


def test_a_cross_fitted_choice_is_made_without_the_fold_it_is_judged_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    labels = np.tile([0, 1], 15)
    folds = np.repeat([0, 1, 2], 10)
    scores = rng.random((6, 30))
    study = study_of_scores(tmp_path / "s", scores, labels, folds)
    found = cross_fitted_choice(study)
    assert found is not None
    for fold in range(3):
        others = [f for f in range(3) if f != fold]
        means = [
            np.mean([auroc(labels[folds == f], s[folds == f]) for f in others]) for s in scores
        ]
        rows = found.rows.filter(
            pl.col("case").is_in([f"c{i:03d}" for i in np.flatnonzero(folds == fold)])
        )
        assert (
            rows["probability"].to_list() == scores[int(np.argmax(means))][folds == fold].tolist()
        )


def test_a_cross_fitted_choice_among_noise_is_worth_nothing(tmp_path: Path) -> None:
    """The best of 20 scores that say nothing looks good; chosen on other folds it is at 0.5."""
    rng = np.random.default_rng(11)
    labels, folds = np.tile([0, 1], 24), np.repeat(np.arange(4), 12)
    best, fitted = [], []
    for i in range(20):
        study = study_of_scores(tmp_path / str(i), rng.random((20, 48)), labels, folds)
        found = cross_fitted_choice(study)
        assert found is not None
        parts = found.rows.with_columns(fold=pl.col("case").str.slice(1).cast(pl.Int64) // 12)
        fitted.append(
            np.mean([auroc(p["label"], p["probability"]) for p in parts.partition_by("fold")])
        )
        best.append(study.trials()["value"].max())
    error = np.std(fitted) / np.sqrt(len(fitted))
    assert abs(np.mean(fitted) - 0.5) < 3 * error
    assert np.mean(best) > 0.6  # type: ignore[arg-type]
    assert corrected_best(study) is not None


@pytest.mark.slow
def test_a_killed_benchmark_goes_on_where_it_was(
    root: Path, cohort: Cohort, tmp_path: Path
) -> None:
    """SIGKILL in the middle of a row, through the command and Ray."""
    settings = [part for text in SETTINGS for part in ("--set", text)]
    options = [
        "--models",
        "mmcaf_net,kan,logistic",
        "--trials",
        "2",
        "--seeds",
        "1",
        "--epochs",
        "2",
    ]
    options += [
        "--width",
        "0.0625",
        "--folds",
        "2",
        "--root",
        str(tmp_path),
        *settings,
        "-f",
        "json",
    ]
    command = [sys.executable, "-m", "mmstudy.cli.main", "benchmark", str(cohort.folder), *options]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    waiting = time.monotonic()
    while not list(tmp_path.glob("bench-mmcaf_net/metrics/*.parquet")):
        assert first.poll() is None
        assert time.monotonic() - waiting < 180
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    halfway = read_benchmark(tmp_path)
    assert halfway is not None
    assert halfway.rows[0].state != "complete"
    begun = open_study(tmp_path / "bench-mmcaf_net").trials()["number"].to_list()
    assert 0 in begun
    subprocess.run(command, check=True, capture_output=True)
    done = read_benchmark(tmp_path)
    assert done is not None
    assert {row.state for row in done.rows} == {"complete"}
    for number in begun:  # went on from their checkpoints, to what nobody had interrupted
        assert trial(tmp_path, "mmcaf_net", number) == trial(root, "mmcaf_net", number)
    for key in ("kan", "logistic"):
        assert figures(tmp_path, key) == figures(root, key)
