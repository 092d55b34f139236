"""Explanations of a trial, from the command to what the dashboard reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tiny_spec import TINY_SPEC

from mmcaf.data.cohort import Cohort
from mmstudy.engine import plan_study, run_study
from mmstudy.errors import MMStudyError
from mmstudy.explain import choose
from mmstudy.explanations import load
from mmstudy.results import Study, open_study
from mmstudy.runner import InlineRunner
from mmstudy.spec import parse_spec

Command = Callable[..., tuple[int, str, str]]
SPEC: dict[str, Any] = deepcopy(TINY_SPEC) | {
    "protocol": {"kind": "kfold", "folds": 2, "test": {"fraction": 0.2, "seed": 1}},
    "data": {"window": [8, 32, 32], "tile_stride": 4},
    "model": {"width": 0.0625, "token_grid": [1, 1, 2], "pyramid_scales": [2, 3]},
    "train": {"epochs": 2, "optimizer": "adamw"},
    "space": {"train.lr": {"float": [1e-3, 1e-2], "log": True}},
    "search": {"trials": 1, "startup_trials": 1},
}


@pytest.fixture(scope="module")
def study(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Study:
    root = tmp_path_factory.mktemp("root")
    plan = plan_study(parse_spec(SPEC), cohort=cohort.folder, root=root, name="s")
    run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
    return open_study(root / "s")


def test_it_runs(study, command):
    code, out, err = command(
        "explain", str(study.paths.root), "0", "--per-class", "1", "-f", "json"
    )
    print(out, err)
    assert code == 0
    found = load(study.paths, 0)
    print(found.sanity)
