"""Studies on a real Ray cluster of three nodes with a token, one of which is taken away."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import psutil
import pytest
import yaml

from mmcaf.data.cohort import Cohort
from mmstudy.search.scoring import curve_of, objective_value
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.ledger import FolderLedger
from mmstudy.study import Study, open_study
from support.cutting_proxy import CuttingProxy
from support.ray_nodes import RayNodes, free_port, kill, ray_token
from support.tiny_spec import TINY_SPEC

pytestmark = pytest.mark.slow

TRIALS, EPOCHS = 5, 8
LONG = {"train": {"epochs": EPOCHS, "optimizer": "adamw"}}
LONG |= {"search": {"trials": TRIALS, "startup_trials": 2}}
Run = Callable[..., tuple[int, str, str]]


class Cluster:
    """The nodes, and what a user types to use them."""

    def __init__(self, nodes: RayNodes) -> None:
        self.nodes = nodes
        self.workers = [nodes.add(), nodes.add()]
        self.environment = {**os.environ, **nodes.client}

    def submit(self, *arguments: str, address: str | None = None) -> subprocess.Popen[str]:
        """`mmstudy submit` in a process of its own."""
        command = [sys.executable, "-m", "mmstudy.cli.main", "submit", *arguments]
        return subprocess.Popen(
            [*command, "--address", address or self.nodes.address],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def busiest(self) -> psutil.Popen:
        """A worker node under a living trial."""

        def trials(node: psutil.Popen) -> int:
            family = node.children(recursive=True)
            return sum("ImplicitFunc" in " ".join(one.cmdline()) for one in family)

        return max(self.workers, key=trials)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with RayNodes() as nodes:
        yield Cluster(nodes)


@pytest.fixture
def submit(
    cluster: Cluster,
    command: Run,
    cohort: Cohort,
    tmp_path: Path,
) -> Iterator[Run]:
    """`mmstudy submit` of the tiny spec in this process; later arguments win."""
    written(tmp_path)
    usual = ["--cohort", str(cohort.folder), "--root", str(tmp_path / "root"), "--dry-run"]
    usual += ["--address", cluster.nodes.address]
    with ray_token("token", cluster.nodes.token):
        yield lambda *arguments: command("submit", str(tmp_path / "s.yaml"), *usual, *arguments)


def written(folder: Path, **changes: object) -> Path:
    path = folder / "s.yaml"
    path.write_text(yaml.safe_dump(deepcopy(TINY_SPEC) | changes))
    return path


def awaited(condition: Callable[[], object], seconds: float = 400) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def epochs_of(folder: Path) -> int:
    try:
        return open_study(folder).metrics().height
    except Exception:  # not begun yet
        return 0


def assert_exact(study: Study) -> None:
    """All trials complete, every epoch once, the best one that of the metrics files."""
    assert study.counts() == {"running": 0, "complete": TRIALS, "pruned": 0, "fail": 0}
    places = study.metrics().select("number", "fold", "epoch").rows()
    expected = [(n, f, e) for n in range(TRIALS) for f in range(2) for e in range(EPOCHS)]
    assert places == expected
    ledger = FolderLedger(StudyFolder(study.folder.root))
    values = {n: objective_value(curve_of(ledger.epochs(n)), 2) for n in range(TRIALS)}
    best = study.best_trial()
    assert best is not None
    assert best["number"] == max(values, key=lambda n: (values[n][0], -n))
    assert (best["value"], best["best_epoch"]) == values[best["number"]]


def test_what_is_missing_is_told_before_anything_is_sent(
    submit: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ["--cohort", "/nowhere", "--root", "/proc/none", "--set", "resources.gpu=2"]
    code, out, err = submit(*asked)
    assert (code, out) == (2, "")
    assert "cannot run this study, nothing was sent:" in err
    assert err.count("\n  - ") == 3
    assert "--root /proc/none cannot be written on the head" in err
    assert "--cohort /nowhere is no cohort on the head" in err
    assert "a trial asks for 2 GPUs, the largest node has 0" in err

    large = tmp_path / "large"
    large.mkdir()
    with (large / "volume.npy").open("wb") as file:
        file.truncate(101 * 2**20)
    monkeypatch.setattr("mmstudy.provenance.version", lambda _: "9.9.9")
    monkeypatch.setattr("mmstudy.provenance._versions", _versions_anew())
    (tmp_path / "s.yaml").rename(large / "s.yaml")
    (tmp_path / "s.yaml").symlink_to(large / "s.yaml")
    monkeypatch.chdir(large)
    code, _, err = submit("--working-dir", str(tmp_path))
    assert code == 2
    assert "holds 101 MiB to be sent" in err
    assert "largest: large/volume.npy (101 MiB)" in err
    assert "Ray is 2.60.0 on the cluster and 9.9.9 here" in err

    code, _, err = submit("--address", f"http://127.0.0.1:{free_port()}")
    assert code == 2
    assert "Nothing answers at" in err
    assert not [*(tmp_path / "root").glob("*")]


def _versions_anew() -> Callable[[], tuple[tuple[str, str], ...]]:
    from mmstudy.provenance import _versions

    return _versions.__wrapped__


def test_a_study_the_cluster_cannot_run_is_told_in_the_study_s_own_words(
    submit: Run, tmp_path: Path
) -> None:
    written(tmp_path, protocol={"kind": "kfold", "folds": 9})
    code, _, err = submit()
    assert code == 2
    assert "The study cannot run there:" in err


def test_a_study_survives_what_clusters_do(
    cluster: Cluster, submit: Run, command: Run, cohort: Cohort, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    arguments = [str(written(tmp_path, **LONG)), "--cohort", str(cohort.folder)]
    arguments += ["--root", str(root)]
    study = root / "s"

    first = cluster.submit(*arguments)  # leaves the terminal, the study goes on
    awaited(lambda: epochs_of(study) or first.poll() is not None)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=400)
    assert first.returncode == 130, err
    assert "Detached: s-1 goes on." in err
    assert out.startswith("ray job submit --address")

    code, _, err = submit()
    assert code == 2
    assert f"{study} is run by the job s-1 already." in err

    kill(cluster.busiest())
    seen = epochs_of(study)
    awaited(lambda: epochs_of(study) > seen)
    code, _, err = command("stop", str(study))
    assert code == 0, err
    awaited(lambda: submit()[0] == 0)  # the job has ended
    stopped = open_study(study).counts()
    assert stopped["fail"] == 0
    assert stopped["running"] >= 1

    with CuttingProxy(cluster.nodes.dashboard_port) as proxy:  # goes on, and is cut off twice
        again = cluster.submit(*arguments, address=f"http://127.0.0.1:{proxy.port}")
        for _ in range(2):
            seen = epochs_of(study)
            awaited(lambda: epochs_of(study) > seen or again.poll() is not None)  # noqa: B023
            proxy.cut()
        out, err = again.communicate(timeout=600)
    assert again.returncode == 0, err
    assert "--submission-id s-2" in out
    assert "The connection to the head is lost; trying again." in err
    assert err.count("Running entrypoint for job s-2") == 1  # the log is shown once
    assert f"trials {TRIALS}/{TRIALS} | 0 running" in err
    assert_exact(open_study(study))
    assert open_study(study).trials()["attempts"].max() > 1


def test_plain_ray_job_submit_runs_the_same_study(
    cluster: Cluster, cohort: Cohort, tmp_path: Path
) -> None:
    written(tmp_path)
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "job", "submit", "--address", cluster.nodes.address, "--working-dir"]
    command += [str(tmp_path), "--", "mmstudy", "run", "s.yaml", "--cohort", str(cohort.folder)]
    done = subprocess.run(
        [*command, "--root", str(tmp_path / "root")],
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    study = open_study(tmp_path / "root" / "s")
    assert study.counts()["complete"] == 2


def test_stop_over_the_cluster_ends_gracefully(
    cluster: Cluster, command: Run, submit: Run, cohort: Cohort, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    running = cluster.submit(
        *(str(written(tmp_path, **LONG)), "--cohort", str(cohort.folder)),
        *("--root", str(root), "--name", "other"),
    )
    awaited(lambda: epochs_of(root / "other") or running.poll() is not None)
    code, _, err = command("stop", "other", "--address", cluster.nodes.address)
    assert (code, err) == (0, "Asked other-1 to stop; `mmstudy submit` goes on with the study.\n")
    _, err = running.communicate(timeout=400)
    assert running.returncode == 130
    assert "the same command goes on from there" in err
    assert open_study(root / "other").counts()["fail"] == 0


def test_who_has_no_token_runs_nothing(cluster: Cluster) -> None:
    ray = str(Path(sys.executable).with_name("ray"))
    environment = {**cluster.environment, "RAY_AUTH_MODE": "disabled"}
    command = [ray, "job", "submit", "--address", cluster.nodes.address, "--", "true"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "401" in done.stderr or "Unauthorized" in done.stderr
