"""`mmstudy run` and the demo's steps: what is checked before anything runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmcaf.data.cohort import Cohort
from mmstudy.cli.demo import steps
from mmstudy.driver.drive import plan_study
from mmstudy.spec.reading import json_schema
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.about import write_about
from support.tiny_spec import TINY_SPEC

Command = Callable[..., tuple[int, str, str]]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(command: Command, cohort: Cohort, tmp_path: Path) -> Run:
    """A dry run of the tiny spec with changes."""

    def of(changes: dict[str, Any], *more: str, with_cohort: bool = True) -> tuple[int, str, str]:
        (tmp_path / "my.yaml").write_text(yaml.safe_dump(TINY_SPEC | changes))
        given = ("--cohort", str(cohort.folder)) if with_cohort else ()
        place = ("--root", str(tmp_path / "root"))
        return command("run", str(tmp_path / "my.yaml"), *given, *place, "--dry-run", *more)

    return of


def test_a_dry_run_tells_the_plan_and_makes_nothing(run: Run, tmp_path: Path) -> None:
    code, out, err = run({})
    assert code == 0, err
    told = json.loads(out)
    assert "disk, GiB" in told
    assert not (tmp_path / "root" / "my").exists()


def test_the_command_line_wins_over_the_spec(run: Run) -> None:
    _, plain, _ = run({})
    _, more, _ = run({}, "--trials", "50", "--set", "train.epochs=9")
    records = [json.loads(text)["disk, GiB"]["records of all trials"] for text in (plain, more)]
    assert records[1] > records[0]


def test_a_cohort_may_stand_in_the_spec(run: Run, cohort: Cohort) -> None:
    assert run({"cohort": str(cohort.folder)}, with_cohort=False)[0] == 0
    code, _, err = run({}, with_cohort=False)
    assert code == 2
    assert "No cohort: give --cohort, or `cohort:` in the spec" in err


def test_a_tilde_is_the_home_folder_in_the_spec_and_in_options(
    run: Run,
    command: Command,
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "cohort").symlink_to(cohort.folder)
    monkeypatch.setenv("HOME", str(home))
    assert run({"cohort": "~/cohort"}, with_cohort=False)[0] == 0
    code, out, _ = run({}, "--root=~/studies", "--cohort=~/cohort")
    assert (code, json.loads(out)["study"]) == (0, str(home / "studies" / "my"))
    code, _, err = command("ls", "--root=~/studies")
    assert (code, f"There is no study in {home / 'studies'}" in err) == (0, True)


def test_a_warm_start_may_lie_at_home(
    command: Command, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = TINY_SPEC | {"search": {"trials": 2, "warm_start": "~/before"}}
    (tmp_path / "my.yaml").write_text(yaml.safe_dump(spec))
    given = ("--cohort", str(cohort.folder), "--root", str(tmp_path / "root"), "--inline")
    code, _, err = command("run", str(tmp_path / "my.yaml"), *given)
    assert (code, f"No study in {tmp_path / 'before'}" in err) == (1, True)


@pytest.mark.parametrize(
    ("changes", "more", "told"),
    [
        ({"train": {"epochs": 0}}, (), "epochs"),
        ({"trian": {}}, (), "trian"),
        ({}, ("--set", "train.epochs"), "train.epochs"),
        ({}, ("--set", "train.epoch=3"), "epoch"),
        ({}, ("--trials", "0"), "trials"),
        ({"protocol": {"kind": "kfold", "folds": 12}}, (), "protocol: "),
        ({"data": {"window": [8, 64, 64], "tile_stride": 8}}, (), "64"),
        ({}, ("--name", "a\x1b[31m"), "Need a study's name of signs that are seen"),
        ({}, ("--name", "a" * 201), "Need a study's name of 200 bytes at most"),
        ({}, ("--name=-a",), "Need a study's name without -, . or ~ at its start"),
        ({}, ("--name", "../a"), "Need a study's name without / and"),
    ],
)
def test_what_cannot_run_is_told_before_anything_is_made(
    run: Run, tmp_path: Path, changes: dict[str, Any], more: tuple[str, ...], told: str
) -> None:
    code, out, err = run(changes, *more)
    assert code == 2
    assert out == ""
    assert told in err
    assert "Traceback" not in err
    assert not (tmp_path / "root").exists() or not any((tmp_path / "root").iterdir())


def test_a_folder_with_a_wrong_name_is_not_made(run: Run, command: Command, tmp_path: Path) -> None:
    wrong = tmp_path / "a\nb"
    for code, _, err in (
        run({}, "--root", str(wrong)),
        command("data", "synth", str(wrong), "--patients", "4", "--size", "32"),
        command("data", "ingest", str(tmp_path), "--out", str(wrong)),
        command("export", "s", "--out", str(wrong)),
    ):
        assert (code, "Need a folder's name of signs that are seen" in err) == (2, True)
    assert not wrong.exists()


def test_a_spec_that_is_not_there_gets_the_nearest_name(command: Command) -> None:
    code, out, err = command("run", "smke", "--dry-run")
    assert (code, out) == (2, "")
    assert "smoke" in err


def test_the_schema_for_editors_is_the_program_s(command: Command) -> None:
    code, out, _ = command("spec", "schema")
    assert code == 0
    assert json.loads(out) == json.loads(json.dumps(json_schema()))


def test_the_demo_is_four_commands_and_makes_its_cohort_once(tmp_path: Path) -> None:
    first = steps(tmp_path)
    assert [one[:2] for one in first] == [
        ["data", "synth"],
        ["data", "ingest"],
        ["run", "smoke"],
        ["compare", "demo"],
    ]
    (tmp_path / "dicom").mkdir()
    assert steps(tmp_path) == first[1:]
    assert str(tmp_path / "cohort") in first[2]


def test_a_setting_given_for_nothing_is_told_and_a_search_over_it_refused(run: Run) -> None:
    code, _, err = run({"train": {"epochs": 2, "optimizer": "adamw", "momentum": 0.5}})
    assert code == 0
    assert "train.momentum has no effect here: adamw has no such setting" in err
    code, _, err = run({"space": {"train.momentum": {"float": [0.0, 0.9]}}})
    assert code == 2
    assert "space.train.momentum: cannot have an effect" in err


def test_a_study_begun_with_such_a_search_goes_on(run: Run, cohort: Cohort, tmp_path: Path) -> None:
    space = {"train.momentum": {"float": [0.0, 0.9]}}
    spec = parse_spec(deepcopy(TINY_SPEC) | {"space": space}, begun=True)
    plan = plan_study(spec, cohort=cohort.folder, root=tmp_path / "root", name="my")
    write_about(plan.folder, plan.spec, plan.cohort, plan.split)
    code, out, err = run({"space": space}, "--trials", "9")
    assert code == 0, err
    assert json.loads(out)["trials"] == 9
