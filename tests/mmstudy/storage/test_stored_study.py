"""Study and cohort on an S3 server: begun, killed, gone on with from another machine's cache, read
by the command line and by the dashboard. Networks, Ray and the server are real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from streamlit.testing.v1 import AppTest

from mmcaf.data.cohort import Cohort
from mmcaf.files.remote import Remote, place
from mmstudy.serving import app_path
from mmstudy.storage import mirror as copies
from mmstudy.study import open_study
from support.object_store import object_store
from support.tiny_spec import TINY_SPEC

pytestmark = pytest.mark.slow

TRIALS = 4
SPEC: dict[str, Any] = deepcopy(TINY_SPEC) | {
    "train": {"epochs": 3, "optimizer": "adamw"},
    "search": {"trials": TRIALS, "startup_trials": 2},
    "resources": {"cpu": 1, "concurrent": 2},
}


def command(*arguments: str, cache: Path) -> tuple[list[str], dict[str, str]]:
    environment = os.environ | {"MMCAF_CACHE": str(cache)}
    return [sys.executable, "-m", "mmstudy.cli.main", *arguments], environment


def kill(process: psutil.Process) -> None:
    """The driver first, as a lost machine would, then what it had started."""
    family = process.children(recursive=True)
    process.kill()
    for one in family:
        if one.is_running():
            one.kill()
    psutil.wait_procs([process, *family], timeout=20)


def test_a_study_on_s3_is_killed_gone_on_with_elsewhere_and_shown(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "third"))
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(SPEC))
    with object_store() as (root, requests):
        there = root.replace("/studies?", "/cohort?")
        remote = Remote.at(there)
        for path in cohort.folder.rglob("*"):
            if path.is_file():
                remote.put(path.relative_to(cohort.folder).as_posix(), path)
        begin = ["run", str(spec), "--cohort", there, "--root", root, "--name", "s"]

        line, environment = command(*begin, cache=tmp_path / "first")
        log = tmp_path / "first.log"
        with log.open("w") as file:
            driver = psutil.Popen(line, env=environment, stdout=file, stderr=file)
        study = Remote.at(root).child("s")
        begun = time.monotonic()
        while not study.listed("metrics") and time.monotonic() - begun < 200:
            assert driver.poll() is None, log.read_text()
            time.sleep(0.2)
        kill(driver)
        left = study.listed("trials")
        assert 1 <= len(left) <= TRIALS
        assert study.listed("metrics")

        line, environment = command(*begin, cache=tmp_path / "second")
        done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr

        monkeypatch.setattr(copies, "_PULL_EVERY_SECONDS", 0.0)
        opened = open_study(place(root) / "s")
        assert opened.counts() == {"running": 0, "complete": TRIALS, "pruned": 0, "fail": 0}
        assert opened.trials()["number"].sort().to_list() == [*range(TRIALS)]
        assert opened.trials()["attempts"].max() >= 2  # type: ignore[operator]
        # Each epoch once, though some were computed before the kill and some after.
        assert opened.metrics().height == TRIALS * 2 * 3
        assert opened.metrics()["attempt"].min() == 1
        assert not [n for n in study.listed("artifacts/00000") if n.endswith("last.safetensors")]

        line, environment = command("ls", "--root", root, "-f", "json", cache=tmp_path / "fourth")
        shown = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
        (row,) = json.loads(shown.stdout)
        best = opened.best_trial()
        assert best is not None
        assert (row["study"], row["complete"], row["best"]) == ("s", TRIALS, best["value"])

        monkeypatch.setattr(sys, "argv", ["app.py", str(place(root))])
        page = AppTest.from_file(str(app_path()), default_timeout=240).run()
        assert not page.exception
        assert page.dataframe[0].value.set_index("study").loc["s", "complete"] == TRIALS
        # One look within the time for which a copy is not brought up to date a second time.
        monkeypatch.setattr(copies, "_PULL_EVERY_SECONDS", 600.0)
        (place(root) / "s" / ".pulled").unlink()
        requests.count.clear()
        page.run()
        print(f"requests of one look at the dashboard: {dict(requests.count)}")  # noqa: T201
        assert requests.count["LIST"] <= 10  # whatever the number of trials
        assert requests.count["GET"] <= 1  # who drives it, if anyone
