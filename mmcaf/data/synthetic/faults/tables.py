"""Faults of annotations and of the clinical sheet."""

from __future__ import annotations

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
    text = of.boxes[0].read_text(encoding="utf-8")
    start, end = text.index("<xmax>"), text.index("</bndbox>")
    low = text[text.index("<xmin>") + 6 : text.index("</xmin>")]
    empty = f"<xmax>{low}</xmax><ymax>1</ymax>"
    of.boxes[0].write_text(text[:start] + empty + text[end:], encoding="utf-8")


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


def _rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new).replace(old.lower(), new), encoding="utf-8")
