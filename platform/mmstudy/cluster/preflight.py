"""Whether a cluster can run a study, judged before anything is sent: every fault is one sentence.

Pure: it takes what `mmstudy.cluster.probe` found on the cluster and what
`mmstudy.cluster.ray_jobs` would upload.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from mmstudy.spec.study_spec import ResourceSpec

__all__ = ["UPLOAD_LIMIT", "Answer", "Wanted", "judged", "remarks", "size_fault", "version_faults"]

UPLOAD_LIMIT = 100 * 2**20
"""Bytes of one request that a Ray head accepts; its own warning names a larger number."""
_NAMED = 5  # largest files told
_MIB = 2**20


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    host: str
    python: str
    ray: str | None
    package: str | None
    root: bool | None
    cohort: bool | None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What `mmstudy.cluster.probe` prints."""

    head: _Node
    nodes: tuple[_Node, ...]
    silent: str | None
    root_fault: str | None
    cpus: float
    gpus: float
    torch: str | None = None
    smoke_fault: str | None = None
    rehearsal: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a study asks of a cluster."""

    root: str  # folder of studies, as the cluster sees it
    cohort: str
    resources: ResourceSpec
    versions: Mapping[str, str]  # of this machine
    any_version: bool = False
    growth: Mapping[str, float] = field(default_factory=dict)  # what the cluster may grow to


def size_fault(folder: Path, sizes: Mapping[Path, int]) -> str | None:
    """What is wrong with sending these files (path within `folder` -> bytes), if anything."""
    total = sum(sizes.values())
    if total < UPLOAD_LIMIT:
        return None
    largest = sorted(sizes, key=lambda path: -sizes[path])[:_NAMED]
    named = ", ".join(f"{path} ({sizes[path] / _MIB:.0f} MiB)" for path in largest)
    return (
        f"The folder {folder} holds {total / _MIB:.0f} MiB to be sent, a head takes less than "
        f"{UPLOAD_LIMIT // _MIB}; largest: {named}. Name what the study does not need in "
        ".rayignore, or give a smaller --working-dir; data belongs on a path the cluster shares."
    )


def version_faults(wanted: Wanted, ray_version: str) -> list[str]:
    """What the head's own answer tells without a job."""
    if wanted.any_version or _minor(ray_version) == _minor(wanted.versions["ray"]):
        return []
    return [_differs("Ray", ray_version, wanted.versions["ray"])]


def judged(found: Mapping[str, Any], wanted: Wanted) -> list[str]:
    """Every reason why the study cannot run on the cluster that answered `found`."""
    return [*_versions(found, wanted), *_paths(found, wanted), *_room(found, wanted)]


def remarks(found: Mapping[str, Any], wanted: Wanted) -> Iterator[str]:
    """What is no fault, but should be known."""
    if found.get("smoke_fault") == "busy":
        yield "The cluster is busy: no trial's share was free within the time of the check."
    torch = found.get("torch")
    if torch is not None and torch.split("+")[0] != wanted.versions["torch"].split("+")[0]:
        yield (
            f"torch is {torch} on the cluster and {wanted.versions['torch']} here: a trial run "
            "again here may give other numbers in the last digits."
        )


def _versions(found: Mapping[str, Any], wanted: Wanted) -> Iterator[str]:
    head = found["head"]
    for node in found["nodes"]:
        for name, what in (("python", "Python"), ("ray", "Ray"), ("package", "mmcaf-study")):
            if node[name] != head[name]:
                yield (
                    f"{what} is {node[name] or 'absent'} on {node['host']} and "
                    f"{head[name] or 'absent'} on the head: all nodes need one environment."
                )
    here = wanted.versions
    if head["package"] is None:
        yield (
            "mmcaf-study is not installed where the head runs Python: install it there, or build "
            "the nodes from platform/deploy/Dockerfile."
        )
    if wanted.any_version:
        return
    if head["package"] not in (None, here["mmcaf-study"]):
        yield _differs("mmcaf-study", head["package"], here["mmcaf-study"])
    if _minor(head["python"]) != _minor(here["python"]):
        yield _differs("Python", head["python"], here["python"])


def _differs(what: str, there: str, here: str) -> str:
    return (
        f"{what} is {there} on the cluster and {here} here: install the same on both, or submit "
        "with --any-version."
    )


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _paths(found: Mapping[str, Any], wanted: Wanted) -> Iterator[str]:
    if found["silent"]:
        yield f"Not every node has answered: {found['silent']}."
    if found["root_fault"]:
        yield (
            f"--root {wanted.root} cannot be written on the head ({found['root_fault']}): give a "
            "folder that all nodes share."
        )
    blind = [node["host"] for node in found["nodes"] if not node["root"]]
    if blind:
        yield (
            f"--root {wanted.root} is another folder on {_some(blind)} than on the head: it must "
            "lie on storage that all nodes share."
        )
    without = [node["host"] for node in found["nodes"] if node["cohort"] is False]
    if found["head"]["cohort"] is False:
        yield f"--cohort {wanted.cohort} is no cohort on the head: give its path on the cluster."
    elif without:
        yield f"--cohort {wanted.cohort} is no cohort on {_some(without)}, but is on the head."
    if found.get("rehearsal"):
        yield f"The study cannot run there: {found['rehearsal']}"


def _some(hosts: list[str]) -> str:
    names = sorted(set(hosts))
    more = f" and {len(hosts) - 1} more nodes" if len(hosts) > 1 else ""
    return f"{names[0]}{more}"


def _room(found: Mapping[str, Any], wanted: Wanted) -> Iterator[str]:
    asked = {"GPU": wanted.resources.gpu, "CPU": float(wanted.resources.cpu)}
    for kind, count in asked.items():
        there = max(found[f"{kind.lower()}s"], wanted.growth.get(kind, 0.0))
        if count > there:
            setting = f"resources.{kind.lower()}"
            yield (
                f"{setting}: a trial asks for {count:g} {kind}s, the largest node has {there:g}: "
                f"lower it (--set {setting}=…), or say what the cluster grows to when asked "
                f"(--grows {kind}=8)."
            )
    fault = found.get("smoke_fault")
    if fault not in (None, "busy"):
        yield f"A task like a trial failed on the cluster: {fault}"
