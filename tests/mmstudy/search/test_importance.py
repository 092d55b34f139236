"""Which settings the value depends on, and when nothing can be said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmcaf.files.atomic import write_json
from mmstudy.errors import MMStudyError
from mmstudy.search.importance import importance, keep_importance
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.paths import StudyPaths
from mmstudy.storage.schema import SCHEMA_VERSION, TRIALS, State, TrialRow
from mmstudy.study import Study, open_study
from support.tiny_spec import TINY_SPEC

FOLD: dict[str, list[str]] = {"train": [], "val": []}
SPACE = {
    "train.lr": {"float": [1e-4, 1e-2], "log": True},
    "train.weight_decay": {"float": [0.0, 0.1]},
    "train.optimizer": {"choice": ["adamw", "sgd"]},
    "train.momentum": {"float": [0.5, 0.95], "when": {"train.optimizer": "sgd"}},
}


def made(root: Path, trials: list[tuple[dict[str, Any], float | None, State]]) -> Study:
    spec = TINY_SPEC | {"space": SPACE}
    paths = StudyPaths(root / "s")
    about = {"schema_version": SCHEMA_VERSION, "synthetic": True, "question": "?", "spec": spec}
    write_json(paths.study, about | {"split": {"test": [], "folds": [FOLD, FOLD]}})
    for number, (params, value, state) in enumerate(trials):
        row = TrialRow(
            number=number, state=state, params=json.dumps(params), seed=0, attempts=1,
            started=datetime.now(UTC), value=value,
            best_epoch=0,
        )  # fmt: skip
        write_rows(paths.trial(number), TRIALS, [row.as_dict()])
    return open_study(paths.root)


def drawn(count: int) -> list[tuple[dict[str, Any], float | None, State]]:
    """The value depends on the rate alone."""
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        lr = float(10 ** random.uniform(-4, -2))
        params: dict[str, Any] = {
            "train.lr": lr,
            "train.weight_decay": float(random.uniform(0, 0.1)),
            "train.optimizer": ("adamw", "sgd")[number % 2],
        }
        if number % 2:
            params["train.momentum"] = float(random.uniform(0.5, 0.95))
        found.append((params, 0.9 - 0.2 * abs(np.log10(lr) + 3), State.COMPLETE))
    return found


def test_the_setting_that_decides_comes_first_with_its_number_of_trials(tmp_path: Path) -> None:
    rows = importance(made(tmp_path, drawn(40)))
    assert rows[0]["setting"] == "train.lr"
    assert rows[0]["fanova"] > 0.6
    assert [row["fanova"] for row in rows] == sorted((r["fanova"] for r in rows), reverse=True)
    n = {row["setting"]: row["n"] for row in rows}
    assert n == {
        "train.lr": 40,
        "train.weight_decay": 40,
        "train.optimizer": 40,
        "train.momentum": 20,  # those that have it
    }


def test_a_pruned_trial_says_nothing(tmp_path: Path) -> None:
    trials = drawn(12) + [(params, 0.1, State.PRUNED) for params, _, _ in drawn(20)]
    assert {row["n"] for row in importance(made(tmp_path, trials))} == {12, 6}


def test_a_setting_that_three_trials_have_is_left_out(tmp_path: Path) -> None:
    rows = importance(made(tmp_path, drawn(7)))
    assert "train.momentum" not in {row["setting"] for row in rows}


@pytest.mark.parametrize(
    ("trials", "told"),
    [
        (drawn(3), "has 3 complete trials with 3 different values"),
        ([(p, 0.5, s) for p, _, s in drawn(9)], "has 9 complete trials with 1 different values"),
        ([], "has 0 complete trials"),
    ],
)
def test_too_few_or_equal_trials_are_told(tmp_path: Path, trials: Any, told: str) -> None:
    with pytest.raises(MMStudyError, match=f"{told}.*at least 4 and 2"):
        importance(made(tmp_path, trials))


def test_what_is_kept_is_what_is_said_now_or_why_nothing_is(tmp_path: Path) -> None:
    many, few = made(tmp_path / "a", drawn(10)), made(tmp_path / "b", drawn(2))
    for study in (many, few):
        assert study.importances() is None
        keep_importance(study)
    kept = many.importances()
    assert kept is not None
    assert kept["complete"] == 10
    assert [row["setting"] for row in kept["rows"]] == [row["setting"] for row in importance(many)]
    assert few.importances() == {
        "complete": 2,
        "fault": "s has 2 complete trials with 2 different values; importance needs at least 4 "
        "and 2.",
    }


def test_four_trials_are_enough_to_say_something(tmp_path: Path) -> None:
    assert {row["n"] for row in importance(made(tmp_path, drawn(4)))} == {4}
