"""What a search may begin from: one rule for warm starts and enqueued trials, and a record."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mmcaf.data.splits import Fold, Split
from mmcaf.files.atomic import write_json
from mmstudy.errors import UsageError
from mmstudy.search.sources import begun_from, proposable, with_points
from mmstudy.search.warm_start import known_trials
from mmstudy.spec.study_spec import parse_spec, trial_config
from mmstudy.storage.about import read_about
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import EVALUATIONS, TRIALS, Source, State, TrialRow
from support.made_study import NOW
from support.tiny_spec import TINY_SPEC

SPLIT = Split(("t1", "t2"), (Fold(("a", "b"), ("c",)),))
OTHER = Split(("u1",), (Fold(("a", "b"), ("c", "t1", "t2")),))


def made(folder: Path, split: Split = SPLIT, sources: tuple[Source, ...] = (), **spec: Any) -> Path:
    """A study of four trials: three complete ones, number 1 the best, and one that failed."""
    paths = StudyFolder(folder)
    about = {"schema_version": 3, "synthetic": True, "question": "?", "cohort_digest": "abc"}
    about |= {"split": split.to_json(), "spec": TINY_SPEC | spec, "created": "2026"}
    write_json(paths.study, about | {"sources": msgspec.to_builtins(sources)})
    for number, value in enumerate((0.6, 0.9, 0.7, None)):
        row = TrialRow(
            number=number, params=params(number), seed=0, attempts=1, started=NOW, value=value,
            state=State.FAIL if value is None else State.COMPLETE, best_epoch=0,
        )  # fmt: skip
        write_rows(paths.trial(number), TRIALS, [row.as_dict()])
    return folder


def params(number: int) -> str:
    return json.dumps({"train.lr": (number + 1) / 1000, "model.pyramid_scales": [3]})


def begun(split: Split = SPLIT, spec: dict[str, Any] | None = None, **search: Any) -> Any:
    raw = TINY_SPEC | {"search": {"trials": 2, **search}} | (spec or {})
    return begun_from(parse_spec(raw), split)


def test_the_best_trials_are_tried_first_and_recorded(tmp_path: Path) -> None:
    folder = made(tmp_path / "before")
    (found,) = begun(enqueue={"from": str(folder), "top": 2})
    assert [point["train.lr"] for point in found.points] == [0.002, 0.003]
    assert (found.study, found.way, found.trials, found.taken) == ("before", "enqueue", 3, 2)
    assert (found.cohort_digest, found.begun) == ("abc", "2026")
    assert (found.searched, found.looked) == (("a", "b", "c"), ())


def test_a_looked_at_test_set_is_recorded(tmp_path: Path) -> None:
    folder = StudyFolder(made(tmp_path / "before"))
    row = {"look": 1, "number": 1, "n": 2, "n_positive": 1, "written": NOW}
    folder.add_rows(folder.evaluations, EVALUATIONS, [row])
    (found,) = begun(enqueue={"from": str(folder.root)})
    assert found.looked == ("t1", "t2")


def test_sources_of_a_source_are_recorded_with_it(tmp_path: Path) -> None:
    far = Source(study="far", way="enqueue", trials=9, searched=("z",), points=({"x": 1},))
    folder = made(tmp_path / "before", sources=(far,))
    near, found = begun(enqueue={"from": str(folder)})
    assert near.study == "before"
    assert (found.study, found.through, found.trials) == ("far", "before", 9)
    assert (found.searched, found.points) == (("z",), ())


def test_a_study_that_is_begun_from_both_ways_brings_its_sources_once(tmp_path: Path) -> None:
    far = Source(study="far", way="enqueue", trials=9, searched=("z",))
    folder = str(made(tmp_path / "before", sources=(far,)))
    found = begun(enqueue={"from": folder}, warm_start=folder)
    assert [(one.study, one.way) for one in found] == [
        ("before", "warm_start"),
        ("far", "enqueue"),
        ("before", "enqueue"),
    ]


@pytest.mark.parametrize("way", ["enqueue", "warm_start"])
def test_a_search_that_saw_test_patients_is_refused_whichever_way(tmp_path: Path, way: str) -> None:
    folder = made(tmp_path / "before", split=OTHER)
    said = rf"search\.{way}: 2 of the 2 test patients .* served in the search of before: .*protocol"
    with pytest.raises(UsageError, match=said):
        begin(way, folder)


@pytest.mark.parametrize("way", ["enqueue", "warm_start"])
def test_so_is_one_that_began_from_such_a_search(tmp_path: Path, way: str) -> None:
    far = Source(study="far", way="enqueue", trials=9, searched=("t2",))
    folder = made(tmp_path / "before", sources=(far,))
    said = rf"search\.{way}: 1 of the 2 test .* the search of far, which before began from"
    with pytest.raises(UsageError, match=said):
        begin(way, folder)


def begin(way: str, folder: Path) -> None:
    if way == "enqueue":
        begun(enqueue={"from": str(folder), "top": 3})
    spec = parse_spec(TINY_SPEC | {"search": {"trials": 2, "warm_start": str(folder)}})
    known_trials(spec, StudyFolder(folder), cohort_digest="abc", split=SPLIT)


def test_other_folds_are_no_hindrance_where_nobody_of_the_test_set_served(tmp_path: Path) -> None:
    folder = made(tmp_path / "before", split=replace(OTHER, test=("t1", "t2"), folds=OTHER.folds))
    with pytest.raises(UsageError, match="2 of the 2"):
        begun(enqueue={"from": str(folder)})
    (found,) = begun(Split(("v",), OTHER.folds), enqueue={"from": str(folder)})
    assert found.taken == 1


def test_a_space_that_none_fits_is_refused_with_the_remedy(tmp_path: Path) -> None:
    space = {"train.lr": {"float": [0.1, 1.0]}}
    with pytest.raises(UsageError, match=r"none of the 3 complete trials .* Widen the space"):
        begun(spec={"space": space}, enqueue={"from": str(made(tmp_path / "before"))})


def test_only_those_that_fit_are_taken_the_best_first(tmp_path: Path) -> None:
    space = {"train.lr": {"float": [0.0001, 0.0015]}}
    (found,) = begun(
        spec={"space": space}, enqueue={"from": str(made(tmp_path / "before")), "top": 3}
    )
    assert found.points == ({"train.lr": 0.001},)


def test_what_breaks_a_constraint_was_never_proposable() -> None:
    spec = parse_spec(TINY_SPEC | {"constraints": ["train.lr <= 0.002"]})
    scales = {"model.pyramid_scales": [3]}
    given = [scales | {"train.lr": lr} for lr in (0.001, 0.005)]
    configs = [trial_config(parse_spec(TINY_SPEC), one) for one in given]
    found = [proposable(spec, config) for config in configs]
    assert found[1] is None
    assert found[0] is not None
    assert found[0]["train.lr"] == 0.001


class TestPoints:
    def test_recorded_points_stand_in_for_the_source(self) -> None:
        spec = parse_spec(TINY_SPEC | {"search": {"trials": 2, "enqueue": {"from": "gone"}}})
        one = Source(study="gone", way="enqueue", trials=1, points=({"train.lr": 0.001},))
        assert spec.search.points == ()
        assert with_points(spec, [one]).search.points == ({"train.lr": 0.001},)

    @pytest.mark.parametrize("point", [{"train.lr": 5.0}, {"train.epochs": 3}, {"model.name": "x"}])
    def test_a_record_sets_nothing_outside_the_space(self, point: dict[str, Any]) -> None:
        spec = parse_spec(TINY_SPEC | {"search": {"trials": 2, "enqueue": {"from": "gone"}}})
        one = Source(study="gone", way="enqueue", trials=1, points=(point,))
        assert with_points(spec, [one]).search.points == ()

    def test_points_of_the_spec_are_its_own(self) -> None:
        spec = parse_spec(TINY_SPEC | {"search": {"trials": 2, "enqueue": [{"train.lr": 0.002}]}})
        one = Source(study="x", way="enqueue", trials=1, points=({"train.lr": 0.001},))
        assert with_points(spec, [one]) == spec


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    far = Source(study="far", way="enqueue", trials=9, searched=("z",), points=({"x": [1, 2]},))
    assert read_about(StudyFolder(made(tmp_path / "s", sources=(far,)))).sources == (far,)
