"""A tree that carries every fault at once: each ends in its code, and nobody else is touched."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.rules import CODES
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.faults.strike import FAULTS, patients_needed, strike
from mmcaf.data.synthetic.write import SyntheticSpec, write
from mmcaf.data.volumes import VolumeSpec, open_volumes

SIDE = 32
# What differs between two runs of one cohort, or holds UIDs that faults made new.
OWN = ("case", "volume", "series_uid", "study_uid", "patient_id", "n_alternatives", "n_phases")
UNREACHED = {
    "W_SERIES_INCOMPLETE",  # of the download's own list, which a synthetic tree lacks
    "W_KERNEL",  # needs two series of a patient; see test_which_series
    "E_NO_ACCESS",  # what root may not read either is hard to make; see test_discovery
}


@dataclass(frozen=True)
class Struck:
    victims: dict[str, str]
    plain: Cohort
    cohort: Cohort
    files: pl.DataFrame
    report: dict[str, Any]
    n_files: int

    def row(self, cohort: Cohort, patient: str) -> dict[str, Any]:
        return cohort.patients.row(by_predicate=pl.col("patient_id") == patient, named=True)

    def codes_of(self, fault: str) -> set[str]:
        """Every code of the patient's files, the patient, or the patient's row."""
        name = self.victims[fault]
        aliases = {"a_patient_under_two_ids": "A02", "a_small_cell_carcinoma": "B0001"}
        others = {
            "a_row_without_images": "A0996",
            "an_annotation_copied_to_another_folder": "Annotation/A0998",
            "an_annotation_in_another_patients_folder": "Annotation/A0997",
            "two_annotators": "Annotation/A0995",
        }
        names = [name, aliases.get(fault, name), others.get(fault, name)]
        here = self.files.filter(pl.col("path").str.contains_any(names))
        found = set(here["verdict"].drop_nulls()) | set(here["reason"].drop_nulls())
        flags = self.cohort.patients.filter(pl.col("patient_id").is_in(names))["qc_flags"]
        left_out = [e["reason"] for e in self.report["excluded"] if e["patient_id"] in names]
        return found | set(flags.explode().drop_nulls()) | set(left_out)


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Struck:
    folder = tmp_path_factory.mktemp("faults")
    tree, spec = (
        folder / "tree",
        SyntheticSpec(patients=patients_needed(), size=SIDE, slices=14, seed=3),
    )
    write(tree, spec)
    plain = ingest([tree], folder / "plain", in_plane_px=SIDE, workers=1)
    victims = strike(tree)
    found = ingest([tree], folder / "struck", in_plane_px=SIDE, workers=1)
    return Struck(
        victims=victims,
        plain=plain,
        cohort=found,
        files=pl.read_parquet(found.folder / "instances.parquet"),
        report=json.loads((found.folder / "ingest_report.json").read_text()),
        n_files=sum(
            not path.is_dir() or path.is_symlink() or not any(path.iterdir())
            for path in tree.rglob("*")
        ),
    )


@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if fault.code])
def test_each_fault_ends_in_its_code(struck: Struck, fault: str) -> None:
    assert FAULTS[fault].code in struck.codes_of(fault)


@pytest.mark.parametrize("fault", [name for name, fault in FAULTS.items() if not fault.code])
def test_a_peculiarity_changes_nothing(struck: Struck, fault: str) -> None:
    name = struck.victims[fault]
    before, after = struck.row(struck.plain, name), struck.row(struck.cohort, name)
    assert {k: v for k, v in before.items() if k not in OWN} == {
        k: v for k, v in after.items() if k not in OWN
    }
    spec = VolumeSpec(SIDE)
    first = open_volumes(struck.plain, spec)[before["case"]]
    second = open_volumes(struck.cohort, spec)[after["case"]]
    if fault == "padding_outside_the_field_of_view":
        assert (second[:, :3, :3] == -1024).all()
        first, second = first[:, 3:], second[:, 3:]
    assert (first == second).all()


def test_patients_without_a_fault_are_untouched(struck: Struck) -> None:
    good = ~pl.col("patient_id").is_in([*struck.victims.values(), "A0251"])
    before, after = (
        cohort.patients.filter(good).drop("case") for cohort in (struck.plain, struck.cohort)
    )
    assert before.height == struck.plain.patients.height - len(struck.victims)
    assert before.equals(after)


def test_every_file_is_counted_once(struck: Struck) -> None:
    assert sum(struck.report["files"].values()) == struck.report["n_files"] == struck.n_files


def test_every_code_there_is_has_its_fault(struck: Struck) -> None:
    excluded = {each["reason"] for each in struck.report["excluded"]}
    seen = set(struck.report["files"]) | set(struck.report["flags"]) | excluded
    assert set(CODES) - seen == UNREACHED
    assert seen - {"chosen", "alternative", "annotation", "sheet"} <= set(CODES)


def test_copies_of_boxes_are_no_second_lesion(struck: Struck) -> None:
    name = struck.victims["an_annotation_copied_to_another_folder"]
    columns = ("lesion_n_slices", "max_diam_mm", "box_cx", "lesion_hu")
    before, after = struck.row(struck.plain, name), struck.row(struck.cohort, name)
    assert [before[column] for column in columns] == [after[column] for column in columns]


def test_a_pet_series_is_known_by_its_patient(struck: Struck) -> None:
    with_pet = struck.cohort.patients.filter("has_pet")
    assert with_pet["patient_id"].to_list() == [struck.victims["a_pet_sibling"]]
    assert with_pet["pet_same_frame"].to_list() == [True]


def test_the_latest_of_three_phases_is_chosen_and_the_others_kept(struck: Struck) -> None:
    row = struck.row(struck.cohort, struck.victims["three_acquisitions_share_a_series"])
    assert (row["n_phases"], row["n_alternatives"]) == (3, 2)


def test_too_small_a_tree_is_told_what_it_needs(dicom_folder: Path) -> None:
    with pytest.raises(ValueError, match=f"write at least {patients_needed()} patients"):
        strike(dicom_folder)
