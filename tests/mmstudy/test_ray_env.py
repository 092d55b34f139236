"""Ray, started for us alone, listens on the loopback address and asks for a token."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SHOW = "import os; from mmstudy import ray_env; ray_env.prepare(); "
SHOW += "print(*(os.environ.get(n) for n in "
SHOW += "('RAY_AUTH_MODE', 'RAY_AUTH_TOKEN', 'RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER')))"


def prepared(home: Path, **given: str) -> list[str]:
    """Mode, token and loopback switch in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-c", SHOW],
        env=kept | {"HOME": str(home)} | given,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_an_own_cluster_has_a_fresh_token_and_stays_on_the_loopback_address(tmp_path: Path) -> None:
    first, second = prepared(tmp_path), prepared(tmp_path)
    assert first[0] == "token"
    assert len(first[1]) == 64
    assert first[1] != second[1]
    assert first[2] == "0"
    assert not (tmp_path / ".ray").exists()


def test_what_the_user_has_set_is_kept(tmp_path: Path) -> None:
    assert prepared(tmp_path, RAY_AUTH_MODE="disabled")[:2] == ["disabled", "None"]
    assert prepared(tmp_path, RAY_AUTH_TOKEN="own")[:2] == ["token", "own"]  # noqa: S106


def test_another_cluster_keeps_its_rules_and_is_shown_the_token_at_hand(tmp_path: Path) -> None:
    assert prepared(tmp_path, RAY_ADDRESS="10.0.0.1:6379") == ["None"] * 3
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("shared")
    assert prepared(tmp_path, RAY_ADDRESS="10.0.0.1:6379") == ["token", "None", "None"]


def test_the_address_of_jobs_is_not_one_to_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmstudy.driver.on_ray import RayRunner
    from mmstudy.errors import UsageError

    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    with pytest.raises(UsageError, match="mmstudy submit --address http://head:8265"):
        RayRunner().__enter__()


def test_what_a_cluster_grows_to_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mmstudy.errors import UsageError
    from mmstudy.ray_env import GROWTH_VARIABLE, growth

    assert growth() == {}
    monkeypatch.setenv(GROWTH_VARIABLE, "CPU=64,GPU=8")
    assert growth() == {"CPU": 64, "GPU": 8}
    with pytest.raises(UsageError, match="CPU=64,GPU=8 or the like, got 'TPU=1'"):
        growth("TPU=1")


OWN = """
from mmstudy.driver.on_ray import ray_cluster
import psutil, ray
with ray_cluster(1):
    ray.get(ray.remote(lambda: 1).remote())
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    sockets = [one for process in family for one in process.net_connections("tcp")]
    found = [one.laddr.ip for one in sockets if one.status == "LISTEN"]
    print(ray._private.worker.global_worker.node.gcs_address, *sorted(set(found)), flush=True)
    input()
"""


@pytest.mark.slow
def test_nothing_listens_elsewhere(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    kept["HOME"] = str(tmp_path)
    with psutil.Popen(
        [sys.executable, "-c", OWN], env=kept, stdin=-1, stdout=-1, text=True
    ) as process:
        _, *listening = process.stdout.readline().split()
        assert listening
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}
        process.communicate("\n")
    assert process.returncode == 0
