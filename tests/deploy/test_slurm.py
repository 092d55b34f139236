"""The Slurm script on two nodes: network and process namespaces of their own on this machine.

Ray and the study are real; `srun` and `scontrol` are stand-ins that do what Slurm's do with one
task for each node.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

from mmcaf.data.cohort import Cohort
from mmstudy.study import open_study
from support.tiny_spec import TINY_SPEC

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "platform" / "deploy" / "study.slurm"
NODES = {"nodea": "10.213.0.1", "nodeb": "10.213.0.2"}
SRUN = """#!/bin/bash
# One task on each node, each with its own network, processes and scratch; ends when all have.
while [[ $1 == --* ]]; do shift; done
export SLURM_PROCID=0
for node in nodea nodeb; do
    ip netns exec "mmcaf-$node" unshare --pid --fork --mount-proc --kill-child -- bash -c \
        'mkdir -p "$TMPDIR"; mount -t tmpfs tmpfs "$TMPDIR"; "$@"' node "$@" &
    SLURM_PROCID=$((SLURM_PROCID + 1))
done
code=0
for job in $(jobs -p); do wait "$job" || code=$?; done
exit $code
"""
SCONTROL = """#!/bin/bash
case $1 in
    show) printf 'nodea\\nnodeb\\n' ;;
    requeue) echo "requeued $2" ;;
esac
"""
GETENT = """#!/bin/bash
echo "10.213.0.1 STREAM nodea"
"""


def test_the_script_is_one_that_bash_can_read() -> None:
    done = subprocess.run(["bash", "-n", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("code", "requeued"), [(0, False), (130, True)])
def test_a_job_asked_to_stop_is_put_in_line_again_unless_it_was_done(
    code: int, requeued: bool, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    for name, text in (
        ("srun", f"touch {ready}; sleep 1; exit {code}"),
        ("mmstudy", "exit 0"),
        ("scontrol", SCONTROL),
        ("getent", GETENT),
    ):
        (tmp_path / name).write_text(text if text.startswith("#!") else f"#!/bin/bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {
        "MMCAF_PREFIX": str(tmp_path / "none"),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "node[a-b]",
    }
    command = ["bash", str(SCRIPT), "s.yaml"]
    job = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    while not ready.exists():
        assert job.poll() is None
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    told, _ = job.communicate(timeout=60)
    assert job.returncode == code
    assert ("requeued 7" in told) == requeued


def _may_make_namespaces() -> bool:
    tools = all(shutil.which(name) for name in ("ip", "unshare"))
    if not tools or os.geteuid() != 0:
        return False
    made = subprocess.run(["ip", "netns", "add", "mmcaf-probe"], capture_output=True, check=False)
    if made.returncode == 0:
        subprocess.run(["ip", "netns", "del", "mmcaf-probe"], check=True)
    return made.returncode == 0


@contextmanager
def two_nodes() -> Iterator[None]:
    """Two network namespaces that reach each other and nothing else."""
    pair = ("mmcaf-va", "mmcaf-vb")
    namespaces = [f"mmcaf-{name}" for name in NODES]
    try:
        for namespace in namespaces:
            subprocess.run(["ip", "netns", "add", namespace], check=True)
        between = ["link", "add", pair[0], "netns", namespaces[0], "type", "veth"]
        subprocess.run(
            ["ip", *between, "peer", "name", pair[1], "netns", namespaces[1]], check=True
        )
        for namespace, link, address in zip(namespaces, pair, NODES.values(), strict=True):
            for command in (
                ["addr", "add", f"{address}/24", "dev", link],
                ["link", "set", link, "up"],
                ["link", "set", "lo", "up"],
                ["route", "add", "default", "dev", link],  # Ray asks the way to find its address
            ):
                subprocess.run(["ip", "-n", namespace, *command], check=True)
        yield
    finally:
        for namespace in namespaces:
            inside = subprocess.run(
                ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
            )
            for process in inside.stdout.split():  # none, unless the script was cut off
                os.kill(int(process), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", namespace], check=False)
        shutil.rmtree(f"/tmp/r{os.getpid()}", ignore_errors=True)  # what the script mounts over


@pytest.mark.slow
@pytest.mark.skipif(not _may_make_namespaces(), reason="needs root and network namespaces")
def test_a_study_runs_is_stopped_in_time_and_goes_on(cohort: Cohort, tmp_path: Path) -> None:
    spec = deepcopy(TINY_SPEC) | {"train": {"epochs": 30, "optimizer": "adamw"}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(spec))
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL), ("getent", GETENT)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "MMSTUDY_"))}
    environment = kept | {
        "MMCAF_PREFIX": str(Path(sys.executable).parents[1]),
        "PATH": f"{tools}:{os.environ['PATH']}",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[a-b]",
        "SLURM_JOB_NUM_NODES": "2",
    }
    command = ["bash", str(SCRIPT), str(tmp_path / "s.yaml"), "--cohort", str(cohort.folder)]
    command += ["--root", str(tmp_path / "root")]
    study = tmp_path / "root" / "s"

    with two_nodes():
        with (tmp_path / "first.log").open("w") as log:
            first = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 300
        while not [*study.glob("metrics/[0-9]*")]:
            assert first.poll() is None, (tmp_path / "first.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "first.log").read_text()
            time.sleep(0.1)
        first.send_signal(signal.SIGTERM)  # as --signal=B:TERM@300 does
        first.wait(timeout=300)
        told = (tmp_path / "first.log").read_text()
        assert "the same command goes on from there" in told
        assert f"requeued {os.getpid()}" in told
        assert open_study(study).counts()["running"] >= 1

        again = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=500
        )
    assert again.returncode == 0, again.stdout + again.stderr
    assert open_study(study).counts() == {"running": 0, "complete": 2, "pruned": 0, "fail": 0}
