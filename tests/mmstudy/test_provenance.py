"""What a result was computed with: of this very process, or said to be unknown."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from mmstudy import provenance
from mmstudy.provenance import CODE_VARIABLE, code_version, cpu_name, versions


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Nothing remembered from before, nothing left behind."""
    for known in (provenance._versions, code_version, cpu_name):
        known.cache_clear()
    yield
    for known in (provenance._versions, code_version, cpu_name):
        known.cache_clear()


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@t.example"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout in which the module believes to lie."""
    module = tmp_path / "platform" / "mmstudy" / "provenance.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    monkeypatch.setattr(provenance, "__file__", str(module))
    monkeypatch.delenv(CODE_VARIABLE, raising=False)
    return tmp_path


def test_versions_are_those_that_run_here() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["torch"] == torch.__version__
    assert found["mmcaf-study"] == importlib.metadata.version("mmcaf-study")


def test_what_is_not_installed_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_PACKAGES", ("numpy", "no-such-package-at-all"))
    assert versions()["no-such-package-at-all"] == "absent"


def test_whoever_changes_what_was_given_changes_a_copy() -> None:
    versions()["numpy"] = "0"
    assert versions()["numpy"] == np.__version__


def test_code_of_a_checkout_is_its_commit_and_says_when_files_differ(checkout: Path) -> None:
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "x")
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
    )
    clean = code_version()
    assert clean == done.stdout[:12]
    (checkout / "platform" / "mmstudy" / "provenance.py").write_text("changed")
    code_version.cache_clear()
    assert code_version() == f"{clean}-dirty"


def test_code_without_history_is_the_package_s_version(checkout: Path) -> None:
    assert code_version() == importlib.metadata.version("mmcaf-study")


def test_a_checkout_without_a_commit_is_the_package_s_version(checkout: Path) -> None:
    git(checkout, "init", "-q")
    assert code_version() == importlib.metadata.version("mmcaf-study")


def test_code_that_was_sent_says_which_it_was(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CODE_VARIABLE, "abc123-dirty")
    assert code_version() == "abc123-dirty"


def test_a_processor_has_a_name_even_where_the_system_says_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert cpu_name().strip()
    cpu_name.cache_clear()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "processor: 0\n")
    assert cpu_name() == platform.machine()


def test_it_loads_no_torch() -> None:
    code = "import sys, mmstudy.provenance as p; p.versions(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
