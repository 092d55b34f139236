"""Every command that prints rows says in each row, for machines, whose data it is of."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmcaf.files.atomic import write_json
from mmstudy.driver.drive import plan_study, run_study
from mmstudy.driver.inline import InlineRunner
from mmstudy.report.table import MACHINES, PEOPLE, Format
from mmstudy.spec.study_spec import parse_spec
from mmstudy.storage.origin import Origin
from mmstudy.storage.schema import Source
from mmstudy.study import Study, open_study
from support.keyed import keyed
from support.made_probe import PROBE
from support.made_study import MMCAF_SCORES, add_look, made_study
from support.tiny_spec import TINY_SPEC

Command = Callable[..., tuple[int, str, str]]
ORIGINS = [Origin(), Origin(synthetic=True), Origin(oracle=True), Origin(True, True)]
OF_A_MADE_STUDY = (
    ["ls"],
    ["status", "made"],
    ["trials", "made"],
    ["best", "made"],
    ["show", "made", "best"],
    ["compare", "made"],
    ["importance", "made"],  # of a probe: one trial says nothing
)
OF_A_TRAINED_STUDY = (
    ["rerun", "s", "0"],
    ["confirm", "s", "--top", "1", "--seeds", "1", "--inline"],
    ["evaluate", "s", "best"],
    ["explain", "s", "best", "--per-class", "1"],
    ["predict", "s", "best", "COHORT"],
    ["predict", "s", "best", "COHORT", "--cases"],
    *([*command] for command in (["trials", "s"], ["best", "s"], ["show", "s", "0"])),
)
SPEC: dict[str, Any] = deepcopy(TINY_SPEC) | {
    "protocol": {"kind": "kfold", "folds": 2, "test": {"fraction": 0.2, "seed": 1}},
    "data": {"location": "oracle"},
    "model": {"name": "mlp"},
    "train": {"epochs": 1},
    "space": {"train.lr": {"float": [1e-4, 1e-1], "log": True}},
    "search": {"trials": 4, "startup_trials": 4},
}


@pytest.fixture(scope="module")
def trained(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Four trials of the table's own network, on synthetic patients, told where the lesion is."""
    root = tmp_path_factory.mktemp("root")
    plan = plan_study(parse_spec(SPEC), cohort=cohort.folder, root=root, name="s")
    run_study(plan, InlineRunner(), notify=lambda _: None, progress=lambda *_: None)
    return open_study(root / "s")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Patients that no trial was trained on."""
    folder = tmp_path_factory.mktemp("other")
    write(folder / "dicom", SyntheticSpec(patients=8, size=48, slices=12, seed=9))
    return ingest([folder / "dicom"], keyed(folder / "cohort"), in_plane_px=48)


def origins(text: str, how: Format) -> list[str]:
    """The column `origin` of every row that a command printed."""
    rows = list(csv.DictReader(io.StringIO(text))) if how == "csv" else json.loads(text)
    if isinstance(rows, dict):  # a comparison
        rows = [row for section in rows["sections"] for row in section["rows"]]
    assert rows
    return [row["origin"] for row in rows if row.get("kind") != "published"]


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.column)
@pytest.mark.parametrize("arguments", OF_A_MADE_STUDY, ids=" ".join)
def test_rows_for_machines_carry_the_origin_of_a_study(
    tmp_path: Path, command: Command, arguments: list[str], origin: Origin
) -> None:
    of = made_study(tmp_path, synthetic=origin.synthetic, oracle=origin.oracle)
    write_json(of.folder.probe, msgspec.to_builtins(PROBE))
    for how in MACHINES:
        code, out, err = command(*arguments, "--root", str(tmp_path), "-f", how)
        assert code == 0
        assert set(origins(out, how)) == {origin.column}
        alone = arguments[0] in ("ls", "status")  # of several studies; people see the column too
        assert alone or origin.sentence.replace(". ", ".\n") in err


@pytest.mark.parametrize("arguments", OF_A_TRAINED_STUDY, ids=" ".join)
@pytest.mark.parametrize("how", MACHINES)
def test_rows_of_what_is_trained_carry_it_too(
    trained: Study, other: Cohort, command: Command, arguments: list[str], how: Format
) -> None:
    assert trained.origin.column == "SYNTHETIC ORACLE"
    given = [str(other.folder) if word == "COHORT" else word for word in arguments]
    code, out, _ = command(*given, "--root", str(trained.folder.root.parent), "-f", how)
    assert code == 0
    assert set(origins(out, how)) == {"SYNTHETIC ORACLE"}


@pytest.mark.parametrize("how", PEOPLE)
@pytest.mark.parametrize("arguments", OF_A_MADE_STUDY[2:-1], ids=" ".join)
def test_people_are_warned_above_the_table(
    tmp_path: Path, command: Command, arguments: list[str], how: Format
) -> None:
    study = made_study(tmp_path, synthetic=True, oracle=True)
    _, out, _ = command(*arguments, "--root", str(tmp_path), "-f", how)
    above = out.index("0.78")  # its value
    for warning in study.origin.warnings:
        assert 0 <= out.find(warning) < above
        assert out.count(warning) == 1


def test_a_trial_and_its_epochs_are_two_tables(tmp_path: Path, command: Command) -> None:
    made_study(tmp_path)
    where = ["--root", str(tmp_path)]
    _, out, _ = command("show", "made", "0", *where, "-f", "markdown")
    html = MarkdownIt("commonmark").enable("table").render(out)
    assert html.count("<table>") == 2
    assert [row.count("<tr>") for row in html.split("<table>")[1:]] == [2, 3]  # a head, and rows
    _, out, _ = command("show", "made", "0", *where, "-f", "json")
    assert [row["fold"] for row in json.loads(out)] == [0, 1]


@pytest.mark.parametrize("origin", ORIGINS, ids=lambda origin: origin.column)
def test_exported_tables_carry_it_and_hold_no_formula(
    tmp_path: Path, command: Command, origin: Origin
) -> None:
    made = made_study(tmp_path, synthetic=origin.synthetic, oracle=origin.oracle, name="=s")
    add_look(made, 0, (MMCAF_SCORES > 0.5).astype(int), MMCAF_SCORES)
    out = tmp_path / "out"
    assert command("export", "=s", "--out", str(out), "--root", str(tmp_path))[0] == 0
    heights = {"trials": 1, "metrics": 2, "predictions": 43, "confirmations": 0, "evaluations": 1}
    for name, height in heights.items():
        with (out / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert [row["origin"] for row in rows] == [origin.column] * height
    trial = next(csv.DictReader(io.StringIO((out / "trials.csv").read_text("utf-8"))))
    assert trial["started"] == "2026-01-01T00:00:00+00:00"
    assert float(trial["value"]) == made.trial(0)["value"]


def test_a_terminal_is_told_nothing_by_what_a_study_is_called(
    tmp_path: Path, command: Command
) -> None:
    hostile = "a\x1b[2Jb\x9b\u202e\nQ"
    source = Source(study=hostile, way="enqueue", trials=3, searched=("c000",))
    made_study(tmp_path, name=hostile, synthetic=True, sources=[source])
    for how in (*PEOPLE, *MACHINES):
        for arguments in (["ls"], ["compare", hostile], ["best", hostile]):
            code, out, err = command(*arguments, "--root", str(tmp_path), "-f", how)
            assert code == 0
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", out + err)
            assert how in MACHINES or not re.search("\u202e|^Q", out, re.MULTILINE)


def test_the_report_of_a_cohort_is_one_document(cohort: Cohort, command: Command) -> None:
    code, out, err = command("data", "show", str(cohort.folder))
    assert code == 0
    assert json.loads(out)["origin"] == "SYNTHETIC"
    assert "SYNTHETIC DATA" in err
