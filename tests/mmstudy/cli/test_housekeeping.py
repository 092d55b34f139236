"""Gather, take elsewhere, delete, check the machine: what is done, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from mmstudy.storage.lock import driver_lock
from mmstudy.study import Study
from support.broken_study import BREAKS
from support.made_study import MMCAF_SCORES, made_study

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return made_study(tmp_path / "root", scores=[MMCAF_SCORES, 1 - MMCAF_SCORES], name="s")


@pytest.fixture
def ask(command: Command, tmp_path: Path) -> Command:
    return lambda *arguments: command(*arguments, "--root", str(tmp_path / "root"))


def test_tables_are_exported_as_they_are_with_whose_data_they_are(
    ask: Command, study: Study, tmp_path: Path
) -> None:
    code, out, _ = ask("export", "s", "--out", str(tmp_path / "new" / "csv"))
    assert code == 0
    folder = tmp_path / "new" / "csv"
    assert sorted(path.stem for path in folder.iterdir()) == [
        "confirmations",
        "evaluations",
        "metrics",
        "predictions",
        "trials",
    ]
    predictions = pl.read_csv(folder / "predictions.csv")
    assert predictions.height == 86
    assert predictions["origin"].unique().to_list() == ["real"]
    stored = study.predictions().sort("number", "case")["probability"].to_list()
    assert predictions.sort("number", "case")["probability"].to_list() == pytest.approx(stored)
    assert "86" in out


def test_exporting_twice_gives_the_newer(ask: Command, study: Study, tmp_path: Path) -> None:
    out = tmp_path / "csv"
    ask("export", "s", "--out", str(out))
    (out / "trials.csv").write_text("old")
    ask("export", "s", "--out", str(out))
    assert pl.read_csv(out / "trials.csv").height == 2


def test_gathered_tables_say_the_same(ask: Command, study: Study, tmp_path: Path) -> None:
    before = study.trials(), study.metrics(), study.predictions()
    code, out, _ = ask("compact", "s")
    assert code == 0
    assert "trials_moved" in out
    assert not list(study.folder.trials.glob("*.parquet"))
    after = study.trials(), study.metrics(), study.predictions()
    assert all(a.equals(b) for a, b in zip(before, after, strict=True))
    assert ask("compact", "s")[1].split()[-1] == "0"


def test_a_study_is_deleted_when_it_is_said_twice(ask: Command, study: Study) -> None:
    code, out, err = ask("rm", "s", "--yes")
    assert (code, out) == (0, "")
    assert "Deleted s, 2 trials." in err
    assert not study.folder.root.exists()


@pytest.mark.parametrize("what", BREAKS)
def test_a_damaged_study_is_deleted_when_that_is_said(
    what: str, ask: Command, study: Study
) -> None:
    BREAKS[what](study.folder.root)
    code, _, err = ask("rm", "s", "--yes")
    if code == 0:  # nothing that is damaged had to be read
        return
    assert "To delete the study all the same: --damaged." in err
    assert study.folder.root.is_dir()
    code, _, err = ask("rm", "s", "--damaged", "--yes")
    assert (code, err) == (0, "Deleted s, no trial that can be read.\n")
    assert not study.folder.root.exists()


def test_what_a_study_did_not_make_is_never_deleted_with_it(
    ask: Command, study: Study, tmp_path: Path
) -> None:
    """Whatever its files say of where they lie."""
    study.folder.study.unlink()
    study.folder.trial(0).write_bytes(b"")
    (study.folder.root / "thesis.tex").write_text("years of work")
    code, _, err = ask("rm", "s", "--damaged", "--yes")
    assert (code, "holds 'thesis.tex', which is of no study" in err) == (2, True)
    assert study.folder.trial(1).is_file()
    (tmp_path / "root" / "photos").mkdir()
    (tmp_path / "root" / "photos" / "1.png").touch()
    code, _, err = ask("rm", "photos", "--damaged", "--yes")
    assert (code, "is no study" in err) == (2, True)
    assert (tmp_path / "root" / "photos" / "1.png").is_file()


def test_without_yes_it_asks_and_does_nothing(
    ask: Command, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    code, _, err = ask("rm", "s")
    assert code != 0
    assert "with 2 trials?" in err
    assert study.folder.study.is_file()


@pytest.mark.parametrize("arguments", [("rm", "s", "--yes"), ("compact", "s")])
def test_a_study_that_runs_is_left_alone(
    ask: Command, study: Study, arguments: tuple[str, ...]
) -> None:
    with driver_lock(study.folder):
        code, out, err = ask(*arguments)
    assert (code, out) == (2, "")
    assert "Another driver runs the study s" in err
    assert study.trials().height == 2


def test_doctor_names_the_command_that_adds_decoders() -> None:
    code = (
        "import sys; sys.modules['gdcm'] = None; sys.argv = ['mmstudy', 'doctor', '-f', 'json']\n"
        "from mmstudy.cli.main import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    rows = {row["what"]: row["ok"] for row in json.loads(done.stdout)}
    assert not rows["DICOM: JPEG Lossless"]
    assert rows["DICOM: RLE"]
    assert "pip install 'mmcaf-study[codecs]' adds its decoders" in done.stderr


def test_doctor_says_what_is_there_and_what_is_not(
    ask: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setenv("CHROMIUM", "/opt/chromium")
    code, out, err = ask("doctor", "-f", "json")
    rows = {row["what"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["Ray"]["found"] == "head:6379"
    assert rows["browser"]["found"] == "/opt/chromium"
    assert rows["torch"]["ok"]
    assert rows["DICOM: JPEG Lossless"] == {
        "what": "DICOM: JPEG Lossless",
        "found": "gdcm",
        "ok": True,
    }
    assert "codecs" not in err
    bad = [what for what, row in rows.items() if not row["ok"]]
    assert all(what in err for what in bad)
    assert ("Not there" in err) == bool(bad)
