"""What holds of a study whatever happened: files are whole, ended trials stay as they were."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from safetensors import safe_open

from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.schema import State

__all__ = ["changed", "count_fault", "digests", "poison", "unreadable"]


def unreadable(folder: Path) -> list[str]:
    """Files below a folder that bear their final name and cannot be read, each with the reason."""
    found = []
    for path in _files(folder):
        try:
            _read(path)
        except Exception as error:
            found.append(f"{path.relative_to(folder)}: {type(error).__name__}: {error}"[:200])
    return found


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in inside)
        if path.is_file() and not hidden and "quarantine" not in inside:
            yield path


def _read(path: Path) -> None:
    match path.suffix:
        case ".parquet":
            pq.read_table(path)
        case ".json":
            json.loads(path.read_bytes())
        case ".safetensors":
            with safe_open(path, "pt") as file:
                for key in file.keys():  # noqa: SIM118 - it is no dictionary
                    file.get_tensor(key)
        case ".journal":
            # The last line may be cut: the next driver mends that.
            for line in path.read_bytes().split(b"\n")[:-1]:
                json.loads(line)


def digests(folder: Path) -> dict[int, str]:
    """Of every ended trial of a study the digest of its rows in all three tables."""
    paths = StudyFolder(folder)
    if not folder.is_dir():
        return {}
    trials = paths.read_table("trials")
    ended = trials.filter(pl.col("state") != State.RUNNING)["number"].to_list()
    keys = {"trials": ["number"], "metrics": ["fold", "epoch"]}
    keys["predictions"] = ["fold", "epoch", "case"]
    tables = {name: paths.read_table(name) for name in ("trials", "metrics", "predictions")}
    found = {}
    for number in ended:
        parts = [tables[t].filter(number=number).sort(keys[t]).write_json() for t in tables]
        found[number] = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return found


def changed(before: Mapping[int, str], after: Mapping[int, str]) -> list[str]:
    """Ended trials that are gone or have become others."""
    lost = [n for n in before if n not in after]
    other = [n for n in before if after.get(n, before[n]) != before[n]]
    found = [f"ended trials {lost} are gone"] if lost else []
    return [*found, f"ended trials {other} have changed"] if other else found


def count_fault(folder: Path, asked: int) -> str | None:
    """What is wrong with the number of trials of a study that has ended, if something is."""
    trials = StudyFolder(folder).read_table("trials")
    numbers, states = trials["number"].to_list(), trials["state"].to_list()
    counted = sum(state in (State.COMPLETE, State.PRUNED) for state in states)
    if State.RUNNING in states:
        return f"trials are left running: {dict(zip(numbers, states, strict=True))}"
    if len(set(numbers)) != len(numbers):
        return f"trials stand there twice: {numbers}"
    failed = trials.filter(state="fail").select("number", "reason").rows()
    if failed:
        return f"trials failed: {failed}"
    return None if counted == asked else f"{counted} trials, {asked} were asked for"


def poison(folder: Path) -> int:
    """Fill hidden temporary files with nonsense, which shows if one is read; how many there are."""
    left = [path for path in folder.rglob(".*tmp*") if path.is_file()]
    for path in left:
        path.write_bytes(os.urandom(64))
    return len(left)
