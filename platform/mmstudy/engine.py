"""From a spec and a cohort to a finished study: checks, folds, lock, search, runner.

A study killed at any moment is continued by the same call: what is in the folder decides.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mmcaf.data import cohort as cohorts
from mmcaf.data import volumes
from mmcaf.data.cohort import Cohort
from mmcaf.data.splits import Protocol, Split, assign
from mmcaf.data.volumes import VolumeSpec
from mmcaf.files import write_json
from mmstudy.conductor import Standing, StudyConductor
from mmstudy.errors import Interrupted, MMStudyError, TooManyFailures, UsageError
from mmstudy.objective import derive_seed, run_trial
from mmstudy.paths import StudyPaths
from mmstudy.records import SCHEMA_VERSION
from mmstudy.runner import Runner, TrialTask
from mmstudy.search import Proposal, Search
from mmstudy.spec import StudySpec, resolved, trial_config
from mmstudy.store import read_json

__all__ = ["Plan", "cohort_of", "plan_study", "run_study"]

Progress = Callable[[str, int, int], None]  # what, done, of


@dataclass(frozen=True, slots=True)
class Plan:
    """A study ready to run: everything is checked, nothing is written yet."""

    spec: StudySpec
    cohort: Cohort
    paths: StudyPaths
    split: Split

    @property
    def in_plane_px(self) -> tuple[int, ...]:
        """Sides of the cached slices the space can ask for."""
        dimension = self.spec.space.get("data.window")
        windows = dimension.probes() if dimension else (None,)
        sizes = {
            trial_config(self.spec, {"data.window": w} if w else {}).data.in_plane_px
            for w in windows
        }
        return tuple(sorted(sizes))

    def describe(self) -> dict[str, Any]:
        """What a dry run prints."""
        train = trial_config(self.spec, {}).train
        return {
            "study": str(self.paths.root),
            "question": self.spec.question,
            "cohort": f"{self.cohort.patients.height} patients"
            + (" (SYNTHETIC)" if self.cohort.synthetic else ""),
            "set aside for testing": len(self.split.test),
            "folds": ", ".join(f"{len(f.train)}/{len(f.val)}" for f in self.split.folds),
            "space": {path: str(dimension) for path, dimension in self.spec.space.items()},
            "trials": self.spec.search.trials,
            "epochs at most": self.spec.search.trials * len(self.split.folds) * train.epochs,
        }


def plan_study(spec: StudySpec, *, cohort: Path, root: Path, name: str) -> Plan:
    """Check that `spec` fits `cohort` and what may already lie in `root/name`.

    Raises:
        UsageError: the protocol does not fit the cohort, or the folder holds another study.
        DataError: the cohort cannot be read.
    """
    if not name or Path(name).name != name or name.startswith("."):
        raise UsageError(f"A study's name must be a plain folder name, got {name!r}.")
    patients = cohorts.load(cohort)
    rows = patients.patients
    try:
        protocol = Protocol(
            kind=spec.protocol.kind,
            folds=spec.protocol.folds,
            repeats=spec.protocol.repeats,
            fraction=spec.protocol.fraction,
            seed=spec.protocol.seed,
            test=(spec.protocol.test.fraction, spec.protocol.test.seed)
            if spec.protocol.test
            else None,
        )
        split = assign(
            rows["case"].to_list(),
            rows["label"].to_list(),
            rows["group_id"].to_list(),
            protocol=protocol,
            patients=rows["patient_id"].to_list(),
        )
    except ValueError as error:
        raise UsageError(f"protocol: {error}") from error
    plan = Plan(spec, patients, StudyPaths(root / name), split)
    _check_continues(plan)
    return plan


def run_study(
    plan: Plan,
    runner: Runner,
    *,
    notify: Callable[[Standing], None],
    progress: Progress,
) -> Standing:
    """Run, or go on with, the planned study until it has the trials asked for.

    Raises:
        UsageError: another driver runs this study.
        TooManyFailures: more trials failed than the spec allows.
        Interrupted: the user stopped it; the same call goes on from there.
    """
    with _driver_lock(plan.paths):
        for side in plan.in_plane_px:
            volumes.build(plan.cohort, VolumeSpec(side), progress)
        _write_study(plan)
        conductor = StudyConductor(
            paths=plan.paths,
            spec=plan.spec,
            search=Search(plan.paths.journal, plan.spec),
            folds=len(plan.split.folds),
            task=lambda proposal: _task(plan, proposal),
            notify=notify,
        )
        try:
            with _stoppable(conductor):
                runner.run(conductor, run_trial)
        except KeyboardInterrupt:
            conductor.interrupt()
    if conductor.halted:
        raise MMStudyError(f"{conductor.halted} The same command then goes on from there.")
    if conductor.interrupted:
        raise Interrupted("Stopped. What is done is stored; the same command goes on from there.")
    standing = conductor.standing()
    if conductor.failed > plan.spec.limits.failed_trials:
        raise TooManyFailures(
            f"{conductor.failed} trials failed, more than limits.failed_trials = "
            f"{plan.spec.limits.failed_trials}. `mmstudy trials {plan.paths.root}` shows why."
        )
    return standing


def cohort_of(study: Path, given: Path | None) -> Path:
    """The cohort folder of a study: `given`, or where it lay beside the study."""
    if given is not None:
        return given
    link = read_json(StudyPaths(study).study).get("cohort")
    if not isinstance(link, str):
        raise MMStudyError(f"{study.name} does not say where its cohort is; give --cohort.")
    return (study / link).resolve()


def _task(plan: Plan, proposal: Proposal) -> TrialTask:
    resources = plan.spec.resources
    return TrialTask(
        study=str(plan.paths.root.resolve()),
        cohort=str(plan.cohort.folder.resolve()),
        number=proposal.number,
        params=json.dumps(proposal.params),
        seed=derive_seed(plan.spec.search.seed, proposal.number),
        threads=resources.cpu,
        device="cuda" if resources.gpu else "cpu",
    )


def _write_study(plan: Plan) -> None:
    rows = plan.cohort.patients
    known = read_json(plan.paths.study) if plan.paths.study.exists() else {}
    root = plan.paths.root.resolve()
    write_json(
        plan.paths.study,
        {
            "schema_version": SCHEMA_VERSION,
            "name": plan.paths.name,
            "synthetic": plan.cohort.synthetic,
            "question": plan.spec.question,
            "created": known.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
            "spec": resolved(plan.spec),
            "space_digest": plan.spec.digest(),
            "cohort": os.path.relpath(plan.cohort.folder.resolve(), root),
            "cohort_digest": plan.cohort.digest,
            "n_cases": rows.height,
            "n_positive": int(rows["label"].sum()),
            "split": plan.split.to_json(),
            "versions": _versions(),
            "code_version": _code_version(),
        },
    )


def _check_continues(plan: Plan) -> None:
    """Refuse to go on with a study whose space, protocol or cohort was another."""
    if not plan.paths.study.exists():
        return
    known = read_json(plan.paths.study)
    faults = []
    if known.get("cohort_digest") != plan.cohort.digest:
        faults.append(
            f"the cohort is {plan.cohort.digest}, the study was begun on {known['cohort_digest']}"
        )
    if known.get("space_digest") != plan.spec.digest():
        faults += _differences(known.get("spec", {}), resolved(plan.spec)) or ["the spec differs"]
    if faults:
        raise UsageError(
            *faults,
            heading=f"{plan.paths.root} holds a study that cannot go on with this spec; "
            "choose another --name, or undo the change:",
        )


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        found = [_differences(old.get(k), new.get(k), f"{path}.{k}".strip(".")) for k in keys]
        return [line for lines in found for line in lines]
    free = ("question", "cohort", "search.trials", "limits", "resources.gpu")
    if path.startswith(free) or json.dumps(old) == json.dumps(new):
        return []
    return [f"{path} was {old!r}, is {new!r}"]


@contextmanager
def _stoppable(conductor: StudyConductor) -> Iterator[None]:
    """The first SIGINT or SIGTERM lets every epoch end and be stored; the second stops at once."""

    def stop(*_: object) -> None:
        if conductor.interrupted:
            raise KeyboardInterrupt
        conductor.interrupt()

    if threading.current_thread() is not threading.main_thread():  # only that one gets signals
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _driver_lock(paths: StudyPaths) -> Iterator[None]:
    """One driver at a time; the lock ends with the process, however it ends."""
    paths.root.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                f"Another driver runs the study {paths.name}: {file.read().strip()}. "
                "Wait for it, or stop it first."
            ) from None
        file.truncate(0)
        file.write(f"host {socket.gethostname()}, process {os.getpid()}")
        file.flush()
        yield
        file.truncate(0)


def _versions() -> dict[str, str]:
    packages = ("mmcaf-study", "torch", "ray", "optuna", "numpy", "polars", "pykan")
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def _code_version() -> str:
    """The commit of a checkout, marked when files differ from it; else the package version."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return version("mmcaf-study")
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 - git is on PATH
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or version("mmcaf-study")
