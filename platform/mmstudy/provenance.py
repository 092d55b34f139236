"""What a result was computed with: package versions, code version, hardware. Loads no torch."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["CODE_VARIABLE", "code_version", "cpu_name", "versions"]

CODE_VARIABLE = "MMCAF_STUDY_CODE"
"""Names the commit of code that was sent somewhere without its history."""

_PACKAGES = ("mmcaf-study", "torch", "ray", "optuna", "numpy", "polars", "pykan")


@lru_cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version())]
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:  # a node without the study engine's own packages
            found.append((name, "absent"))
    return tuple(found)


def versions() -> dict[str, str]:
    """Package -> version, of those that decide numbers."""
    return dict(_versions())


@lru_cache
def code_version() -> str:
    """The commit of a checkout, marked when files differ from it; else the package version."""
    if sent := os.environ.get(CODE_VARIABLE):
        return sent
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return versions()["mmcaf-study"]
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 - git is on PATH
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or versions()["mmcaf-study"]


@lru_cache
def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
