"""Trials on Ray Tune: resources, processes and retries are Ray's; decisions and records are ours.

Tune's own searcher, scheduler state and experiment snapshots are not used: after a crash they lose
or corrupt trials. Here they are two thin stubs that pass every event to the conductor, and the Tune
experiment is disposable: each launch makes a new one in a temporary folder and throws it away.
A worker that dies is started again by Ray and goes on from the trial's own checkpoint; an error
that would happen again is reported as a result, so Ray does not retry it.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self, TypeVar

from mmstudy import ray_env as rayenv
from mmstudy.driver.contract import TIME_STEPS, Conductor, Runner, overdue
from mmstudy.errors import StudyHalted, TrialFailed, UsageError
from mmstudy.spec.study_spec import ResourceSpec
from mmstudy.storage.schema import EpochRow
from mmstudy.trial.task import Objective, TrialTask

rayenv.prepare()  # before Ray is imported, which is when it reads this

import ray  # noqa: E402
from ray import tune  # noqa: E402
from ray.exceptions import AuthenticationError  # noqa: E402
from ray.tune.schedulers import FIFOScheduler, TrialScheduler  # noqa: E402
from ray.tune.search import ConcurrencyLimiter, Searcher  # noqa: E402

__all__ = ["RayRunner", "ray_cluster"]

_T = TypeVar("_T")
_METRIC = "auroc"
# Of one trial, which Tune starts again each time. A trial that dies at one place gives up much
# earlier by itself (`mmstudy.trial.recorder`): so many deaths mean that no trial can run here.
_PROCESS_DEATHS = 100
_LEAVE_SECONDS = 5.0  # for a fault to be told before the process of a hung trial ends


class ray_cluster:  # noqa: N801 - used as a function: `with ray_cluster(): ...`
    """Connect to the cluster named by RAY_ADDRESS, or start one of this machine's CPUs and GPUs.

    Leaving the block shuts down only what entering it started.
    """

    def __init__(self, cpus: int | None = None) -> None:
        self._cpus = cpus
        self._mine = False

    def __enter__(self) -> None:
        """Connect, unless already connected.

        Raises:
            UsageError: RAY_ADDRESS names no cluster that lets this process in.
        """
        if ray.is_initialized():
            return
        os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
        os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # the engine's lets epochs end
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        address = os.environ.get("RAY_ADDRESS")
        if address and address.startswith("http"):
            raise UsageError(
                f"RAY_ADDRESS is {address}, where jobs are submitted: `mmstudy submit --address "
                f"{address}` runs the study there. To run it here, unset RAY_ADDRESS."
            )
        # Another cluster's sizes are its own. Without "local" Ray would join whatever cluster was
        # last started on this machine, by whomever, and end with it.
        local: dict[str, Any] = {} if address else {"address": "local", "num_cpus": self._cpus}
        on_sigterm = signal.getsignal(signal.SIGTERM)  # which Ray replaces by an exit
        try:
            # Workers import from where the driver stands, which may be a folder of a stranger.
            with chdir("/"):
                ray.init(
                    include_dashboard=False if not address else None,
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    configure_logging=False,
                    **local,
                )
        except (ConnectionError, AuthenticationError, ValueError) as error:
            if not address:
                raise
            raise UsageError(_no_entry(address)) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_sigterm)
        self._mine = True

    def __exit__(self, *_: object) -> None:
        """Shut down what was started here."""
        if self._mine:
            ray.shutdown()


def _no_entry(address: str) -> str:
    known = "with" if os.environ.get("RAY_AUTH_MODE") == "token" else "without"
    return (
        f"RAY_ADDRESS: no cluster at {address} lets this process in, which came {known} a token. "
        "Is it running, and are RAY_AUTH_MODE and RAY_AUTH_TOKEN its own? To run the study on "
        "this machine alone, unset RAY_ADDRESS."
    )


class RayRunner(Runner):
    """As many trials at once as the resources allow."""

    def __init__(self) -> None:
        self._cluster = ray_cluster()

    def __enter__(self) -> Self:
        """Connect, or start a cluster of this machine."""
        self._cluster.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        """Shut down what was started here."""
        self._cluster.__exit__(*reason)

    def gpus(self) -> float:
        """Number of GPUs of the cluster."""
        return _total("GPU")

    def run(self, conductor: Conductor, objective: Objective, resources: ResourceSpec) -> None:
        """Run trials side by side as room allows; return when none is left and none is alive."""
        bridge = _Bridge(conductor)
        searcher = ConcurrencyLimiter(_Asker(bridge), max_concurrent=_concurrent(resources))
        with tempfile.TemporaryDirectory(prefix="mmstudy-") as scratch:
            tuner = tune.Tuner(
                tune.with_resources(
                    _trainable(objective), {"cpu": resources.cpu, "gpu": resources.gpu}
                ),
                tune_config=tune.TuneConfig(
                    search_alg=searcher,
                    scheduler=_Stopper(bridge),
                    num_samples=-1,
                    # A process, and so a CUDA context, for each trial. Tune can reuse them, but
                    # loses the next trial when the one it reuses hangs or is dead (2.60).
                    reuse_actors=False,
                    trial_dirname_creator=lambda trial: f"{trial.trial_id}",
                ),
                run_config=tune.RunConfig(
                    name="trials",
                    storage_path=scratch,
                    failure_config=tune.FailureConfig(max_failures=_PROCESS_DEATHS),
                    verbose=0,
                ),
            )
            # With its own result files off, Tune complains that it cannot read them.
            logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
            # Even at verbosity 0 it prints tables, and stdout is for data.
            with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
                tuner.fit()
        if bridge.error is not None:
            raise bridge.error


def _concurrent(resources: ResourceSpec) -> int:
    if resources.concurrent != "auto":
        return int(resources.concurrent)
    room = [_total("CPU") / resources.cpu]
    if resources.gpu:
        room.append(_total("GPU") / resources.gpu)
    return max(1, math.floor(min(room)))


def _total(kind: str) -> float:
    total: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return max(total.get(kind, 0.0), rayenv.growth().get(kind, 0.0))


class _Bridge:
    """Tune's trial ids on one side, the conductor's numbers on the other."""

    def __init__(self, conductor: Conductor) -> None:
        self.conductor = conductor
        self.error: BaseException | None = None  # the first one of ours; it ends the run
        self._numbers: dict[str, int] = {}
        self._faults: dict[str, str] = {}
        self._halts: dict[str, str] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self.error is not None or self.conductor.finished:
            return str(Searcher.FINISHED)
        task = self._guarded(self.conductor.next_task)
        if task is None:
            return str(Searcher.FINISHED) if self.conductor.finished or self.error else None
        self._numbers[trial_id] = task.number
        return asdict(task)

    def goes_on(self, trial_id: str, result: dict[str, Any]) -> bool:
        for name, kept in (("fault", self._faults), ("halt", self._halts)):
            if name in result:
                kept[trial_id] = result[name]
                return False
        row = EpochRow.from_json(result["row"])
        return bool(self._guarded(lambda: self.conductor.on_epoch(row)))

    def ended(self, trial_id: str, *, error: bool) -> None:
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        if trial_id in self._halts:
            self._guarded(lambda: self.conductor.on_halt(number, self._halts[trial_id]))
            return
        fault = self._faults.pop(trial_id, None)
        if error and fault is None:
            reason = (
                f"Processes die before they can run: {_PROCESS_DEATHS + 1} times for trial "
                f"{number}. Is the machine out of memory, or a node without this program?"
            )
            self._guarded(lambda: self.conductor.on_halt(number, reason))
            return
        self._guarded(lambda: self.conductor.on_end(number, fault))

    def _guarded(self, call: Callable[[], _T]) -> _T | None:
        """Tune swallows or garbles what a searcher raises: keep it, and end the run."""
        if self.error is not None:
            return None
        try:
            return call()
        except Exception as error:
            self.error = error
            return None


class _Asker(Searcher):
    """Tune asks here for trials and tells here how they ended."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__(metric=_METRIC, mode="max")
        self._bridge = bridge

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        return self._bridge.suggest(trial_id)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._bridge.ended(trial_id, error=error)

    def save(self, checkpoint_path: str) -> None:
        Path(checkpoint_path).write_text("{}", encoding="utf-8")  # the journal is the state

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a run is never restored, it is begun anew on the same journal."""

    def __reduce__(self) -> tuple[Any, ...]:  # keeps the study out of Tune's pickles
        return (Searcher, (self.metric, self.mode))


class _Stopper(FIFOScheduler):
    """Tune shows every result here before it goes on; we say whether it may."""

    def __init__(self, bridge: _Bridge) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._bridge = bridge

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        goes_on = self._bridge.goes_on(trial.trial_id, result)
        return str(TrialScheduler.CONTINUE if goes_on else TrialScheduler.STOP)

    def __reduce__(self) -> tuple[Any, ...]:
        return (FIFOScheduler, ())


def _trainable(objective: Objective) -> Callable[[dict[str, Any]], None]:
    def trial(config: dict[str, Any]) -> None:
        task = TrialTask(**config)
        try:
            for row in _in_time(objective(task), task.epoch_seconds):
                if row is not None:
                    tune.report({_METRIC: row.rates[_METRIC] or 0.0, "row": row.to_json()})
        except TrialFailed as error:
            tune.report({_METRIC: 0.0, "fault": str(error)})
        except StudyHalted as error:
            tune.report({_METRIC: 0.0, "halt": str(error)})

    return trial


def _in_time(rows: Iterator[EpochRow | None], seconds: float | None) -> Iterator[EpochRow | None]:
    """The rows; should one take longer than `seconds`, tell so and end this process.

    A thread that hangs cannot be stopped from within Python, its process can. A process that is
    stopped makes no step of its time.
    """

    def watch(limit: float, ended: threading.Event) -> None:
        for _ in range(TIME_STEPS + 1):
            if ended.wait(limit / TIME_STEPS):
                return
        leave = threading.Timer(_LEAVE_SECONDS, os._exit, [1])
        leave.daemon = True
        leave.start()
        tune.report({_METRIC: 0.0, "fault": overdue(limit)})

    while True:
        ended = threading.Event()
        if seconds is not None:
            threading.Thread(target=watch, args=(seconds, ended), daemon=True).start()
        try:
            row = next(rows)
        except StopIteration:
            return
        finally:
            ended.set()
        yield row
