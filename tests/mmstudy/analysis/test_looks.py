"""Looks at one test set are counted over all studies, wherever these lie."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from mmcaf.files.atomic import write_json
from mmcaf.files.look_notes import looks_folder
from mmstudy.analysis.looks import Looks, look_files, looks_of
from mmstudy.comparison.comparison import compare
from mmstudy.study import Study
from support.made_study import add_look, made_study

TEST = ("t1", "t2", "t3")
THEN = datetime(2026, 1, 1, tzinfo=UTC)


def looked(
    root: Path, name: str, *, at: int, test: tuple[str, ...] = TEST, trial: int = 0
) -> Study:
    """A study that looked at its test set in minute `at`."""
    study = made_study(root, name=name, test=test)
    look(study, at=at)
    return study


def look(study: Study, *, at: int) -> None:
    scores = np.array([0.9, 0.4, 0.3, 0.1])
    written = THEN + timedelta(minutes=at)
    add_look(study, 0, np.array([1, 1, 0, 0]), scores, written=written)


def test_seven_studies_that_look_at_one_test_set_are_told_as_seven(tmp_path: Path) -> None:
    studies = [looked(tmp_path, f"s{at}", at=at) for at in range(7)]
    for study in studies:  # whichever is shown
        found = looks_of(study)
        assert found.count == 7
        assert "has been looked at 7 times, in 7 studies" in found.sentence
        said = str(found.caution(0))
        assert "6 trials of 6 other studies" in said
        assert "makes it a validation set" in said
    shown = compare(studies[3])
    assert {verdict.outcome for verdict in shown.against_paper} == {"untested"}
    assert all("6 other studies" in verdict.sentence for verdict in shown.against_paper)
    assert any("looked at 7 times, in 7 studies" in note for note in shown.notes)
    assert shown.as_dict()["test_looks"] == 7


def test_a_look_at_other_patients_is_none(tmp_path: Path) -> None:
    study = looked(tmp_path, "a", at=0)
    looked(tmp_path, "b", at=1, test=("u1", "u2"))
    made_study(tmp_path, name="c", test=TEST)  # has not looked
    found = looks_of(study)
    assert (found.count, found.elsewhere, found.caution(0)) == (1, (), None)
    assert found.sentence == "The test set has been looked at 1 time."


def test_a_look_at_some_of_them_says_how_many(tmp_path: Path) -> None:
    study = looked(tmp_path, "a", at=0)
    looked(tmp_path, "b", at=1, test=("t1", "t3", "u"))
    assert "1 trial of 1 other study (b, at 2 of 3 patients)" in str(looks_of(study).caution(0))


def test_a_study_without_a_look_of_its_own_hears_of_the_others(tmp_path: Path) -> None:
    looked(tmp_path, "b", at=1)
    found = looks_of(made_study(tmp_path, name="a", test=TEST))
    assert (found.own, found.others, found.count) == ((), ("b",), 1)
    assert "looked at 1 time, in 1 study; with 1 trial of 1 other study (b)" in found.sentence


def test_a_copy_of_a_study_is_no_further_look(tmp_path: Path) -> None:
    study = looked(tmp_path, "a", at=0)
    shutil.copytree(study.folder.root, tmp_path / "copy")
    assert looks_of(study).count == 1


def test_a_study_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    study = looked(tmp_path, "a", at=0)
    looked(tmp_path, "c", at=1)
    broken, half = looked(tmp_path, "b", at=2), looked(tmp_path, "d", at=3)
    broken.folder.study.write_text("{")
    half.folder.evaluations.write_bytes(b"PAR1")
    found = looks_of(study)
    assert found.others == ("c",)
    assert found.unknown[-1] == "Those of b, d, beside this study, cannot be read."


def test_a_link_among_the_studies_is_not_followed(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    study, other = looked(tmp_path, "a", at=0), looked(tmp_path_factory.mktemp("x"), "b", at=1)
    (tmp_path / "linked").symlink_to(other.folder.root)
    assert looks_of(study).others == ()


class TestBesideTheCohort:
    def note(self, study: Study, cohort: Path, at: int) -> None:
        one = study.look(0, THEN + timedelta(minutes=at))
        plain = {"study": one.study, "trial": 0, "written": one.written, "cases": [*one.cases]}
        write_json(looks_folder(cohort) / f"{at}.json", plain)

    def test_looks_of_other_roots_and_of_deleted_studies_count(self, tmp_path: Path) -> None:
        cohort, study = tmp_path / "cohort", looked(tmp_path / "a", "s", at=0)
        elsewhere = looked(tmp_path / "b", "gone", at=1)
        for at, one in enumerate((study, elsewhere)):
            self.note(one, cohort, at)
        shutil.rmtree(elsewhere.folder.root)
        found = looks_of(study, cohort)
        assert (found.count, found.others, found.unknown) == (2, ("gone",), ())

    def test_a_study_begun_anew_under_its_name_does_not_lose_its_looks(
        self, tmp_path: Path
    ) -> None:
        cohort, study = tmp_path / "cohort", looked(tmp_path / "a", "s", at=0)
        self.note(study, cohort, 0)
        shutil.rmtree(study.folder.root)
        again = looks_of(looked(tmp_path / "a", "s", at=5), cohort)
        assert (again.count, again.others) == (2, ("s",))

    def test_damaged_notes_hide_no_look(self, tmp_path: Path) -> None:
        cohort, study = tmp_path / "cohort", looked(tmp_path / "a", "s", at=0)
        self.note(looked(tmp_path / "b", "other", at=1), cohort, 1)
        for name in ("0", "2"):
            (looks_folder(cohort) / f"{name}.json").write_text("{}")
        found = looks_of(study, cohort)
        assert (found.count, found.others) == (2, ("other",))
        first, more = found.unknown
        assert "0.json is damaged" in first
        assert more == "1 further note cannot be read either."

    def test_where_it_cannot_be_read_that_is_said(self, tmp_path: Path) -> None:
        study, cohort = looked(tmp_path, "a", at=0), tmp_path / "cohort"
        (why,) = looks_of(study).unknown
        assert "does not say where its cohort is" in why
        (why,) = looks_of(study, cohort).unknown
        assert "give it with --cohort" in why
        looks_folder(cohort).mkdir(parents=True)
        (looks_folder(cohort) / "1.json").write_text("{}")
        (why,) = looks_of(study, cohort).unknown
        assert "1.json is damaged" in why
        shown = compare(study)
        assert any("Looks of studies elsewhere may be missing" in note for note in shown.notes)


def test_without_a_test_set_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert looks_of(made_study(tmp_path, test=())) == Looks(own=())


def test_whoever_keeps_an_answer_knows_when_it_is_old(tmp_path: Path) -> None:
    study, other = looked(tmp_path, "a", at=0), made_study(tmp_path, name="b", test=TEST)
    assert look_files(study) == []
    look(other, at=1)
    assert look_files(study) == [other.folder.evaluations]
