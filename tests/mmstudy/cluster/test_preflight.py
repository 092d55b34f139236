"""What a cluster lacks is told before anything is sent, one sentence for each fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmstudy.cluster.preflight import (
    UPLOAD_LIMIT,
    Wanted,
    judged,
    remarks,
    size_fault,
    version_faults,
)
from mmstudy.spec.study_spec import ResourceSpec

VERSIONS = {"mmcaf-study": "0.1.0", "ray": "2.60.0", "python": "3.11.7", "torch": "2.13.0"}


def wanted(**changes: Any) -> Wanted:
    asked = {"root": "/shared/s", "cohort": "/shared/c", "resources": ResourceSpec(gpu=1, cpu=4)}
    return Wanted(**asked | {"versions": VERSIONS} | changes)


def node(host: str = "n1", **changes: Any) -> dict[str, Any]:
    found = {"host": host, "python": "3.11.9", "ray": "2.60.0", "package": "0.1.0"}
    return found | {"cohort": True, "root": True} | changes


def cluster(*nodes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    found = {"head": node("head"), "nodes": [*nodes] or [node()], "silent": None}
    found |= {"root_fault": None, "cpus": 8, "gpus": 2, "torch": "2.13.0+cu128"}
    return found | {"smoke_fault": None, "rehearsal": None} | changes


def test_a_cluster_that_has_all_is_not_faulted() -> None:
    assert judged(cluster(), wanted()) == []
    assert [*remarks(cluster(), wanted())] == []
    assert version_faults(wanted(), "2.60.1") == []


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (cluster(gpus=0), "a trial asks for 1 GPUs, the largest node has 0"),
        (cluster(cpus=2), "a trial asks for 4 CPUs, the largest node has 2"),
        (cluster(node(root=False)), "--root /shared/s is another folder on n1 than on the head"),
        (cluster(root_fault="Permission denied"), "cannot be written on the head (Permission"),
        (cluster(head=node("head", cohort=False)), "--cohort /shared/c is no cohort on the head"),
        (cluster(node(), node("n2", cohort=False)), "no cohort on n2, but is on the head"),
        (cluster(node(ray="2.59.0")), "Ray is 2.59.0 on n1 and 2.60.0 on the head"),
        (cluster(smoke_fault="no kernel image"), "A task like a trial failed on the cluster: no k"),
        (cluster(rehearsal="train.lr was 1"), "The study cannot run there: train.lr was 1"),
        (cluster(silent="busy", nodes=[]), "Not every node has answered: busy"),
    ],
)
def test_each_fault_is_one_sentence(found: dict[str, Any], sentence: str) -> None:
    (fault,) = judged(found, wanted())
    assert sentence in fault


def test_faults_are_told_together() -> None:
    found = cluster(node(root=False, cohort=False), gpus=0)
    assert len(judged(found, wanted())) == 3


@pytest.mark.parametrize(("name", "version"), [("package", "0.2.0"), ("python", "3.12.1")])
def test_another_version_is_a_fault_unless_allowed(name: str, version: str) -> None:
    same = {name: version}
    found = cluster(node(**same), head=node("head", **same))
    (fault,) = judged(found, wanted())
    assert f"is {version} on the cluster and" in fault
    assert judged(found, wanted(any_version=True)) == []


def test_a_head_of_another_ray_is_known_from_its_answer() -> None:
    (fault,) = version_faults(wanted(), "2.52.0")
    assert "Ray is 2.52.0 on the cluster and 2.60.0 here" in fault
    assert version_faults(wanted(any_version=True), "2.52.0") == []


def test_a_cluster_without_the_package_says_how_to_get_it() -> None:
    without = {"package": None}
    (fault,) = judged(cluster(node(**without), head=node("head", **without)), wanted())
    assert "mmcaf-study is not installed" in fault


def test_a_cluster_that_grows_need_not_have_the_room_yet() -> None:
    small = cluster(gpus=0, cpus=1)
    assert judged(small, wanted(growth={"GPU": 8, "CPU": 64})) == []
    (fault,) = judged(small, wanted(growth={"GPU": 8}))
    assert "a trial asks for 4 CPUs, the largest node has 1" in fault


def test_a_busy_cluster_and_another_torch_are_remarked() -> None:
    found = cluster(smoke_fault="busy", torch="2.12.0")
    assert judged(found, wanted()) == []
    busy, torch = remarks(found, wanted())
    assert "is busy" in busy
    assert "torch is 2.12.0 on the cluster and 2.13.0 here" in torch


def test_a_folder_too_large_names_its_largest_files() -> None:
    sizes = {Path("a.bin"): UPLOAD_LIMIT // 2, Path("b.bin"): UPLOAD_LIMIT // 2, Path("c.py"): 10}
    fault = size_fault(Path("/x"), sizes)
    assert fault is not None
    assert "largest: a.bin (50 MiB), b.bin (50 MiB), c.py (0 MiB)" in fault
    assert size_fault(Path("/x"), {Path("a.bin"): UPLOAD_LIMIT}) is not None
    assert size_fault(Path("/x"), {Path("a.bin"): UPLOAD_LIMIT - 1}) is None
