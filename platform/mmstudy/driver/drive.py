"""From a spec and a cohort to a finished study: checks, folds, lock, search, runner.

A study killed at any moment is continued by the same call: what is in the folder decides.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmcaf.data.cohort import Cohort
from mmcaf.data.node_cache import load_cohort, make_volumes, note_cohort
from mmcaf.data.splits import Split
from mmcaf.data.verification import check
from mmcaf.data.volumes import VolumeSpec
from mmcaf.files.atomic import StorageError
from mmcaf.files.names import folder_fault, name_fault
from mmcaf.files.remote import address_of, place
from mmcaf.net.registry import reads_image
from mmstudy.driver.conductor import StudyConductor
from mmstudy.driver.contract import Runner
from mmstudy.driver.judgement import Mended, mend
from mmstudy.driver.leftovers import sweep
from mmstudy.driver.tally import Standing
from mmstudy.errors import Interrupted, MMStudyError, TooManyFailures, UsageError
from mmstudy.search.importance import keep_importance
from mmstudy.search.optuna_study import Proposal, Search
from mmstudy.search.rebuild import Known
from mmstudy.search.sources import begun_from, with_points
from mmstudy.search.warm_start import known_trials
from mmstudy.spec.study_spec import ResourceSpec, StudySpec, trial_config
from mmstudy.storage.about import check_continues, read_about, write_about
from mmstudy.storage.compaction import SEGMENT_TRIALS
from mmstudy.storage.folder import StudyFolder, working_root
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.lock import driver_lock
from mmstudy.storage.origin import Origin
from mmstudy.storage.schema import Source, State
from mmstudy.storage.stop import stoppable
from mmstudy.study import open_study
from mmstudy.trial.compute import derive_seed
from mmstudy.trial.folds import split_cohort
from mmstudy.trial.run import run_trial
from mmstudy.trial.task import Objective, TrialTask

__all__ = ["Plan", "adapted", "plan_study", "run_study", "weights_of"]

Progress = Callable[[str, int, int], None]  # what, done, of


@dataclass(frozen=True, slots=True)
class Plan:
    """A study ready to run: everything is checked, nothing is written yet."""

    spec: StudySpec
    cohort: Cohort
    folder: StudyFolder
    split: Split
    shared: Path | None = None  # earlier stages and features of several studies; None: its own

    @property
    def in_plane_px(self) -> tuple[int, ...]:
        """Sides of the cached slices the space can ask for; none where the table alone is read."""
        if not reads_image(trial_config(self.spec, {}, constrained=False).model):
            return ()
        dimension = self.spec.space.get("data.window")
        windows = dimension.probes() if dimension else (None,)
        sizes = {
            trial_config(self.spec, of, constrained=False).data.in_plane_px
            for of in ({"data.window": w} if w else {} for w in windows)
        }
        return tuple(sorted(sizes))

    def describe(self) -> dict[str, Any]:
        """What a dry run prints."""
        train = trial_config(self.spec, {}, constrained=False).train
        patients = self.cohort.patients.height
        return {
            "study": self.folder.address,
            "question": self.spec.question,
            "cohort": Origin(self.cohort.synthetic).named(f"{patients} patients"),
            "set aside for testing": len(self.split.test),
            "folds": ", ".join(f"{len(f.train)}/{len(f.val)}" for f in self.split.folds),
            "space": {path: str(dimension) for path, dimension in self.spec.space.items()},
            "trials": self.spec.search.trials,
            "epochs at most": self.spec.search.trials * len(self.split.folds) * train.epochs,
        }


def plan_study(
    spec: StudySpec,
    *,
    cohort: str | Path,
    root: str | Path,
    name: str,
    shared: Path | None = None,
    progress: Progress | None = None,
    continues: bool = True,
) -> Plan:
    """Check that `spec` fits `cohort` and what may already lie in `root/name`, and the volumes.

    Args:
        spec: what the study asks and searches, from `load_spec`.
        cohort: the folder that `mmstudy data ingest` made, or its address (`s3://bucket/cohort`).
        root: the folder of studies, or its address.
        name: of the study's own folder in `root`.
        shared: where earlier stages and features lie, for other studies too.
        progress: told of every volume that has to be read.
        continues: whether a study that already lies there must be able to go on with `spec`.

    Raises:
        UsageError: the protocol does not fit the cohort, or the folder holds another study.
        CohortError: the cohort cannot be read, or a volume is not what was ingested.
    """
    if fault := name_fault(name):
        raise UsageError(fault)
    root = place(str(root))
    if fault := folder_fault(root):
        raise UsageError(fault)
    patients = load_cohort(place(str(cohort), "cohort"), progress)
    split = split_cohort(spec.protocol, patients)
    plan = Plan(spec, patients, StudyFolder(working_root(root) / name), split, shared)
    before = StudyFolder(root / name)
    before.refresh(at_once=True)
    if continues:
        check_continues(before, spec, patients.digest, plan.split)
    largest = max(plan.in_plane_px, default=0)
    if largest > patients.in_plane_px:
        raise UsageError(
            f"data.window: {largest - 16} pixels and 16 for jitter need slices of {largest}, the "
            f"cohort was ingested with {patients.in_plane_px}. Ingest it again with --in-plane "
            f"{largest}, or choose a smaller window."
        )
    check(patients, plan.in_plane_px, progress)
    return plan


def run_study(
    plan: Plan,
    runner: Runner,
    *,
    notify: Callable[[Standing], None] = lambda _: None,
    progress: Progress = lambda *_: None,
    say: Callable[[str], None] = lambda _: None,
    objective: Objective = run_trial,
) -> Standing:
    """Run, or go on with, the planned study until it has the trials asked for; silent by default.

    Args:
        plan: what `plan_study` has checked.
        runner: who executes the trials: `InlineRunner()`, this process, or `RayRunner()`.
        notify: called after each change with how the study stands.
        progress: called with the steps of long preparations.
        say: called with what a user should know now.
        objective: what a trial does.

    Raises:
        UsageError: another driver runs this study.
        CohortError: a volume is not what was ingested.
        TooManyFailures: more trials failed than the spec allows.
        Interrupted: the user stopped it; the same call goes on from there.
    """
    with driver_lock(plan.folder):
        plan.folder.refresh(at_once=True)
        plan.folder.fetch_journal()
        for side in plan.in_plane_px:
            make_volumes(plan.cohort, VolumeSpec(side), progress)
        check(plan.cohort, plan.in_plane_px, progress)
        known = _known(plan)
        sources = _sources(plan, known)
        spec = with_points(plan.spec, sources)
        mended = mend(
            plan.folder,
            spec,
            len(plan.split.folds),
            say=lambda finding: say(str(finding)),
            adopted=known,
        )
        sweep(plan.folder, [n for n, row in mended.rows.items() if row.state is State.RUNNING])
        if len(plan.folder.files(plan.folder.trials, "[0-9]*")) >= SEGMENT_TRIALS:
            FolderLedger(plan.folder).compact()
        write_about(plan.folder, plan.spec, plan.cohort, plan.split, plan.shared, sources)
        note_cohort(plan.cohort)
        with runner:
            resources = adapted(plan.spec.resources, runner, say)
            search = Search(mended.journal, spec, known)
            conductor = _conductor(plan, resources, notify, mended, search)
            try:
                with stoppable(plan.folder, conductor.interrupt, lambda: conductor.interrupted):
                    runner.run(conductor, objective, resources)
            except KeyboardInterrupt:
                conductor.interrupt()
        if not conductor.halted:
            with suppress(StorageError):  # a study that ended well has not failed for this
                keep_importance(open_study(plan.folder.root))
    return _ended(plan, conductor)


def adapted(resources: ResourceSpec, runner: Runner, say: Callable[[str], None]) -> ResourceSpec:
    """`resources` as `runner` can give them; what it cannot give is said aloud.

    Raises:
        UsageError: one trial needs more GPUs than there are.
    """
    there = runner.gpus() if resources.gpu else 0.0
    if not resources.gpu or there >= resources.gpu:
        return resources
    if there:
        raise UsageError(
            f"resources.gpu: a trial asks for {resources.gpu:g} GPUs, there are {there:g}."
        )
    say(
        f"No GPU was found, though resources.gpu asks for {resources.gpu:g}: every trial runs on "
        "the CPU, far slower. Its rows say so."
    )
    return resources.model_copy(update={"gpu": 0.0})


def _conductor(
    plan: Plan,
    resources: ResourceSpec,
    notify: Callable[[Standing], None],
    mended: Mended,
    search: Search,
) -> StudyConductor:
    launch = uuid.uuid4().hex

    def task(proposal: Proposal) -> TrialTask:
        return TrialTask(
            study=plan.folder.address,
            cohort=address_of(plan.cohort.folder),
            number=proposal.number,
            params=json.dumps(proposal.params),
            seed=derive_seed(plan.spec.search.seed, proposal.number),
            threads=resources.cpu,
            device="cuda" if resources.gpu else "cpu",
            gpu=resources.gpu,
            epoch_seconds=plan.spec.limits.epoch_minutes * 60,
            launch=launch,
            weights=weights_of(plan.spec, proposal),
        )

    return StudyConductor(
        ledger=FolderLedger(plan.folder),
        spec=plan.spec,
        search=search,
        rows=mended.rows,
        folds=len(plan.split.folds),
        task=task,
        notify=notify,
        cohort_digest=plan.cohort.digest,
    )


def weights_of(spec: StudySpec, proposal: Proposal) -> str | None:
    """The folder of weights that the user's own spec names for these params.

    A journal from elsewhere may propose another one.
    """
    path, fixed = "model.weights", spec.model.get("weights")
    searched = spec.space.get(path)
    allowed = (fixed,) if searched is None else searched.probes()
    named = proposal.params.get(path, fixed)
    return named if named in allowed else None


def _known(plan: Plan) -> Sequence[Known]:
    source = plan.spec.search.warm_start
    if source is None or plan.folder.journal.exists():
        return ()
    return known_trials(
        plan.spec,
        StudyFolder.at(source),
        cohort_digest=plan.cohort.digest,
        split=plan.split,
    )


def _sources(plan: Plan, known: Sequence[Known]) -> tuple[Source, ...]:
    """What the search began from: as recorded when it did, or read now."""
    if plan.folder.study.exists():
        return read_about(plan.folder).sources
    return begun_from(plan.spec, plan.split, known)


def _ended(plan: Plan, conductor: StudyConductor) -> Standing:
    if conductor.halted:
        raise MMStudyError(f"{conductor.halted} The same command then goes on from there.")
    if conductor.interrupted:
        raise Interrupted("Stopped. What is done is stored; the same command goes on from there.")
    if conductor.failed > plan.spec.limits.failed_trials:
        raise TooManyFailures(
            f"{conductor.failed} trials failed, more than limits.failed_trials = "
            f"{plan.spec.limits.failed_trials}. "
            f"`mmstudy trials {plan.folder.address}` shows why."
        )
    return conductor.standing()
