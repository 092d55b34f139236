"""Cases of a real cohort: their slices, windows and boxes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.volumes import VolumeSpec, open_volumes
from mmstudy.analysis.cases import HU_WINDOWS, case_slices
from mmstudy.errors import MMStudyError
from mmstudy.study import Study, open_study

OLD = Path(__file__).parents[2] / "fixtures" / "study_v1"


@pytest.fixture
def study(tmp_path: Path, cohort: Cohort) -> Study:
    about = json.loads((OLD / "study.json").read_text())
    about |= {"cohort": "../cohort", "cohort_digest": cohort.digest}
    shutil.copytree(cohort.folder, tmp_path / "cohort")
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.json").write_text(json.dumps(about))
    return open_study(tmp_path / "s")


def test_slices_are_the_volumes_own_within_the_window(study: Study, cohort: Cohort) -> None:
    row = cohort.patients.row(0, named=True)
    found = case_slices(study, row["case"], window="mediastinum", count=3)
    volume = open_volumes(cohort, VolumeSpec(cohort.in_plane_px))[row["case"]]
    low, high = HU_WINDOWS["mediastinum"]
    expected = np.clip((volume[list(found.z)].astype(float) - low) / (high - low), 0, 1) * 255
    assert np.abs(found.images - expected).max() <= 0.51
    assert found.of == len(volume)
    assert row["z_first_lesion"] == found.z[0]
    assert row["z_last_lesion"] == found.z[-1]


def test_the_box_lies_where_the_cohort_has_it(study: Study, cohort: Cohort) -> None:
    row = cohort.patients.row(0, named=True)
    box = case_slices(study, row["case"]).box
    assert box is not None
    side = cohort.in_plane_px
    assert box[0] == pytest.approx((row["box_cx"] - row["box_w"] / 2) * side)
    assert box[3] == pytest.approx((row["box_cy"] + row["box_h"] / 2) * side)


def test_another_cohort_gives_no_pictures(study: Study) -> None:
    other = Study(study.folder, replace(study.about, cohort_digest="f" * 16))
    with pytest.raises(MMStudyError, match="was begun on cohort ffff"):
        case_slices(other, "x")


def test_no_cohort_says_what_to_do(study: Study) -> None:
    lost = Study(study.folder, replace(study.about, cohort="../nowhere", cohort_digest="0"))
    with pytest.raises(MMStudyError, match="copy it to where it lay"):
        case_slices(lost, "x")


def test_an_unknown_case_is_told(study: Study) -> None:
    with pytest.raises(MMStudyError, match="has no case nobody"):
        case_slices(study, "nobody")
