"""GPUs that are there, shared, or missing; who may use how much."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mmcaf.data.cohort import Cohort
from mmstudy.driver.contract import Conductor, Runner
from mmstudy.driver.drive import adapted
from mmstudy.driver.inline import InlineRunner
from mmstudy.errors import UsageError
from mmstudy.spec.study_spec import ResourceSpec, parse_spec
from mmstudy.storage.about import write_about
from mmstudy.storage.folder import StudyFolder
from mmstudy.study import open_study
from mmstudy.trial.compute import load_plan, train
from mmstudy.trial.folds import split_cohort
from mmstudy.trial.task import Objective, TrialTask
from support.tiny_spec import TINY_SPEC

Command = Callable[..., tuple[int, str, str]]


class Having(Runner):
    """A runner that only says how many GPUs it has."""

    def __init__(self, gpus: float) -> None:
        self._gpus = gpus

    def gpus(self) -> float:
        return self._gpus

    def run(self, conductor: Conductor, objective: Objective, resources: ResourceSpec) -> None:
        raise NotImplementedError


def test_a_missing_gpu_is_said_aloud_and_replaced_by_the_cpu() -> None:
    told: list[str] = []
    found = adapted(ResourceSpec(gpu=0.5, cpu=3), Having(0), told.append)
    assert found == ResourceSpec(gpu=0, cpu=3)
    assert "No GPU was found, though resources.gpu asks for 0.5" in told[0]


def test_gpus_that_are_there_are_used_without_a_word() -> None:
    told: list[str] = []
    asked = ResourceSpec(gpu=2)
    assert adapted(asked, Having(2), told.append) is asked
    assert adapted(ResourceSpec(), Having(0), told.append) == ResourceSpec()
    assert not told


def test_more_gpus_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match="a trial asks for 2 GPUs, there are 1"):
        adapted(ResourceSpec(gpu=2), Having(1), print)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_study_that_asks_for_a_gpu_runs_on_the_cpu_and_its_rows_say_so(
    cohort: Cohort, tmp_path: Path, command: Command
) -> None:
    import yaml

    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(TINY_SPEC | {"resources": {"gpu": 1}, "search": {"trials": 1}}))
    where = ["--cohort", str(cohort.folder), "--root", str(tmp_path), "--name", "s"]
    code, _, stderr = command("run", str(spec), *where, "--inline")
    assert code == 0
    assert "every trial runs on the CPU, far slower" in stderr
    row = open_study(tmp_path / "s").trial(0)
    assert (row["device"], row["gpu_seconds"]) == ("cpu", 0)
    assert row["hardware"]


def test_a_share_of_a_gpu_is_a_share_of_its_memory(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls that cap it; that CUDA obeys them takes a GPU to see."""
    shares: list[float] = []
    spec, paths = parse_spec(TINY_SPEC), StudyFolder(tmp_path / "s")
    write_about(paths, spec, cohort, split_cohort(spec.protocol, cohort))
    task = TrialTask(
        study=str(paths.root),
        cohort=str(cohort.folder),
        number=0,
        params="{}",
        seed=0,
        threads=1,
        device="cuda",
        gpu=0.25,
    )
    plan = load_plan(task)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda *_, **__: None)
    for gpu in (0.25, 1.0, 2.0):
        with pytest.raises((RuntimeError, AssertionError)):  # no CUDA here
            next(train(replace(plan, gpu=gpu)))
    assert shares == [0.25]


def test_threads_are_limited_to_the_trials_cpus(cohort: Cohort, tmp_path: Path) -> None:
    spec, paths = parse_spec(TINY_SPEC), StudyFolder(tmp_path / "s")
    write_about(paths, spec, cohort, split_cohort(spec.protocol, cohort))
    task: dict[str, Any] = {"study": str(paths.root), "cohort": str(cohort.folder), "number": 0}
    plan = load_plan(TrialTask(**task, params="{}", seed=0, threads=2, device="cpu"))
    next(train(plan))
    assert torch.get_num_threads() == 2
    next(train(replace(plan, threads=1)))
    assert torch.get_num_threads() == 1


def test_inline_counts_the_gpus_torch_sees() -> None:
    assert InlineRunner().gpus() == torch.cuda.device_count()
