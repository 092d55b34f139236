"""Every patient who is seen is in one list, with a reason that is true."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcaf.data.ingest.index import INSTANCES
from mmcaf.data.ingest.patients.whereabouts import Whereabouts, whereabouts
from mmcaf.data.ingest.rules import CODES

JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"


def files(*rows: dict[str, Any]) -> pl.DataFrame:
    empty = {"kind": "image", "verdict": None, "path": "1.dcm", "syntax": None}
    schema = {**INSTANCES, "verdict": pl.String, "syntax": pl.String}
    return pl.DataFrame([empty | row for row in rows], schema=schema)


def times(n: int, path: str = "Lung_Dx-A0001/1.dcm", **row: Any) -> list[dict[str, Any]]:
    return [{"path": path, **row}] * n


def where(*rows: dict[str, Any], sheet: tuple[str, ...] = (), **more: Any) -> Whereabouts:
    return whereabouts(files(*rows), **({"cohort": [], "sheet": sheet, "decided": {}} | more))


def reasons(found: Whereabouts) -> dict[str, tuple[str, int]]:
    rows = found.excluded.select("patient_id", "reason", "files").iter_rows()
    return {patient: (reason, count) for patient, reason, count in rows}


def test_the_commonest_code_of_the_files_is_the_reason() -> None:
    rows = [
        *times(24, patient_id="A0001", reason="E_TS_UNSUPPORTED", syntax=JPEG_LOSSLESS),
        *times(3, patient_id="A0001", reason="E_PIXEL_LEN"),
    ]
    (row,) = where(*rows, sheet=("A0001",)).excluded.to_dicts()
    assert row["reason"] == "E_TS_UNSUPPORTED"
    assert (row["files"], row["of_files"]) == (24, 27)
    told = "24 files are JPEG Lossless: `pip install mmcaf-study[codecs]` reads them."
    assert row["remedy"] == told


def test_files_that_are_no_slices_do_not_hide_why_the_ct_is_not_used() -> None:
    pet = times(300, patient_id="A0001", reason="E_SOP_CLASS")
    found = where(*pet, *times(24, patient_id="A0001", verdict="E_FEW_SLICES"))
    assert reasons(found) == {"A0001": ("E_FEW_SLICES", 24)}
    assert reasons(where(*pet)) == {"A0001": ("E_SOP_CLASS", 300)}


def test_refused_files_without_a_tag_belong_to_the_folders_patient() -> None:
    rows = times(5, "x/lung_dx-a0007/study/1.dcm", reason="E_TS_UNSUPPORTED")
    assert reasons(where(*rows)) == {"A0007": ("E_TS_UNSUPPORTED", 5)}


def test_a_foreign_tag_in_a_patients_folder_names_that_patient() -> None:
    found = where(*times(5, reason="E_PATIENT_ID", study_uid="1.2"))
    assert reasons(found) == {"A0001": ("E_PATIENT_ID", 5)}
    assert (found.unknown_files, found.unknown_studies) == (0, 0)


def test_foreign_tags_in_no_patients_folder_are_counted() -> None:
    rows = [
        {"path": f"{n}/1.dcm", "reason": "E_PATIENT_ID", "study_uid": f"1.{n % 2}"}
        for n in (1, 2, 3)
    ]
    found = where(*rows)
    assert (found.unknown_files, found.unknown_studies) == (3, 2)
    assert found.excluded.is_empty()


def test_a_contradiction_of_tag_and_folder_names_both() -> None:
    rows = times(4, patient_id="A0002", reason="E_PID_FOLDER_MISMATCH")
    both = ("E_PID_FOLDER_MISMATCH", 4)
    assert reasons(where(*rows)) == {"A0001": both, "A0002": both}


def test_who_is_only_named_has_no_images() -> None:
    found = where(
        {"kind": "annotation", "path": "Annotation/A0003/1.2.3.4.5.6.xml"},
        {"kind": "annotation", "path": "Annotation/A0266/1.2.3.4.5.7.xml"},  # by the alias
        {"path": "A0005/1.dcm", "patient_id": "A0001"},  # used, whatever its folder is called
        sheet=("A0004",),
        cohort=["A0001"],
    )
    names = ("A0003", "A0004", "A0005", "A0251")
    assert reasons(found) == dict.fromkeys(names, ("E_NO_IMAGES", 0))


def test_closed_and_empty_folders_name_their_patient() -> None:
    found = where(
        {"kind": "folder", "path": "data/Lung_Dx-A0008", "reason": "E_NO_ACCESS"},
        {"kind": "folder", "path": "data/Lung_Dx-A0009/study", "reason": "E_EMPTY"},
    )
    assert reasons(found) == {"A0008": ("E_NO_ACCESS", 1), "A0009": ("E_EMPTY", 1)}
    assert found.excluded["of_files"].to_list() == [0, 0]


def test_who_has_files_that_cannot_be_read_is_told_also_in_the_cohort() -> None:
    found = where(
        {"path": "Lung_Dx-A0001/1.dcm", "reason": "E_NO_ACCESS"},
        {"path": "Lung_Dx-A0002/1.dcm", "reason": "E_EMPTY"},
        {"kind": "annotation", "path": "Annotation/A0266/1.xml", "reason": "E_EMPTY"},
        {"kind": "folder", "path": "Annotation/A0003", "reason": "E_EMPTY"},  # has none, not lost
        {"kind": "folder", "path": "Annotation/A0004", "reason": "E_NO_ACCESS"},
        {"path": "Lung_Dx-A0005/1.dcm", "reason": "E_SOP_CLASS"},
        cohort=["A0001"],
    )
    assert found.lacking == {"A0001", "A0002", "A0251", "A0004"}


def test_what_was_decided_of_the_patient_goes_before_the_files() -> None:
    rows = [
        *times(9, patient_id="A0001", verdict="E_FEW_SLICES"),
        *times(2, patient_id="A0001", verdict="E_HU"),
    ]
    assert reasons(where(*rows, decided={"A0001": "E_HU"})) == {"A0001": ("E_HU", 2)}


@pytest.mark.parametrize("cohort", [["A0001", "A0001"], ["A0002"]])
def test_a_cohort_that_holds_somebody_twice_or_whom_nothing_names_is_a_fault(
    cohort: list[str],
) -> None:
    with pytest.raises(RuntimeError, match="fault of the program"):
        where({"patient_id": "A0001"}, cohort=cohort)


IDS = st.sampled_from([f"{letter}000{n}" for letter in "ABG" for n in range(3)])
FILE = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["image", "annotation", "companion", "folder", "sheet"]),
        "path": st.tuples(st.sampled_from(["", "x/"]), IDS, st.sampled_from(["", "/s"])).map(
            lambda parts: f"{parts[0]}Lung_Dx-{parts[1]}{parts[2]}/1.dcm"
        )
        | st.just("1.dcm"),
        "patient_id": st.none() | IDS,
        "reason": st.none() | st.sampled_from(sorted(CODES)),
        "verdict": st.none() | st.sampled_from(sorted(CODES)),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FILE, max_size=12), st.lists(IDS, max_size=4), st.data())
def test_everybody_is_in_one_list_whatever_was_found(
    rows: list[dict[str, Any]], sheet: list[str], data: st.DataObject
) -> None:
    everybody = where(*rows, sheet=tuple(sheet))
    tags = {row["patient_id"] for row in rows if row["kind"] not in ("annotation", "sheet")} - {
        None
    }
    assert everybody.seen >= tags | set(sheet)
    cohort = (
        data.draw(st.sets(st.sampled_from(sorted(everybody.seen)))) if everybody.seen else set()
    )
    found = where(*rows, sheet=tuple(sheet), cohort=sorted(cohort))
    excluded = found.excluded["patient_id"].to_list()
    assert sorted([*excluded, *cohort]) == sorted(found.seen) == sorted(everybody.seen)
    assert set(found.excluded["reason"]) <= set(CODES)
