"""What the engine costs and what it finds, beside plain Tune and plain random search.

`make bench` runs it; or: python tests/benchmarks/bench_engine.py [tune|large|list|search]...
Exits 1 where a figure misses its target. Runs on a CPU, without any cohort.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mmstudy.analysis.listing import listed, standing
from mmstudy.driver.conductor import StudyConductor
from mmstudy.driver.contract import Runner
from mmstudy.driver.inline import InlineRunner
from mmstudy.driver.tally import Standing
from mmstudy.search.journal import Storage, open_journal
from mmstudy.search.optuna_study import Proposal, Search
from mmstudy.search.rebuild import disagreement, unrecorded
from mmstudy.spec.study_spec import ResourceSpec, StudySpec, parse_spec
from mmstudy.storage.compaction import compact
from mmstudy.storage.examination import examine
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger, Ledger
from mmstudy.storage.schema import PREDICTIONS, RATES, EpochRow, State, TrialRow
from mmstudy.study import list_studies
from mmstudy.trial.task import TrialTask

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))  # for support

LISTED = 1000
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPACE: dict[str, Any] = {
    "train.lr": {"float": [1e-5, 1e-1], "log": True},
    "train.weight_decay": {"float": [1e-5, 1e-1], "log": True},
    "train.momentum": {"float": [0.0, 0.9]},
    "model.pyramid_scales": {"choice": [[3], [2, 3], [1, 2, 3]]},
    "model.attention": {"choice": ["softmax", "linear"]},
    "model.tabular": {"choice": ["kan", "mlp"]},
}
FIXED = {"width": 0.0625, "token_grid": [1, 2, 2]}


def spec_of(*, epochs: int, **changes: Any) -> StudySpec:
    """A study over `SPACE`."""
    written = {"question": "How fast?", "model": FIXED, "train": {"epochs": epochs}, "space": SPACE}
    return parse_spec(written | {"limits": {"failed_trials": 0}} | changes)


def conductor_of(
    spec: StudySpec,
    ledger: Ledger,
    journal: Path | Storage | None,
    *,
    folds: int,
    study: str = "",
    notify: Callable[[Standing], None] = lambda _: None,
    rows: Mapping[int, TrialRow] | None = None,
) -> StudyConductor:
    """The engine's own conductor, without a cohort."""

    def task(proposal: Proposal) -> TrialTask:
        return TrialTask(
            study=study,
            cohort="",
            number=proposal.number,
            params=json.dumps(proposal.params),
            seed=proposal.number,
            threads=1,
            device="cpu",
        )

    search = Search(journal, spec)
    return StudyConductor(
        ledger=ledger,
        spec=spec,
        search=search,
        folds=folds,
        task=task,
        notify=notify,
        rows=rows,
    )


def row_of(task: TrialTask, fold: int, epoch: int, auroc: float) -> EpochRow:
    """An epoch that only has its place and its AUROC."""
    return EpochRow(
        number=task.number,
        fold=fold,
        epoch=epoch,
        attempt=1,
        n_train=180,
        n_val=45,
        n_val_positive=9,
        train_loss=0.5,
        val_loss=0.5,
        rates=dict.fromkeys(RATES) | {"auroc": auroc},
        lr=0.1,
        seconds=0.1,
        written=NOW,
    )


# 1. Beside a plain Tune function.

RECORDED_TRIALS, REPORTING_TRIALS, REPORTS = 24, 2, 1500


def beside_tune() -> list[bool]:
    """Seconds per trial of about a second each; reports per second of trials that only report."""
    from mmstudy.driver.on_ray import RayRunner

    os.environ["PYTHONPATH"] = str(TESTS)  # for the workers
    with tempfile.TemporaryDirectory() as name, RayRunner() as runner:
        plain_tune(plain_cheap, 4)  # warm both worker pools
        timed(runner, recorded, Path(name) / "warm", trials=4, epochs=5)
        ours = timed(runner, recorded, Path(name) / "a", trials=RECORDED_TRIALS, epochs=5)
        plain = plain_tune(plain_cheap, RECORDED_TRIALS)
        per_trial = [seconds / RECORDED_TRIALS for seconds in (plain, ours)]
        ours = timed(
            runner, only_reports, Path(name) / "b", trials=REPORTING_TRIALS, epochs=REPORTS // 2
        )
        plain = plain_tune(plain_reports, REPORTING_TRIALS)
        rate = [REPORTING_TRIALS * REPORTS / seconds for seconds in (plain, ours)]
    print(
        f"seconds per trial ({RECORDED_TRIALS} trials of 10 epochs of 0.08 s, ours recorded): "
        f"plain Tune {per_trial[0]:.3f}, engine {per_trial[1]:.3f}"
    )
    print(
        f"reports per second ({REPORTING_TRIALS} trials of {REPORTS}): plain Tune {rate[0]:.0f}, "
        f"engine {rate[1]:.0f}"
    )
    return [
        told("seconds per trial, engine / plain Tune", per_trial[1] / per_trial[0], at_most=1.15),
        told("reports per second, engine / plain Tune", rate[1] / rate[0], at_least=0.8),
    ]


def timed(runner: Runner, objective: Any, folder: Path, *, trials: int, epochs: int) -> float:
    """Seconds of a whole study through the engine."""
    (folder / "s").mkdir(parents=True)
    paths = StudyFolder(folder / "s")
    spec = spec_of(epochs=epochs, search={"trials": trials, "sampler": "random"})
    conductor = conductor_of(
        spec, FolderLedger(paths), paths.journal, folds=2, study=str(paths.root)
    )
    started = time.perf_counter()
    runner.run(conductor, objective, ResourceSpec())
    assert conductor.standing().complete == trials, conductor.standing()
    return time.perf_counter() - started


def plain_tune(function: Any, trials: int) -> float:
    """Seconds of as many trials of a plain Tune function, with Optuna proposing in memory."""
    import logging
    from contextlib import redirect_stdout

    from ray import tune

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    space = {
        "train.lr": tune.loguniform(1e-5, 1e-1),
        "train.weight_decay": tune.loguniform(1e-5, 1e-1),
        "train.momentum": tune.uniform(0.0, 0.9),
    }
    with tempfile.TemporaryDirectory() as storage, Path(os.devnull).open("w") as nowhere:
        tuner = tune.Tuner(
            tune.with_resources(function, {"cpu": 1}),
            param_space=space,
            tune_config=tune.TuneConfig(num_samples=trials, metric="auroc", mode="max"),
            run_config=tune.RunConfig(storage_path=storage, verbose=0),
        )
        started = time.perf_counter()
        with redirect_stdout(nowhere):
            tuner.fit()
        return time.perf_counter() - started


def recorded(task: TrialTask) -> Iterator[EpochRow]:
    """A cheap trial that nothing happens to."""
    from mmstudy.trial.recorder import record
    from support.cheap_trial import compute

    return record(task, lambda of, *rest: compute(replace(of, number=0), *rest))


def plain_cheap(config: dict[str, Any]) -> None:
    """The computation of a cheap trial, reported and not recorded."""
    from ray import tune

    from support.cheap_trial import compute

    params = {"train.lr": config["train.lr"], "train.epochs": 5}
    task = TrialTask(
        study="", cohort="", number=0, params=json.dumps(params), seed=0, threads=1, device="cpu"
    )
    for epoch in compute(task, None, 1):
        tune.report({"auroc": epoch.report.rates["auroc"]})


def plain_reports(_: dict[str, Any]) -> None:
    """Nothing but reports."""
    from ray import tune

    for index in range(REPORTS):
        tune.report({"auroc": 0.5 + index / 1000})


def only_reports(task: TrialTask) -> Iterator[EpochRow]:
    """Nothing but reports, through the engine."""
    for fold in range(2):
        for epoch in range(REPORTS // 2):
            yield row_of(task, fold, epoch, 0.5 + epoch / 1000)


# 2. A large study.

TRIALS, EPOCHS, OPENED = 5000, 50, 5


def large() -> list[bool]:
    """Open, resume and suggest in processes of their own; their median times and memory."""
    with tempfile.TemporaryDirectory() as name:
        paths = StudyFolder(Path(name) / "s")
        write_large(paths)
        size = paths.journal.stat().st_size / 2**20
        print(f"a study of {TRIALS} trials x {EPOCHS} epochs, journal of {size:.0f} MiB")
        command = [sys.executable, __file__, "--open", str(paths.root)]
        runs = [
            json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            for _ in range(OPENED)
        ]
    found = {name: float(np.median([run[name] for run in runs])) for name in runs[0]}
    judging = float(np.median([run["judge"] / run["open"] for run in runs]))
    print(
        "seconds to open {open:.2f}, to judge {judge:.2f}, to resume a trial {resume:.2f}, "
        "to suggest one {suggest:.2f}; "
        "peak memory {mib:.0f} MiB".format(**found)
    )
    seconds = found["open"] + found["resume"] + found["suggest"]
    return [
        told("seconds to open, resume and suggest", seconds, at_most=3.0),
        told("judging whether all is whole / opening", judging, at_most=0.05),
        told("peak memory of the driver, GiB", found["mib"] / 1024, at_most=1.0),
    ]


def listing() -> list[bool]:
    """CPU time of listing many studies, beside reading each one's table of trials by itself."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "studies"
        for number in range(LISTED):
            shutil.copytree(TESTS / "fixtures" / "study_v1", root / f"s{number:04d}")
        warm = len([*listed(root)])
        quick = cpu_seconds(lambda: [*listed(root)])
        alone = cpu_seconds(lambda: [standing(study.read()) for study in list_studies(root)])
    print(f"{warm} studies of 4 trials: {quick:.1f} s of CPU at once, {alone:.1f} s one by one")
    return [told("CPU time of a list, at once / one by one", quick / alone, at_most=0.4)]


def cpu_seconds(call: Callable[[], object]) -> float:
    """What a call takes of all processors."""
    before = time.process_time()
    call()
    return time.process_time() - before


def large_spec() -> StudySpec:
    """The spec of the large study."""
    return spec_of(
        epochs=EPOCHS,
        search={"trials": TRIALS + 2},
        pruning={"grace_epochs": 5, "reduction": 3},
    )


def write_large(paths: StudyFolder) -> None:
    """As a driver would have left it: the last trial still RUNNING."""
    spec, ledger = large_spec(), FolderLedger(paths)
    values = np.random.Generator(np.random.Philox(0)).uniform(0.4, 0.9, (TRIALS, EPOCHS))
    search = Search(paths.journal, spec)
    template = search.ask()
    for epoch in range(EPOCHS):
        search.report(template.number, epoch, 0.5)
    search.complete(template.number, [0.5])
    multiply(paths.journal, values)
    for number in range(TRIALS):
        running = number == TRIALS - 1
        row = TrialRow(
            number=number,
            state=State.RUNNING if running else State.COMPLETE,
            params=json.dumps(template.params),
            seed=number,
            attempts=1,
            started=NOW,
            value=None if running else float(values[number].max()),
            best_epoch=None if running else int(values[number].argmax()),
        )
        ledger.put_trial(row)
        task = TrialTask(
            study="", cohort="", number=number, params="{}", seed=0, threads=1, device="cpu"
        )
        epochs = [row_of(task, 0, epoch, float(v)) for epoch, v in enumerate(values[number])]
        ledger.put_epochs(number, epochs[: EPOCHS // 2] if running else epochs)
        paths.put_table(paths.trial_predictions(number), predictions_of(number))
        if number == TRIALS - 200:  # the last ones lie loose
            compact(paths)


def predictions_of(number: int) -> pa.Table:
    """A probability of each of 45 cases after each epoch."""
    rows, chance = EPOCHS * 45, np.random.Generator(np.random.Philox(number))
    columns = {
        "number": np.full(rows, number, np.int32),
        "fold": np.zeros(rows, np.int32),
        "epoch": np.repeat(np.arange(EPOCHS, dtype=np.int32), 45),
        "case": [f"c{index % 45:03d}" for index in range(rows)],
        "label": np.arange(rows, dtype=np.int8) % 2,
        "probability": chance.random(rows),
    }
    return pa.table(columns, schema=PREDICTIONS)


def multiply(journal: Path, values: Any) -> None:
    """The lines of the journal's one trial, for every trial with its own values."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    head = [line for line in lines if "trial_id" not in line and line["op_code"] != 4]
    body = [line for line in lines if line not in head]
    with journal.open("w", encoding="utf-8") as file:
        for line in head:
            file.write(json.dumps(line) + "\n")
        for number in range(TRIALS):
            for line in body:
                own = {**line, "trial_id": number} if "trial_id" in line else line
                if "step" in own:
                    own["intermediate_value"] = float(values[number, own["step"] - 1])
                if own.get("values") is not None:
                    if number == TRIALS - 1:
                        continue  # its end was never told
                    own["values"] = [float(values[number].max())]
                file.write(json.dumps(own) + "\n")


def open_large(root: Path) -> None:
    """In a process of its own: what a driver does first.

    A driver that judged nothing would read the rows of the trials for its conductor, so this is
    part of opening; judging reads them too, and hands them on.
    """
    paths, marks = StudyFolder(root), [time.perf_counter()]
    journal, ledger, spec = open_journal(paths.journal), FolderLedger(paths), large_spec()
    ledger.trials()
    marks.append(time.perf_counter())
    records = examine(paths, 1)
    assert records.whole, records
    assert not unrecorded(journal, spec, records.rows)
    rows = records.rows.values()
    assert disagreement(journal, spec, rows, folds=1, epochs=ledger.epochs) is None
    marks.append(time.perf_counter())
    conductor = conductor_of(spec, ledger, journal, folds=1, rows=records.rows)
    marks.append(time.perf_counter())
    resumed = conductor.next_task()
    marks.append(time.perf_counter())
    suggested = conductor.next_task()
    marks.append(time.perf_counter())
    assert resumed is not None
    assert suggested is not None
    assert (resumed.number, suggested.number) == (TRIALS - 1, TRIALS)
    steps = ("open", "judge", "conduct", "resume", "suggest")
    spent = dict(zip(steps, np.diff(marks).tolist(), strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.perf_counter()
    ledger.trials()
    spent["judge"] -= time.perf_counter() - started
    spent["open"] += spent.pop("conduct")
    print(json.dumps(spent | {"mib": peak}))


# 3. What the search finds.

SEEDS, BUDGET, LONGEST, CURVE_EPOCHS = 20, 600, 4, 20


@dataclass
class Found:
    """True value of the best trial so far, after so many epochs."""

    epochs: list[int]
    values: list[float]

    def at(self, epochs: int) -> float:
        """What was found with `epochs` spent."""
        known = [v for e, v in zip(self.epochs, self.values, strict=True) if e <= epochs]
        return known[-1] if known else 0.0

    def needed(self, value: float) -> float:
        """Epochs it took to find `value`; infinite where it was not found."""
        pairs = zip(self.epochs, self.values, strict=True)
        return next((e for e, v in pairs if v >= value), float("inf"))


def quality() -> list[bool]:
    """TPE and pruning, alone and together, beside random search, at equal epochs."""
    methods = {
        "random": ("random", False),
        "random + pruning": ("random", True),
        "TPE": ("tpe", False),
        "TPE + pruning": ("tpe", True),
    }
    runs = {
        name: [searched(seed, sampler, prunes, LONGEST * BUDGET) for seed in range(SEEDS)]
        for name, (sampler, prunes) in methods.items()
    }
    print(
        f"simulated learning curves, {len(SPACE)} dimensions, {CURVE_EPOCHS} epochs, medians of "
        f"{SEEDS} seeds; true AUROC of the trial found best:"
    )
    for name, found in runs.items():
        at = [float(np.median([f.at(part * BUDGET) for f in found])) for part in (1, 2, LONGEST)]
        print(
            f"  {name:18} {at[0]:.3f} after {BUDGET} epochs, {at[1]:.3f} after {2 * BUDGET}, "
            f"{at[2]:.3f} after {LONGEST * BUDGET}"
        )
    for name in ("random + pruning", "TPE"):
        gain = float(np.median(gains(runs["random"], runs[name])))
        print(f"for what {name} finds in {BUDGET} epochs, random search needs {gain:.1f} times it")
    gain = float(np.median(gains(runs["random"], runs["TPE + pruning"])))
    return [told("epochs random search needs for the same value, times", gain, at_least=2.0)]


def gains(random: list[Found], other: list[Found]) -> list[float]:
    """Of each seed: how many times `BUDGET` random search needs for what `other` finds with it.

    Never found within `LONGEST` budgets counts as `LONGEST`.
    """
    return [
        min(one.needed(two.at(BUDGET)) / BUDGET, LONGEST)
        for one, two in zip(random, other, strict=True)
    ]


def searched(seed: int, sampler: str, prunes: bool, budget: int) -> Found:
    """One study on simulated curves, through conductor and inline runner, in memory."""
    pruning = {"pruning": {"grace_epochs": 2, "reduction": 3}} if prunes else {}
    search = {"trials": 100_000, "sampler": sampler, "seed": 1000 * seed, "startup_trials": 8}
    spec = spec_of(epochs=CURVE_EPOCHS, search=search, **pruning)
    found, truth, spent = Found([], []), {}, [0]

    def objective(task: TrialTask) -> Iterator[EpochRow]:
        level, speed = potential(json.loads(task.params))
        noise = np.random.Generator(np.random.Philox([seed, task.number]))
        truth[task.number] = level
        for epoch in range(CURVE_EPOCHS):
            spent[0] += 1
            reached = 0.5 + (level - 0.5) * (1 - np.exp(-speed * (epoch + 1)))
            yield row_of(task, 0, epoch, float(reached + noise.normal(0, 0.01)))

    def notify(standing: Standing) -> None:
        if standing.best_number is not None:
            found.epochs.append(spent[0])
            found.values.append(truth[standing.best_number])
        if spent[0] >= budget:
            conductor.interrupt()

    from support.memory_ledger import MemoryLedger

    conductor = conductor_of(spec, MemoryLedger(), None, folds=1, notify=notify)
    InlineRunner().run(conductor, objective, ResourceSpec())
    return found


def potential(params: dict[str, Any]) -> tuple[float, float]:
    """Final AUROC and speed of learning of a simulated configuration."""
    lr, decay = np.log10(params["train.lr"]), np.log10(params["train.weight_decay"])
    scales, linear = len(params["model.pyramid_scales"]), params["model.attention"] == "linear"
    kan = params["model.tabular"] == "kan"
    level = 0.5 + 0.36 * np.exp(-(((lr + 3.0 - 0.4 * linear) / 0.8) ** 2))
    level -= 0.02 * ((decay + 2.5) / 1.0) ** 2 + 0.02 * (3 - scales) + 0.02 * kan
    level -= 0.05 * (params["train.momentum"] - 0.7) ** 2
    return float(np.clip(level, 0.45, 0.9)), float(np.clip(0.25 + 0.1 * (lr + 3), 0.05, 0.6))


def told(what: str, value: float, *, at_most: float = np.inf, at_least: float = -np.inf) -> bool:
    """Print a figure beside its target; whether it holds."""
    holds = at_least <= value <= at_most
    target = f"at most {at_most:g}" if at_most < np.inf else f"at least {at_least:g}"
    print(f"{what}: {value:.2f} ({target}) {'ok' if holds else 'MISSED'}")
    return holds


def main(names: list[str]) -> int:
    """Run the parts named, or all; the exit code."""
    if names[:1] == ["--open"]:
        open_large(Path(names[1]))
        return 0
    parts = {"tune": beside_tune, "large": large, "list": listing, "search": quality}
    held = [part() for name, part in parts.items() if name in names or not names]
    return 0 if all(all(one) for one in held) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
