"""The commands that only look: what is on stdout, what on stderr, with which exit code."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mmcaf.stats.areas import auroc
from mmstudy.storage.origin import Origin
from mmstudy.study import Study
from support.made_study import MMCAF_LABELS, MMCAF_SCORES, add_look, made_study

Command = Callable[..., tuple[int, str, str]]
LOW = np.random.default_rng(0).permutation(MMCAF_SCORES)
FOLDS = np.arange(len(MMCAF_LABELS)) % 2  # as `made_study` deals them
SYNTHETIC = Origin(synthetic=True).sentence


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two trials; number 1 is the better."""
    return made_study(tmp_path, scores=[LOW, MMCAF_SCORES], name="s")


@pytest.fixture
def ask(command: Command, tmp_path: Path) -> Command:
    return lambda *arguments: command(*arguments, "--root", str(tmp_path))


def test_ls_has_a_row_per_study(ask: Command, study: Study, tmp_path: Path) -> None:
    made_study(tmp_path, name="other", synthetic=True, oracle=True)
    code, out, _ = ask("ls", "-f", "json")
    rows = json.loads(out)
    assert code == 0
    assert [(row["study"], row["origin"], row["location"]) for row in rows] == [
        ("other", "SYNTHETIC ORACLE", "oracle"),
        ("s", "real", "tiling"),
    ]
    assert (rows[1]["complete"], rows[1]["trial"], rows[1]["live"]) == (2, 1, False)
    assert rows[1]["best"] == pytest.approx(auroc(MMCAF_LABELS, MMCAF_SCORES, FOLDS))
    assert (rows[1]["n"], rows[1]["set_aside"]) == (42, 1)


def test_ls_names_the_broken_one_and_goes_on(ask: Command, study: Study, tmp_path: Path) -> None:
    broken = made_study(tmp_path, name="broken")
    broken.folder.trial(0).write_bytes(b"")
    code, out, err = ask("ls", "-f", "json")
    assert (code, [row["study"] for row in json.loads(out)]) == (0, ["s"])
    assert err.startswith("broken cannot be read. Cannot read ")
    assert "00000.parquet" in err


def test_a_root_without_studies_says_how_to_begin_one(ask: Command, tmp_path: Path) -> None:
    code, out, err = ask("ls")
    assert (code, out) == (0, "nothing\n")
    assert f"There is no study in {tmp_path}" in err


def test_trials_come_best_first_without_what_machines_want(ask: Command, study: Study) -> None:
    code, out, _ = ask("trials", "s", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert [row["number"] for row in rows] == ["1", "0"]
    assert "origin" in rows[0]
    assert not {"seed", "versions", "host", "started"} & rows[0].keys()


def test_a_study_may_be_named_by_its_folder(command: Command, study: Study, tmp_path: Path) -> None:
    by_name = command("trials", "s", "--root", str(tmp_path))
    assert command("trials", str(tmp_path / "s")) == by_name


@pytest.mark.parametrize("how", ["table", "json", "csv"])
def test_whose_data_it_is_is_said_where_it_is_read(ask: Command, tmp_path: Path, how: str) -> None:
    made_study(tmp_path, name="fake", synthetic=True)
    _, out, err = ask("trials", "fake", "-f", how)
    assert (SYNTHETIC in out) == (how == "table")
    assert (SYNTHETIC in err) == (how != "table")
    if how == "json":
        assert {row["origin"] for row in json.loads(out)} == {"SYNTHETIC"}


def test_best_has_the_search_s_value_and_what_to_expect_of_it(ask: Command, study: Study) -> None:
    code, out, err = ask("best", "s", "-f", "json")
    (row,) = json.loads(out)
    assert code == 0
    assert row["number"] == 1
    assert row["value"] == pytest.approx(auroc(MMCAF_LABELS, MMCAF_SCORES, FOLDS))
    assert row["expected_low"] <= row["expected"] <= row["expected_high"]
    assert row["confirmed"] is None
    assert "optimistic" in err


def test_show_has_a_row_per_fold_and_epoch(ask: Command, study: Study) -> None:
    code, out, _ = ask("show", "s", "1", "-f", "json")
    rows = json.loads(out)
    assert code == 0
    assert [(row["fold"], row["epoch"]) for row in rows] == [(0, 0), (1, 0)]
    inside = np.arange(43) % 2 == 1
    expected = auroc(MMCAF_LABELS[inside], MMCAF_SCORES[inside])
    assert rows[1]["auroc"] == pytest.approx(expected)
    assert rows == json.loads(ask("show", "s", "best", "-f", "json")[1])


def test_status_counts_looks_at_the_test_set(ask: Command, study: Study) -> None:
    assert json.loads(ask("status", "s", "-f", "json")[1])[0]["test_looks"] == 0
    add_look(study, 1, np.array([1, 0]), np.array([0.8, 0.3]))
    assert json.loads(ask("status", "s", "-f", "json")[1])[0]["test_looks"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("show", "s", "7"), 1, "s has no trial 7; it has 2 trials"),
        (("show", "s", "worst"), 2, "A trial is `best` or a number, got 'worst'"),
        (("show", "s", "-1"), 2, ""),
        (("trials", "none"), 1, "No study in"),
        (("trials", "s", "-f", "yaml"), 2, "yaml"),
        (("rerun", "s", "best", "--check", "--seed", "1"), 2, "leave out --seed"),
        (("stop", "s"), 1, "No driver runs s"),
        (("nonsense", "s"), 2, "nonsense"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_an_exit_code(
    ask: Command, study: Study, arguments: tuple[str, ...], code: int, told: str
) -> None:
    found, out, err = ask(*arguments)
    assert (found, out) == (code, "")
    assert told in err
    assert "Traceback" not in err


def test_a_study_without_a_complete_trial_has_no_best(ask: Command, tmp_path: Path) -> None:
    made_study(tmp_path, scores=(), name="empty")
    code, _, err = ask("best", "empty")
    assert code == 1
    assert "empty has no complete trial yet" in err


def test_debug_shows_where_it_was(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from mmstudy.cli.main import main
    from mmstudy.errors import MMStudyError

    monkeypatch.setattr("sys.argv", ["mmstudy", "trials", "none", "--debug"])
    with pytest.raises(MMStudyError, match="No study in"):
        main()


def test_compare_is_the_same_in_every_format(ask: Command, study: Study) -> None:
    texts = {how: ask("compare", "s", "-f", how) for how in ("table", "json", "csv", "latex")}
    assert {code for code, _, _ in texts.values()} == {0}
    assert json.loads(texts["json"][1])
    for _, out, _ in texts.values():
        assert "MMCAF" in out
