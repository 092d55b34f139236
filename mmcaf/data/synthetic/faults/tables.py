"""Faults of annotations and of the clinical sheet."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from mmcaf.data.synthetic.faults.victim import Victim, fault, setting

_BOMB = """<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<annotation>&b;</annotation>"""


@fault("W_LABEL")
def _a_label_q(of: Victim) -> None:
    _rewrite(of.boxes[0], f"<name>{of.name[0]}</name>", "<name>Q</name>")


@fault("W_BOX_EMPTY")
def _a_box_without_area(of: Victim) -> None:
    _draw(of.boxes[0], xmin=9, xmax=9)


@fault("W_BOX_SWAPPED")
def _a_box_with_its_corners_swapped(of: Victim) -> None:
    _draw(of.boxes[0], xmin=9, xmax=2)


@fault("W_BOX_OUTSIDE")
def _a_box_outside_its_slice(of: Victim) -> None:
    _draw(of.boxes[0], xmin=9_000, xmax=9_020)


@fault("W_BOX_CLIPPED")
def _a_box_over_the_border(of: Victim) -> None:
    _draw(of.boxes[0], xmax=9_000)


@fault("W_BOX_SIZE")
def _an_annotation_of_a_larger_image(of: Victim) -> None:
    _draw(of.boxes[0], width=1024, height=1024)


@fault("E_XML_NUMBER")
def _a_corner_with_a_decimal_comma(of: Victim) -> None:
    _draw(of.boxes[0], xmin="1,5")


@fault("W_SECOND_XML")
def _two_annotators(of: Victim) -> None:
    other = of.tree / "Annotation" / "A0995"
    other.mkdir()
    shutil.copy(of.boxes[0], other)
    _draw(other / of.boxes[0].name, xmin=1)


@fault("W_BOX_LOST")
def _an_annotation_cut_short(of: Victim) -> None:
    of.boxes[0].write_text("<annotation>", encoding="utf-8")


@fault("E_XML_PARSE")
def _a_broken_annotation(of: Victim) -> None:
    of.boxes[0].write_text("\x01 no XML", encoding="utf-8")


@fault("E_XML_PARSE")
def _an_xml_bomb(of: Victim) -> None:
    of.boxes[0].write_text(_BOMB, encoding="utf-8")


@fault("E_XML_SIZE")
def _an_annotation_of_a_megabyte(of: Victim) -> None:
    of.boxes[0].write_text(" " * 2**20, encoding="utf-8")


@fault("E_XML_NAME")
def _an_annotation_without_uid(of: Victim) -> None:
    shutil.copy(of.boxes[0], of.boxes[0].with_name("lesion.xml"))


@fault("W_NO_SLICE")
def _an_annotation_of_nothing(of: Victim) -> None:
    shutil.copy(of.boxes[0], of.boxes[0].with_name("1.2.3.4.5.6.7.8.9.xml"))


@fault("W_DUP_XML")
def _an_annotation_copied_to_another_folder(of: Victim) -> None:
    other = of.tree / "Annotation" / "A0998"
    other.mkdir()
    shutil.copy(of.boxes[0], other)


@fault("W_FOLDER_SHIFT")
def _an_annotation_in_another_patients_folder(of: Victim) -> None:
    other = of.tree / "Annotation" / "A0997"
    other.mkdir()
    of.boxes[0].rename(other / of.boxes[0].name)


@fault("W_ALIAS")
def _a_patient_under_two_ids(of: Victim) -> None:
    folder = of.slices[0].parents[2]
    of.edit(setting(PatientID="Lung_Dx-A0251"))
    folder.rename(folder.with_name("Lung_Dx-A0251"))
    (of.tree / "Annotation" / of.name).rename(of.tree / "Annotation" / "A0266")
    of.sheet[of.name]["NewPatientID"] = "A0266"


@fault("W_STAGE")
def _a_metastasis_stage_of_three(of: Victim) -> None:
    of.sheet[of.name]["Ｍ-Stage"] = "3"


@fault("W_CELL")
def _an_age_in_months(of: Victim) -> None:
    of.sheet[of.name]["Age"] = "700 months"


@fault("W_UNKNOWN")
def _a_tumour_of_unknown_stage(of: Victim) -> None:
    of.sheet[of.name]["T-Stage"] = "TX"


@fault("W_SHEET_CONFLICT")
def _a_second_row_with_another_weight(of: Victim) -> None:
    of.sheet[f"{of.name} again"] = of.sheet[of.name] | {"weight (kg)": 120}


@fault("E_SHEET")
def _a_dictionary_named_like_the_sheet(of: Victim) -> None:
    path = of.tree / f"clinical-{of.name}.csv"
    path.write_text("name,meaning\nAge,years\n", encoding="utf-8")


@fault(None)
def _cells_spelled_in_words(of: Victim) -> None:
    row = of.sheet[of.name]
    row["Sex"] = {"M": "male", "F": "Female"}[row["Sex"]]
    row["Smoking History"] = ("never", "ex-smoker")[row["Smoking History"]]
    row |= {"NewPatientID": f" lung_dx-{of.name.lower()}", "T-Stage": f"cT{row['T-Stage']}"}


@fault("W_NO_CLINICAL_ROW")
def _no_row(of: Victim) -> None:
    del of.sheet[of.name]


@fault("E_NO_IMAGES")
def _a_row_without_images(of: Victim) -> None:
    of.sheet["A0996"] = of.sheet[of.name] | {"NewPatientID": "A0996"}


@fault("W_SEX")
def _another_sex(of: Victim) -> None:
    row = of.sheet[of.name]
    row["Sex"] = "F" if row["Sex"] == "M" else "M"


@fault("W_AGE")
def _another_age(of: Victim) -> None:
    of.sheet[of.name]["Age"] = 30


@fault("W_NO_BOX")
def _no_annotation(of: Victim) -> None:
    for path in of.boxes:
        path.unlink()


def _draw(path: Path, **values: object) -> None:
    """Write other values into the elements of these names."""
    text = path.read_text(encoding="utf-8")
    for name, value in values.items():
        text = re.sub(f"<{name}>[^<]*<", f"<{name}>{value}<", text)
    path.write_text(text, encoding="utf-8")


def _rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new).replace(old.lower(), new), encoding="utf-8")
