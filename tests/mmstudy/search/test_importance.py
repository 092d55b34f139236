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
from mmstudy.search.importance import importance, keep_importance, p_values
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
    assert rows[0]["fanova_low"] <= rows[0]["fanova"] <= rows[0]["fanova_high"]
    assert rows[0]["fanova_low"] > rows[0]["by_chance"]
    assert rows[0]["p"] == 0.001
    n = {row["setting"]: row["n"] for row in rows}
    assert n == {
        "train.lr": 40,
        "train.weight_decay": 40,
        "train.optimizer": 40,
        "train.momentum": 20,  # those that have it
    }
    says = {row["setting"]: row["says"] for row in rows}
    assert says == {
        "train.lr": "the value depends on it",
        "train.weight_decay": "no dependence shown",
        "train.optimizer": "no dependence shown",
        "train.momentum": "20 complete trials: too few to say; importance takes 30.",
    }
    assert sum(row["fanova"] or 0 for row in rows) == pytest.approx(1)


def test_a_pruned_trial_says_nothing(tmp_path: Path) -> None:
    trials = drawn(29) + [(params, 0.1, State.PRUNED) for params, _, _ in drawn(20)]
    with pytest.raises(MMStudyError, match="29 complete trials: too few to say"):
        importance(made(tmp_path, trials))


@pytest.mark.parametrize("count", [0, 3, 29])
def test_few_trials_are_told_to_be_few(tmp_path: Path, count: int) -> None:
    with pytest.raises(MMStudyError, match=f"^{count} complete trials: too few to say"):
        importance(made(tmp_path, drawn(count)))


@pytest.mark.parametrize("space", [{}, SPACE])
def test_trials_without_a_searched_setting_are_told(tmp_path: Path, space: dict[str, Any]) -> None:
    study = made(tmp_path, [({}, value, state) for _, value, state in drawn(31)])
    about = json.loads(study.folder.study.read_text())
    about["spec"]["space"] = space
    write_json(study.folder.study, about)
    with pytest.raises(MMStudyError, match="s searches no setting that all its trials have"):
        importance(open_study(study.folder.root))


def test_trials_of_one_value_are_told(tmp_path: Path) -> None:
    with pytest.raises(MMStudyError, match="All 31 complete trials of s have one value"):
        importance(made(tmp_path, [(p, 0.5, s) for p, _, s in drawn(31)]))


def test_noise_is_not_claimed(tmp_path: Path) -> None:
    spec = made(tmp_path, []).about.spec
    random = np.random.default_rng(3)
    least = []
    for seed in range(100):
        trials = [
            ({p: v for p, v in params.items() if p != "train.momentum"}, float(random.normal()))
            for params, _, _ in drawn(30)
        ]
        least.append(min(p_values(spec, trials, seed=seed).values()))
    assert min(least) > 0.001
    assert np.mean(np.array(least) <= 0.05) <= 0.1


def test_what_is_kept_is_what_is_said_now_or_why_nothing_is(tmp_path: Path) -> None:
    many, few = made(tmp_path / "a", drawn(31)), made(tmp_path / "b", drawn(2))
    for study in (many, few):
        assert study.importances() is None
        keep_importance(study)
    kept = many.importances()
    assert kept is not None
    assert (kept["complete"], kept["pruned"]) == (31, 0)
    assert kept["rows"][0]["setting"] == "train.lr"
    assert kept["rows"][0]["says"] == "the value depends on it"
    assert few.importances() == {
        "complete": 2,
        "pruned": 0,
        "fault": "2 complete trials: too few to say; importance takes 30.",
    }


def test_what_an_earlier_version_kept_of_few_trials_is_not_shown(tmp_path: Path) -> None:
    study = made(tmp_path, drawn(4))
    rows = [{"setting": "train.lr", "fanova": 0.9, "ped_anova": 1.0, "n": 4}]
    write_json(study.folder.importance, {"complete": 4, "rows": rows})
    assert study.importances() == {
        "complete": 4,
        "fault": "4 complete trials: too few to say; importance takes 30.",
    }
