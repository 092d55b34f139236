"""Three hundred trials on a simulated cluster, one of whose nodes is taken away."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmstudy.driver.conductor import StudyConductor
from mmstudy.driver.tally import Standing
from mmstudy.search.optuna_study import Proposal, Search
from mmstudy.spec.study_spec import ResourceSpec, parse_spec
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.storage.schema import RATES, EpochRow, State
from mmstudy.trial.task import TrialTask
from support.tiny_spec import TINY_SPEC

pytestmark = pytest.mark.slow

TRIALS, WINDOW, VICTIM = 160, 40, 80
NODES, GPUS_PER_NODE = 3, 2
SPEC: dict[str, Any] = deepcopy(TINY_SPEC) | {"search": {"trials": TRIALS}}


def trivial(task: TrialTask) -> Iterator[EpochRow]:
    """Nothing but reports, and a note of where it was begun; one takes its time at first."""
    import ray

    begun = Path(task.study)
    again = [*begun.glob(f"{task.number}-*")]
    note = begun / f"{task.number}-{uuid.uuid4().hex}"
    note.write_text(ray.get_runtime_context().get_node_id())
    if task.number == VICTIM and not again:
        time.sleep(60)
    for fold in range(2):
        for epoch in range(2):
            yield EpochRow(
                number=task.number,
                fold=fold,
                epoch=epoch,
                attempt=1,
                n_train=8,
                n_val=4,
                n_val_positive=2,
                train_loss=0.5,
                val_loss=0.5,
                rates=dict.fromkeys(RATES) | {"auroc": json.loads(task.params)["train.lr"]},
                lr=0.1,
                seconds=0.01,
                written=datetime.now(UTC),
            )


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A head without GPUs and nodes with pretended ones."""
    import ray
    from ray.cluster_utils import Cluster

    ray.cloudpickle.register_pickle_by_value(__import__(__name__.split(".")[0]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0})
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        cluster.spare = [
            cluster.add_node(num_cpus=GPUS_PER_NODE, num_gpus=GPUS_PER_NODE) for _ in range(NODES)
        ]
        cluster.wait_for_nodes()
        yield cluster
        ray.shutdown()
        cluster.shutdown()


def test_a_study_outlives_a_node_and_its_trials_cost_the_same_to_the_end(
    cluster: Any, tmp_path: Path
) -> None:
    from mmstudy.driver.on_ray import RayRunner

    spec, ledger = parse_spec(SPEC), FolderLedger(StudyFolder(tmp_path))
    begun = tmp_path / "begun"
    begun.mkdir()
    ended: list[tuple[float, float]] = []  # wall and driver's CPU clock
    removed: list[str] = []

    def notify(standing: Standing) -> None:
        done = standing.complete
        if done > len(ended):
            ended.append((time.monotonic(), time.process_time()))
        if done >= VICTIM - 10 and not removed:
            for note in begun.glob(f"{VICTIM}-*"):  # take away the node under a running trial
                of = [one for one in cluster.spare if one.node_id == note.read_text()]
                for node in of:
                    cluster.remove_node(node, allow_graceful=False)
                    removed.append(node.node_id)

    def task(proposal: Proposal) -> TrialTask:
        return TrialTask(
            study=str(begun),
            cohort="",
            number=proposal.number,
            params=json.dumps(proposal.params),
            seed=0,
            threads=1,
            device="cpu",
        )

    conductor = StudyConductor(
        ledger=ledger,
        spec=spec,
        search=Search(tmp_path / "optuna.journal", spec),
        folds=2,
        task=task,
        notify=notify,
    )
    with RayRunner() as runner:
        assert runner.gpus() == NODES * GPUS_PER_NODE
        runner.run(conductor, trivial, ResourceSpec(gpu=1))
    rows = ledger.trials()
    assert [row.number for row in rows] == [*range(TRIALS)]
    assert {row.state for row in rows} == {State.COMPLETE}
    assert removed
    assert len([*begun.glob(f"{VICTIM}-*")]) == 2  # begun again on another node
    first, last = (
        np.subtract(ended[end], ended[end - WINDOW]) / WINDOW for end in (2 * WINDOW, TRIALS - 1)
    )
    for name, start, end in zip(("wall", "driver's CPU"), first, last, strict=True):
        print(f"{name} seconds per trial: {start:.3f} at the start, {end:.3f} at the end")  # noqa: T201
    # The driver's, because the wall clock tells as much about who else uses the machine.
    assert last[1] <= 1.5 * first[1]
