"""One spelling of patient ids for tags, folders, the sheet and annotation folders."""

from __future__ import annotations

import pytest

from mmcaf.data.ingest.patients.patient_ids import folder_patients, patient_id


@pytest.mark.parametrize(
    "text",
    [
        "Lung_Dx-A9002",
        "lung_dx-a9002",
        " Lung_Dx-A9002 ",
        "LUNG_DX-A9002\0",
        "Lung-Dx_A9002",
        "lung dx a9002",
        "LungDxA9002",
        "A9002",
        "a9002",
        "A 9002",
        "A-9002",
        "\ufeffA9002",
        "Ａ９００２",  # full-width, as a spreadsheet of the collection writes its M
        "'A9002'",
    ],
)
def test_a_spelling_that_can_mean_one_patient_is_read_as_that_one(text: str) -> None:
    assert patient_id(text) == "A9002"


@pytest.mark.parametrize(
    "text",
    [None, "", "A", "A900", "A90022", "C9002", "A9002-1", "xA9002", "9002", 9002, "A90O2", "A٩٠٠٢"],
)
def test_what_may_be_another_patient_is_none(text: object) -> None:
    assert patient_id(text) is None


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("data/Lung_Dx-A9002/study/series", ("A9002",)),
        ("lung_dx-a9002", ("A9002",)),
        ("A9001/A9002", ("A9001", "A9002")),
        ("study/series", ()),
        ("", ()),
    ],
)
def test_the_folders_on_a_way_name_patients(folder: str, names: tuple[str, ...]) -> None:
    assert folder_patients(folder) == names
