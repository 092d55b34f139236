"""What a result was computed with: package versions, code version, hardware. Loads no torch.

Two installs exist. The plain one reads results. The extra `run` adds all that computes them.
"""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "CODE_VARIABLE",
    "INSTALL_CODECS",
    "INSTALL_RUN",
    "RUN_IMPORTS",
    "code_version",
    "cpu_name",
    "missing_to_run",
    "package_version",
    "versions",
]

CODE_VARIABLE = "MMCAF_STUDY_CODE"
"""Names the commit of code that was sent somewhere without its history."""

INSTALL_RUN = "pip install 'mmcaf-study[run]'"
"""The command that turns an install that reads results into one that computes them."""

INSTALL_CODECS = "pip install 'mmcaf-study[codecs]'"
"""The command that adds the decoders of compressed DICOM."""

RUN_IMPORTS = (
    *("aiohttp", "cmaes", "cv2", "defusedxml", "jaxtyping", "kan", "openpyxl", "optuna"),
    *("pydicom", "ray", "safetensors", "sklearn", "sympy", "torch", "tqdm"),
)
"""What the extra `run` brings, by the names that code imports."""

_DISTRIBUTION = "mmcaf-study"
_PACKAGES = (_DISTRIBUTION, "torch", "ray", "optuna", "numpy", "polars", "pykan")


def package_version() -> str:
    """The installed version of this package; `absent` where its code runs without an install."""
    return _version_of(_DISTRIBUTION)


def missing_to_run() -> list[str]:
    """Which imports of the extra `run` cannot be found; none in a full install."""
    return [name for name in RUN_IMPORTS if find_spec(name) is None]


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # a reader's install, or a node without the study engine
        return "absent"


@lru_cache
def _versions() -> tuple[tuple[str, str], ...]:
    python = ("python", platform.python_version())
    return (python, *((name, _version_of(name)) for name in _PACKAGES))


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
        return package_version()
    described = subprocess.run(
        ["git", "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 - git is on PATH
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or package_version()


@lru_cache
def cpu_name() -> str:
    """The processor's name, as the system gives it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()
