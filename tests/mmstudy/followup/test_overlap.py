"""Patients are known again by id, by series and by pixels, whatever they are called."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmstudy.followup.overlap import shared_patients
from support.keyed import keyed
from support.renamed_cohort import renamed


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("strangers")
    write(folder / "dicom", SyntheticSpec(patients=6, size=48, slices=12, seed=99))
    return ingest([folder / "dicom"], keyed(folder / "cohort"), in_plane_px=48)


def test_strangers_share_nothing_though_synthetic_ids_are_alike(
    cohort: Cohort, strangers: Cohort
) -> None:
    assert set(strangers.patients["patient_id"]) & set(cohort.patients["patient_id"])
    found = shared_patients(cohort, strangers)
    assert (found.patients, set(found.by.values())) == (frozenset(), {0})


def test_an_id_of_the_collection_is_one_person(cohort: Cohort, strangers: Cohort) -> None:
    one, other = replace(cohort, synthetic=False), replace(strangers, synthetic=False)
    same = set(strangers.patients["patient_id"]) & set(cohort.patients["patient_id"])
    found = shared_patients(one, other)
    assert found.patients == same
    assert found.by == {"patient id": len(same), "series": 0, "pixels": 0}


def test_another_name_hides_nobody(cohort: Cohort, tmp_path: Path) -> None:
    found = shared_patients(cohort, renamed(cohort, tmp_path / "x"))
    assert found.by == {"patient id": 0, "series": 12, "pixels": 12}
    assert len(found.patients) == 12


@pytest.mark.parametrize("facts", [True, False])
def test_other_names_and_uids_hide_nobody(cohort: Cohort, tmp_path: Path, facts: bool) -> None:
    other = renamed(cohort, tmp_path / "x", series=True, facts=facts)
    assert shared_patients(cohort, other).by == {"patient id": 0, "series": 0, "pixels": 12}


def test_nor_does_another_size_of_slices(
    dicom_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    smaller = ingest([dicom_folder], keyed(tmp_path / "cohort"), in_plane_px=32)
    other = renamed(smaller, tmp_path / "x", series=True)
    assert shared_patients(cohort, other).by["pixels"] == 12
    bare = renamed(smaller, tmp_path / "y", series=True, facts=False)
    assert shared_patients(cohort, bare).by["pixels"] == 0  # nothing is left to compare


def test_one_patient_among_strangers_is_found(
    cohort: Cohort, strangers: Cohort, tmp_path: Path
) -> None:
    other = renamed(cohort, tmp_path / "x", series=True)
    alone = replace(other, patients=other.patients.head(1))
    assert shared_patients(cohort, alone).patients == {"X0000"}
    assert shared_patients(strangers, alone).patients == frozenset()
