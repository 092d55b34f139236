"""What another study's trials tell this one: only where they fit it exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mmcaf.data.splits import Fold, Split
from mmcaf.files.atomic import write_json
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.search.rebuild import Known
from mmstudy.search.warm_start import known_trials
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.paths import StudyPaths
from mmstudy.storage.schema import METRICS, TRIALS, State, TrialRow
from support.epoch_row import epoch_row
from support.tiny_spec import TINY_SPEC

SPLIT = Split(("t",), (Fold(("a",), ("b",)),))
PARAMS: dict[str, Any] = {"train.lr": 0.001, "model.pyramid_scales": [2, 3]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A study of one complete trial."""
    paths = StudyPaths(tmp_path / "before")
    about = {"schema_version": 3, "synthetic": True, "question": "?", "cohort_digest": "abc"}
    write_json(paths.study, about | {"split": SPLIT.to_json(), "spec": TINY_SPEC})
    add(paths.root, 0)
    return paths.root


def add(folder: Path, number: int, **changes: Any) -> None:
    paths = StudyPaths(folder)
    params = changes.pop("params", PARAMS)
    given: dict[str, Any] = {
        "number": number, "state": State.COMPLETE, "params": json.dumps(params), "seed": 0,
        "attempts": 1, "started": datetime.now(UTC), "value": 0.7,
        "best_epoch": 0,
    }  # fmt: skip
    write_rows(paths.trial(number), TRIALS, [TrialRow(**given | changes).as_dict()])
    rows = [epoch_row(number=number, epoch=at, seconds=s).as_dict() for at, s in enumerate((1, 3))]
    write_rows(paths.trial_metrics(number), METRICS, rows)


def known(source: Path, changes: dict[str, Any] | None = None, **other: Any) -> list[Known]:
    spec = parse_spec(TINY_SPEC | (changes or {}))
    return known_trials(
        spec, StudyFolder(source), **{"cohort_digest": "abc", "split": SPLIT} | other
    )


def test_a_complete_trial_is_known_with_its_params_and_value(source: Path) -> None:
    (found,) = known(source)
    assert (found.params, found.values) == (PARAMS, (0.7,))
    assert "before trial 0" in str(found)


def test_what_did_not_complete_has_no_value_to_tell(source: Path) -> None:
    for number, state in enumerate((State.PRUNED, State.FAIL, State.RUNNING), 1):
        add(source, number, state=state, value=0.9)
    assert len(known(source)) == 1


def test_a_complete_trial_without_a_value_is_damage(source: Path) -> None:
    add(source, 1, value=None)
    with pytest.raises(MMStudyError, match=r"00001\.parquet is damaged: .*value"):
        known(source)


@pytest.mark.parametrize(
    "other",
    [
        {"cohort_digest": "other"},
        {"split": replace(SPLIT, test=("u",))},
        {"split": replace(SPLIT, folds=())},
    ],
)
def test_values_of_other_patients_or_folds_are_refused_with_the_remedy(
    source: Path, other: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match=r"another cohort or other folds.*search\.enqueue"):
        known(source, **other)


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"epochs": 3, "optimizer": "adamw"}},
        {"data": {"window": [8, 32, 32], "tile_stride": 4}},
        {"model": TINY_SPEC["model"] | {"tabular": "kan"}},  # type: ignore[operator]
        {
            "space": {
                "train.lr": {"float": [0.01, 0.1]},
                "model.pyramid_scales": {"choice": [[3], [2, 3]]},
            }
        },
        {
            "space": {
                "train.lr": {"float": [1e-4, 1e-2]},
                "model.pyramid_scales": {"choice": [[3], [1, 2, 3]]},
            }
        },
        {
            "model": {"name": "penet", "width": 0.0625},
            "space": {"train.lr": {"float": [1e-4, 1e-2]}},
        },
    ],
    ids=["epochs", "data", "model", "outside a range", "not among choices", "network"],
)
def test_a_trial_this_spec_could_not_have_proposed_is_left_out(
    source: Path, changes: dict[str, Any]
) -> None:
    assert known(source, changes) == []


def test_what_was_searched_there_may_be_fixed_here_and_the_other_way_round(source: Path) -> None:
    add(source, 1, params=PARAMS | {"train.lr": 0.002})
    fixed = {
        "train": {"epochs": 2, "optimizer": "adamw", "lr": 0.001},
        "space": {
            "model.pyramid_scales": {"choice": [[3], [2, 3]]},
            "model.tabular": {"choice": ["mlp", "kan"]},
        },
    }
    (found,) = known(source, fixed)
    assert found.params == {"model.pyramid_scales": [2, 3], "model.tabular": "mlp"}


def test_a_second_objective_comes_from_the_epochs(source: Path) -> None:
    search = {"trials": 2, "startup_trials": 2, "objectives": ["auroc", "seconds_per_epoch"]}
    (found,) = known(source, {"search": search})
    assert found.values == (0.7, 2.0)


def test_a_trial_without_that_second_value_is_left_out(source: Path) -> None:
    search = {"trials": 2, "startup_trials": 2, "objectives": ["auroc", "parameters"]}
    assert known(source, {"search": search}) == []  # no epoch says how many
