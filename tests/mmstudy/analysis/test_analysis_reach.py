"""What is said of a probe: in rows, in words, beside importance."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from mmcaf.files.atomic import write_json
from mmstudy.analysis.reach import foreign_probe, meaning, probed, probed_rows, reach_columns
from mmstudy.errors import MMStudyError
from mmstudy.storage.schema import ProbeRow
from mmstudy.study import open_study
from support.dashboard_studies import large_study
from support.made_probe import PROBE

BARE = ProbeRow(setting="a", low="1", high="2")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (PROBE.rows[0], "mostly finds noise"),
        (PROBE.rows[1], "the same way at every seed"),
        (
            msgspec.structs.replace(PROBE.rows[1], steady_low=0.0),
            "cannot be told from what a seed does",
        ),
        (msgspec.structs.replace(BARE, share=0.0, share_high=0.0), "nothing at all"),
        (msgspec.structs.replace(BARE, share=0.3), "too few seeds"),
        (msgspec.structs.replace(BARE, fault="the training diverged"), "the training diverged"),
        (BARE, "not even by another seed"),
    ],
)
def test_each_setting_is_told_in_words(row: ProbeRow, words: str) -> None:
    assert words in meaning(row)


def test_rows_begin_with_what_moves_most_and_carry_their_numbers() -> None:
    rows = probed_rows(PROBE)
    assert [row["setting"] for row in rows] == ["train.lr", "train.momentum"]
    assert {(row["n"], row["seeds"], row["epochs"]) for row in rows} == {(20, 5, 6)}
    text = " ".join(probed(PROBE))
    assert "20 held-out patients" in text
    assert "after 6 epochs" in text
    assert "train.lr 0.001, train.momentum 0.9" in text


def test_importance_has_a_column_for_what_a_probe_says() -> None:
    rows = [{"setting": "train.lr", "fanova": 0.4}, {"setting": "model.heads", "fanova": 0.6}]
    first, second = reach_columns(rows, PROBE)
    assert (first["fanova"], first["moves"]) == (0.4, 2.25)
    assert second["moves"] is None
    assert first.keys() == second.keys()
    assert reach_columns(rows, None) == rows
    assert [row["setting"] for row in reach_columns(None, PROBE)] == ["train.lr", "train.momentum"]


def test_a_probe_of_other_patients_or_another_spec_is_told(tmp_path: Path) -> None:
    study = open_study(large_study(tmp_path, "s", trials=2, epochs=2).root)
    assert study.probe() is None
    assert foreign_probe(study) is None
    write_json(study.folder.probe, msgspec.to_builtins(PROBE))
    assert study.probe() == PROBE
    assert "of other patients" in str(foreign_probe(study))
    ours = msgspec.structs.replace(PROBE, cohort_digest=study.about.cohort_digest)
    write_json(study.folder.probe, msgspec.to_builtins(ours))
    assert "of another spec" in str(foreign_probe(study))
    same = msgspec.structs.replace(ours, spec=study.about.spec.digest(epochs=False))
    write_json(study.folder.probe, msgspec.to_builtins(same))
    assert foreign_probe(study) is None


def test_a_damaged_probe_is_an_error_that_names_the_field(tmp_path: Path) -> None:
    study = open_study(large_study(tmp_path, "s", trials=2, epochs=2).root)
    study.folder.probe.write_text(json.dumps(msgspec.to_builtins(PROBE) | {"n": -1}))
    with pytest.raises(MMStudyError, match=r"probe\.json"):
        study.probe()
