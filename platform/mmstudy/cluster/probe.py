"""What a cluster finds out about itself, as a job of nothing but this file's text.

`mmstudy submit` sends it first, before any file is uploaded; the cluster may have no version, or
another one, of this package, so it uses Python's own library and Ray alone. It prints one line: the
marker it was given, then what was found as JSON. `mmstudy.cluster.preflight` judges it.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import pathlib
import platform
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

__all__: list[str] = []

PACKAGE = "mmcaf-study"
WAIT_SECONDS = 90


def version() -> str | None:
    """Of our package in this process's environment."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return None


def here(cohort: str, marker: str | None) -> dict[str, Any]:
    """What one node has: versions, and whether it sees the cohort and the marked study root."""
    return {
        "host": socket.gethostname(),
        "python": platform.python_version(),
        "ray": ray.__version__,
        "package": version(),
        "cohort": is_cohort(cohort),
        "root": marker is None or pathlib.Path(marker).exists(),
    }


def is_cohort(folder: str) -> bool | None:
    """None where it cannot be known here: not a path, or no cohort asked for."""
    if not folder or "://" in folder:
        return None
    return (pathlib.Path(folder) / "cohort.parquet").is_file()


def mark(root: str) -> tuple[str | None, list[pathlib.Path], str | None]:
    """Leave a file in the study root for the other nodes to see: its path, or what went wrong."""
    folder = pathlib.Path(root)
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        marker = folder / (".probe-" + uuid.uuid4().hex)
        marker.touch()
    except OSError as error:
        return None, missing, error.strerror
    return str(marker), missing, None


def unmark(marker: str | None, made: list[pathlib.Path]) -> None:
    """Take away the file, and the folders that were made for it."""
    if marker is not None:
        pathlib.Path(marker).unlink()
    for folder in made:
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()


def smoke(gpu: float) -> str:
    """What a trial needs, for a moment: the network's packages and, where asked for, a GPU."""
    import torch

    device = "cuda" if gpu else "cpu"
    torch.ones(8, 8, device=device).sum().item()
    if version() is not None:
        import mmstudy.trial.compute  # noqa: F401
    return str(torch.__version__)


def tried(call: Callable[[], Any]) -> tuple[Any, str | None]:
    """The result, or the last line of what went wrong."""
    try:
        return call(), None
    except ray.exceptions.GetTimeoutError:
        return None, "busy"
    except Exception as error:
        return None, str(error).strip().splitlines()[-1]


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    """Ask every node, then try one trial's resources."""
    nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    shared = "://" not in wanted["root"]
    marker, made, fault = mark(wanted["root"]) if shared else (None, [], None)
    try:
        asked = [
            ray.remote(here)
            .options(
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            )
            .remote(wanted["cohort"], marker)
            for node in nodes
        ]
        answers, silent = tried(lambda: ray.get(asked, timeout=WAIT_SECONDS))
    finally:
        unmark(marker, made)
    found = {
        "head": here(wanted["cohort"], None),
        "nodes": answers or [],
        "silent": silent,
        "root_fault": fault,
        "cpus": max(node["Resources"].get("CPU", 0) for node in nodes),
        "gpus": max(node["Resources"].get("GPU", 0) for node in nodes),
    }
    if wanted["cpu"] <= found["cpus"] and wanted["gpu"] <= found["gpus"]:
        task = ray.remote(smoke).options(num_cpus=wanted["cpu"], num_gpus=wanted["gpu"])
        found["torch"], found["smoke_fault"] = tried(
            lambda: ray.get(task.remote(wanted["gpu"]), timeout=WAIT_SECONDS)
        )
    return found


def rehearse(wanted: dict[str, Any]) -> str | None:
    """The study's own dry run on the head, with the spec as it will be: None, or its faults."""
    with tempfile.TemporaryDirectory() as folder:
        spec = pathlib.Path(folder) / wanted["spec_name"]
        spec.write_text(wanted["spec"], encoding="utf-8")
        command = [sys.executable, "-m", "mmstudy.cli.main", "run", str(spec), "--dry-run"]
        done = subprocess.run(  # noqa: S603 - our own
            [*command, *wanted["arguments"]], capture_output=True, text=True, check=False
        )
    return None if done.returncode == 0 else done.stderr.strip()


def main() -> None:
    """The job."""
    wanted = json.loads(sys.argv[1])
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    found = look(wanted)
    whole = version() is not None and wanted["rehearse"] and not found["root_fault"]
    found["rehearsal"] = (
        rehearse(wanted) if whole and found["head"]["cohort"] is not False else None
    )
    sys.stdout.write(wanted["marker"] + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
