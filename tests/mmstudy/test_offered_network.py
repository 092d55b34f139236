"""A network of another package, from its one file and its search space to the benchmark's table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mmcaf.data.cohort import Cohort
from support.installed import install, install_toy

SETTINGS = ("data.window=[8,32,32]", "data.tile_stride=8", "protocol.test=null")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    install_toy(folder)
    install(folder, "bad-net", {"bad": "broken:NETWORK"}, broken="import a_package_nobody_has")
    return folder


def mmstudy(site: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with or without the packages of `site`."""
    paths = [*([str(site)] if site else []), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "mmstudy.cli.main", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def told(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def root(site: Path, cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of the toy network, and a benchmark with it beside a network of ours."""
    root = tmp_path_factory.mktemp("root")
    common = ["--root", str(root), "--inline"]
    ran = mmstudy(site, "run", str(site / "toy.yaml"), "--cohort", str(cohort.folder), *common)
    assert ran.returncode == 0, ran.stderr
    rows = ["--models", "toy,logistic", "--trials", "2", "--seeds", "1", "--folds", "2"]
    for setting in SETTINGS:
        rows += ["--set", setting]
    ran = mmstudy(site, "benchmark", str(cohort.folder), *rows, *common)
    assert ran.returncode == 0, ran.stderr
    return root


def shown(site: Path | None, root: Path, name: str) -> list[dict[str, Any]]:
    done = mmstudy(site, "trials", name, "--root", str(root), "-f", "json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_it_is_searched_in_a_study(site: Path, root: Path) -> None:
    trials = shown(site, root, "toy")
    assert [trial["state"] for trial in trials] == ["complete", "complete"]
    spec = json.loads((root / "toy" / "study.json").read_text())["spec"]
    assert spec["model"] == {"name": "toy", "width": 1.0, "hidden": 3}


def test_it_is_a_row_of_the_benchmark_after_those_of_the_paper(
    site: Path, root: Path, cohort: Cohort
) -> None:
    show = ["benchmark", str(cohort.folder), "--root", str(root), "--show", "-f", "json"]
    done = mmstudy(site, *show)
    assert done.returncode == 0, done.stderr
    rows = {row["row"]: row for row in json.loads(done.stdout)["rows"]}
    assert [*rows] == ["logistic", "toy"]
    assert (rows["toy"]["title"], rows["toy"]["state"]) == ("Toy", "complete")
    assert rows["toy"]["ours"]["n"] == rows["logistic"]["ours"]["n"] == 12
    assert rows["toy"]["published"] is None


def test_what_is_wrong_in_its_spec_is_told(site: Path, cohort: Cohort, tmp_path: Path) -> None:
    spec = (site / "toy.yaml").read_text().replace("hidden: 3", "hiden: 3")
    (tmp_path / "toy.yaml").write_text(spec)
    command = ["run", str(tmp_path / "toy.yaml"), "--cohort", str(cohort.folder), "--dry-run"]
    assert "model.hiden: no such setting. Did you mean 'hidden'?" in told(mmstudy(site, *command))


def test_without_its_package_the_spec_is_refused_and_others_run(site: Path, cohort: Cohort) -> None:
    command = ["--cohort", str(cohort.folder), "--dry-run"]
    for setting in (*SETTINGS, "protocol.folds=2"):
        command += ["--set", setting]
    alone = mmstudy(None, "run", str(site / "toy.yaml"), *command)
    assert "model.name: need one of mmcaf_net, " in told(alone)
    assert mmstudy(None, "run", "models/kan", *command).returncode == 0


def test_a_broken_package_is_named_where_its_network_is(
    site: Path, cohort: Cohort, tmp_path: Path
) -> None:
    spec = (site / "toy.yaml").read_text().replace("name: toy", "name: bad")
    (tmp_path / "bad.yaml").write_text(spec)
    command = ["run", str(tmp_path / "bad.yaml"), "--cohort", str(cohort.folder), "--dry-run"]
    fault = told(mmstudy(site, *command))
    assert "model.name: the network 'bad' of the distribution bad-net 1.0 cannot be lo" in fault
    assert "No module named 'a_package_nobody_has'" in fault


def test_the_schema_has_its_settings(site: Path) -> None:
    done = mmstudy(site, "spec", "schema")
    assert done.returncode == 0, done.stderr
    models = json.loads(done.stdout)["properties"]["model"]["anyOf"]
    (toy,) = (one for one in models if one["properties"]["name"]["default"] == "toy")
    assert toy["properties"]["hidden"]["maximum"] == 64
