"""What several tests need: a tiny cohort and network, and torch on one thread."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmstudy import ray_env
from support import shapes  # noqa: F401  # before any test imports a network
from support.keyed import keyed

# The same examples each time, however busy the machine is.
settings.register_profile("sure", derandomize=True, deadline=None)
settings.load_profile("sure")

# Whichever test imports Ray first: a token, and none in the home folder.
ray_env.prepare(joins=False)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_draws() -> None:
    """What a test draws does not depend on which tests came before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """A command that a test runs in this process makes it stricter, for good."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test finds, or leaves, anything in the home folder's cache; processes see it too."""
    os.environ["MMCAF_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest puts the app in the place of the main module, which processes spawned later run."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def dicom_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dicom") / "tree"
    write(folder, SyntheticSpec(patients=12, size=48, slices=12, seed=5))
    return folder


@pytest.fixture(scope="session")
def cohort(dicom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return ingest([dicom_folder], keyed(tmp_path_factory.mktemp("cohort")), in_plane_px=48)
