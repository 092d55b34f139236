"""Inputs that were met in the field, each written as a small tree with known HU and ingested.

A case ends with the right value, or with a code on the file or the patient: never with a wrong
value and no word. The heads say where a kind was reported.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from mmcaf.data.synthetic.write import SyntheticSpec, edit_slice, write
from mmcaf.errors import DataError
from support.true_tree import Hu, Outcome, Tree, read

JPEG_LOSSLESS = UID("1.2.840.10008.1.2.4.70")
MISSING = (None, -1)
UNREADABLE = ()
"""What a cell says that nobody can read: missing, with a flag."""


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    folder = tmp_path_factory.mktemp("field") / "tree"
    write(folder, SyntheticSpec(patients=5, size=64, slices=24, seed=7))
    return Tree(folder)


@pytest.fixture(scope="module")
def as_written(clean: Tree, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What is read of the unharmed tree."""
    return read(clean, tmp_path_factory.mktemp("as-written"))


@pytest.fixture
def tree(clean: Tree, tmp_path: Path) -> Tree:
    return Tree(shutil.copytree(clean.folder, tmp_path / "tree"))


@pytest.fixture
def out(as_written: Outcome, tmp_path: Path) -> Path:
    """Where the unharmed tree was ingested to: what is harmed is read anew, the rest is known."""
    return shutil.copytree(as_written.folder, tmp_path / "out")


def small(folder: Path, patients: int) -> Tree:
    """A tree whose pictures do not matter."""
    write(folder, SyntheticSpec(patients=patients, size=64, slices=12, seed=7))
    return Tree(folder)


def assert_exact_or_said(found: Outcome, name: str, truth: Hu, before: Outcome) -> None:
    if not found.is_exact(name, truth):
        assert found.words(name) - before.words(name), f"{name} is wrong, and nothing says so"


def assert_others_unharmed(found: Outcome, name: str, before: Outcome) -> None:
    for other in before.patients.keys() - {name}:
        assert np.array_equal(found.volume(other), before.volume(other)), other
        assert found.words(other) == before.words(other), other


def test_01_acquisition_numbers_may_count_slices(
    tree: Tree, as_written: Outcome, out: Path
) -> None:
    """dcm2niix pull 48, Slicer pull 4801: step-and-shoot series number every slice."""
    name = tree.patients()[0]
    truth = tree.truth(name)
    for number, path in enumerate(tree.slices(name), 1):
        edit_slice(path, lambda slice_, n=number: setattr(slice_, "AcquisitionNumber", n))
    found = read(tree, out)
    assert found.is_exact(name, truth)
    assert_others_unharmed(found, name, as_written)


def test_03_acquisition_numbers_may_lack_on_some_slices(tree: Tree, out: Path) -> None:
    """vtk-dicom issue 220: anonymisers empty tags of some objects only."""
    name = tree.patients()[0]
    truth = tree.truth(name)
    for path in tree.slices(name)[2::5]:
        edit_slice(path, lambda slice_: setattr(slice_, "AcquisitionNumber", None))
    assert read(tree, out).is_exact(name, truth)


@pytest.mark.parametrize("places", [(10, 11), (0,), (23,), range(0, 24, 2), range(24)])
def test_04_slices_without_an_intercept_are_not_1024_hu_brighter(
    tree: Tree, as_written: Outcome, out: Path, places: Any
) -> None:
    """pydicom issue 818, dwv issue 80, pylidc pull 32: rescaling lacks or differs by slice."""
    name = tree.patients(signed=False)[0]
    truth = tree.truth(name)
    for place in places:
        edit_slice(tree.slices(name)[place], lambda slice_: delattr(slice_, "RescaleIntercept"))
    assert_exact_or_said(read(tree, out), name, truth, as_written)


@pytest.mark.parametrize("declared", [63536, None])
def test_06_padding_wider_than_the_stored_bits_is_air(
    tree: Tree, as_written: Outcome, out: Path, declared: int | None
) -> None:
    """LIDCToolbox issue 9, dcm2niix issue 262, dcm4che issue 1368: -2000 around a 12-bit circle."""
    name = tree.patients(signed=False)[0]
    truth = tree.truth(name)
    y, x = np.mgrid[:64, :64] - 31.5
    outside = x * x + y * y > 32 * 32

    def pad(slice_: Dataset) -> None:
        stored = np.frombuffer(slice_.PixelData, "<u2").reshape(outside.shape).copy()
        stored[outside] = 63536
        slice_.PixelData = stored.tobytes()
        if declared is not None:
            slice_.add_new("PixelPaddingValue", "US", declared)

    tree.edit(name, pad)
    truth[:, outside] = -1024
    found = read(tree, out)
    if declared is None:
        assert_exact_or_said(found, name, truth, as_written)
    else:
        assert found.is_exact(name, truth)


@pytest.mark.parametrize("shift_mm", [2.0, 2.5, 0.7])
def test_08_phases_on_shifted_positions_are_not_interleaved(
    tree: Tree, out: Path, shift_mm: float
) -> None:
    """vtk-dicom issue 220, monai-deploy issue 532: passes in one series without numbers."""
    name = tree.patients()[0]
    truth = tree.truth(name)

    def first(slice_: Dataset) -> None:
        del slice_.AcquisitionNumber
        slice_.AcquisitionTime = "100000"

    def second(slice_: Dataset) -> None:
        del slice_.AcquisitionNumber
        slice_.AcquisitionTime = "100130"
        slice_.InstanceNumber += 100
        slice_.SOPInstanceUID += ".2"
        x, y, z = slice_.ImagePositionPatient
        slice_.ImagePositionPatient = [x, y, float(z) + shift_mm]
        slice_.RescaleIntercept = float(slice_.RescaleIntercept) + 60

    for path in tree.slices(name):
        edit_slice(path, second, path.with_name(f"2{path.name[1:]}"))
        edit_slice(path, first)
    found = read(tree, out)
    brighter = np.clip(truth.astype(int) + 60, -1024, 3071).astype(np.int16)
    whole = found.is_exact(name, truth) or found.is_exact(name, brighter)
    assert whole or name in found.excluded


@pytest.mark.parametrize(
    "spacings",
    [("0.7812499", "0.7812501"), ("0.78125", "0.7812"), ("0.703125", "0.70312", "0.703")],
)
def test_11_spacings_may_differ_by_rounding(
    tree: Tree, out: Path, spacings: tuple[str, ...]
) -> None:
    """dwv issue 1877, slim issue 122."""
    name = tree.patients()[0]
    truth = tree.truth(name)
    for number, path in enumerate(tree.slices(name)):
        value = spacings[number % len(spacings)]
        edit_slice(path, lambda slice_, v=value: setattr(slice_, "PixelSpacing", [v, v]))
    found = read(tree, out)
    assert found.is_exact(name, truth)
    assert found.patients[name]["spacing_x_mm"] == pytest.approx(float(spacings[0]), abs=1e-3)


@pytest.mark.parametrize("noise", [1e-7, 5e-4])
def test_11_orientations_may_differ_by_rounding(tree: Tree, out: Path, noise: float) -> None:
    name = tree.patients()[0]
    truth = tree.truth(name)
    for number, path in enumerate(tree.slices(name)):
        axes = [1, noise * (number % 3), 0, -noise * (number % 3), 1, 0]
        edit_slice(path, lambda slice_, a=axes: setattr(slice_, "ImageOrientationPatient", a))
    assert read(tree, out).is_exact(name, truth)


def test_12_patients_in_an_unread_codec_are_named_for_it(tree: Tree, out: Path) -> None:
    """The question asked most of pydicom; exports of archives are often JPEG Lossless."""
    with_row, without_row = tree.patients()[:2]

    def compress(slice_: Dataset) -> None:
        slice_.file_meta.TransferSyntaxUID = JPEG_LOSSLESS
        slice_.PixelData = encapsulate([b"\xff\xd8" + bytes(200) + b"\xff\xd9"])
        slice_["PixelData"].is_undefined_length = True

    for name in (with_row, without_row):
        tree.edit(name, compress)
    tree.write_rows([row for row in tree.rows() if row["NewPatientID"] != without_row])
    found = read(tree, out)
    for name in (with_row, without_row):
        assert found.excluded.get(name) in ("E_TS_UNSUPPORTED", "E_DECODE"), name


@pytest.mark.parametrize("name_bytes", [b"\xb2\xa1\xc0\xfd-03.dcm", b"coupe-\xe9-03.dcm"])
def test_18_file_names_need_not_be_utf8(
    tree: Tree, as_written: Outcome, out: Path, name_bytes: bytes
) -> None:
    """dupeguru issue 335, dicompyler issue 83, ownphotos issue 112: names in GBK or Latin-1."""
    name = tree.patients()[0]
    truth = tree.truth(name)
    path = tree.slices(name)[3]
    os.rename(os.fsencode(path), os.path.join(os.fsencode(path.parent), name_bytes))  # noqa: PTH104, PTH118 - no str
    found = read(tree, out)
    if not found.is_exact(name, truth):
        assert found.words(name) - as_written.words(name)
        assert np.array_equal(found.volume(name), np.delete(truth, 3, axis=0))
    assert_others_unharmed(found, name, as_written)


@pytest.mark.parametrize("lock", ["._{}", "~${}", ".~lock.{}#"])
def test_19_companions_of_other_programs_stop_nothing(
    tree: Tree, as_written: Outcome, out: Path, lock: str
) -> None:
    """duckdb issue 16466, unsloth pull 8919; Excel's and LibreOffice's locks of an open sheet."""
    name = tree.patients()[0]
    truth = tree.truth(name)
    beside = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000)
    for path in [*tree.slices(name), *tree.boxes(name), tree.sheet]:
        path.with_name(lock.format(path.name)).write_bytes(beside)
    found = read(tree, out)
    assert found.is_exact(name, truth)
    assert found.patients[name] | {"case": 0} == as_written.patients[name] | {"case": 0}


KERNELS = [
    ("STANDARD", "BONEPLUS"),
    ("Br40d", "Bl64d"),
    ("B", "YC"),
    ("FC08", "FC52"),
    ("STANDARD", "LUNG"),
    ("I31f", "I70f"),
]


def test_20b_the_soft_kernel_is_taken_by_any_vendors_name(tmp_path: Path) -> None:
    """Names of GE, Siemens, Philips and Canon in public CT; without boxes, nothing else decides."""
    tree = small(tmp_path / "tree", 18)
    names = tree.patients(series=2)
    for name, (soft, sharp) in zip(names, KERNELS, strict=True):
        series: dict[str, list[Path]] = defaultdict(list)
        for path in tree.slices(name):
            header = dcmread(path, stop_before_pixels=True)
            series[header.ConvolutionKernel].append(path)
        for old, new, last in (("B31f", soft, 9), ("B70f", sharp, 1)):
            for path in series[old]:

                def rename(slice_: Dataset, new: str = new, last: int = last) -> None:
                    slice_.ConvolutionKernel = new
                    slice_.SeriesInstanceUID = f"1.2.3.{name[1:]}.{last}"  # noqa: B023 - now

                edit_slice(path, rename)
        for path in tree.boxes(name):
            path.unlink()
    found = read(tree, tmp_path / "out")
    chosen = [found.patients[name]["kernel"] for name in names]
    assert chosen == [soft for soft, _ in KERNELS]


@pytest.mark.parametrize("spelling", ["lung_dx-{}", "Lung_Dx-{} ", " LUNG_DX-{}", "Lung_Dx_{}"])
def test_21_another_spelling_of_an_id_does_not_lose_the_patient(
    tree: Tree, out: Path, spelling: str
) -> None:
    """PatientID with blanks or in another case, after an export anew or with new keys."""
    name = tree.patients()[0]
    truth = tree.truth(name)
    spelt = spelling.format(name.lower() if "lung_dx-" in spelling else name)
    tree.edit(name, lambda slice_: setattr(slice_, "PatientID", spelt))
    found = read(tree, out)
    assert found.is_exact(name, truth) or name in found.excluded


@pytest.mark.parametrize("places", [range(24), (7,)])
def test_23_a_modality_table_is_followed_or_refused(
    tree: Tree, as_written: Outcome, out: Path, places: Any
) -> None:
    """pydicom's `apply_modality_lut` takes the table where there is one."""
    name = tree.patients(signed=False)[0]
    truth = tree.truth(name)

    def tabulate(slice_: Dataset) -> None:
        hu = np.frombuffer(slice_.PixelData, "<u2").astype(int) - 1024
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [4096, 0, 16])
        item.add_new("ModalityLUTType", "LO", "HU")
        # Stored values go twice as far as HU and look like a thorax by themselves.
        item.add_new("LUTData", "US", [((k - 2048) * 2) % 2**16 for k in range(4096)])
        slice_.PixelData = (hu // 2 + 2048).astype("<u2").tobytes()
        slice_.ModalityLUTSequence = [item]
        slice_.RescaleIntercept, slice_.RescaleSlope = -2048, 1

    for place in places:
        edit_slice(tree.slices(name)[place], tabulate)
    by_table = truth.copy()
    by_table[list(places)] = truth[list(places)] // 2 * 2
    assert_exact_or_said(read(tree, out), name, by_table, as_written)


@pytest.mark.parametrize("beside", ["{} (1).dcm", "0{}.dcm"])
def test_30_a_series_exported_twice_is_one_body(tree: Tree, out: Path, beside: str) -> None:
    """monai-deploy issue 532; a download resumed: new UIDs, the same pixels."""
    name = tree.patients()[0]
    truth = tree.truth(name)

    def again(slice_: Dataset) -> None:
        slice_.SOPInstanceUID += ".7"

    for path in tree.slices(name):
        edit_slice(path, again, path.with_name(beside.format(path.stem)))
    assert read(tree, out).is_exact(name, truth)


@pytest.mark.parametrize(("first", "last"), [(8, 15), (0, 12), (20, 24), (3, 23)])
def test_31b_a_partial_rescan_does_not_break_the_whole_pass(
    tree: Tree, out: Path, first: int, last: int
) -> None:
    """Only the slices scanned again have a time, because an anonymiser emptied it elsewhere."""
    name = tree.patients()[0]
    truth = tree.truth(name)
    for number, path in enumerate(tree.slices(name)[first:last]):

        def again(slice_: Dataset, number: int = number) -> None:
            slice_.SOPInstanceUID += ".7"
            slice_.InstanceNumber = 200 + number
            slice_.AcquisitionTime = "100200"
            slice_.RescaleIntercept = float(slice_.RescaleIntercept) + 50

        edit_slice(path, again, path.with_name(f"r{path.name}"))
    found = read(tree, out)
    assert found.is_exact(name, truth) or name in found.excluded


CELLS: list[tuple[str, str, Any, tuple[Any, ...]]] = [
    # sheet's column, cohort's column, what is written, readings that are right
    ("T-Stage", "t_ord", "T2a", (4,)),
    ("T-Stage", "t_ord", "cT1c", (3,)),
    ("T-Stage", "t_ord", "Tx", UNREADABLE),
    ("T-Stage", "t_ord", "Tis", (0,)),
    ("T-Stage", "t_ord", "1mi", (0.5, 1)),
    ("T-Stage", "t_ord", "2 a", (4,)),
    ("Age", "age_years", "58 years", (58,)),
    ("Age", "age_years", "058Y", (58,)),
    ("Age", "age_years", "５８", (58,)),
    ("Age", "age_years", "=50+8", (58,)),
    ("Age", "age_years", 58.4, (58.4,)),
    ("Age", "age_years", "fifty", UNREADABLE),
    ("weight (kg)", "weight_kg", "65,5", (65.5,)),
    ("weight (kg)", "weight_kg", "65 kg", (65,)),
    ("weight (kg)", "weight_kg", " 65 ", (65,)),
    ("weight (kg)", "weight_kg", "heavy", UNREADABLE),
    ("Sex", "sex", "Female", (0,)),
    ("Sex", "sex", "male", (1,)),
    ("Sex", "sex", "M ", (1,)),
    ("Sex", "sex", "女", (0,)),
    ("Sex", "sex", "?x?", UNREADABLE),
    ("Smoking History", "smoker", "Yes", (1,)),
    ("Smoking History", "smoker", True, (1,)),
    ("Smoking History", "smoker", "never", (0,)),
    ("Smoking History", "smoker", "0.0", (0,)),
    ("Smoking History", "smoker", "perhaps", UNREADABLE),
]


def test_32_a_cell_is_read_for_what_it_is_or_missed_with_a_flag(tmp_path: Path) -> None:
    """Staging sheets as they are; pyexcel-xlsx issue 23, pycel pull 38: cells' own formats."""
    tree = small(tmp_path / "tree", 6 + len(CELLS))
    rows = tree.rows()
    clean = read(tree, tmp_path / "clean")
    shutil.copytree(clean.folder, tmp_path / "out")
    struck = {row["NewPatientID"]: cell for row, cell in zip(rows[6:], CELLS, strict=True)}
    for row in rows:
        if cell := struck.get(row["NewPatientID"]):
            row[cell[0]] = cell[2]
    tree.write_rows(rows)
    found = read(tree, tmp_path / "out")
    silent = []
    for name, (_, column, written, right) in struck.items():
        value = found.patients[name][column]
        flagged = bool(found.words(name) - clean.words(name))
        if value not in right and not (value in MISSING and flagged):
            silent.append((column, written, value))
    assert not silent


@pytest.mark.parametrize("dates", [True, False])
def test_39_a_column_that_nobody_can_read_is_refused_or_counted(
    tmp_path: Path, dates: bool
) -> None:
    """Cells formatted as dates all down a column, or words where numbers are meant."""
    tree = small(tmp_path / "tree", 12)
    rows = tree.rows()
    clean = read(tree, tmp_path / "clean")
    shutil.copytree(clean.folder, tmp_path / "out")
    book = openpyxl.load_workbook(tree.sheet)
    sheet = book.worksheets[0]
    for row in range(2, sheet.max_row + 1):
        sheet.cell(row, 3).value = {"M": "Male", "F": "Female"}[sheet.cell(row, 3).value]
        if dates:
            sheet.cell(row, 4).number_format = "dd/mm/yyyy"
        else:
            sheet.cell(row, 4).value = "adult"
    book.save(tree.sheet)
    try:
        found = read(tree, tmp_path / "out")
    except DataError as error:
        assert "Age" in str(error)  # noqa: PT017 - it may also be read
        return
    for row in rows:
        of = found.patients[row["NewPatientID"]]
        assert of["sex"] == (row["Sex"] == "M")
        if of["age_years"] != row["Age"] and row["Age"] is not None:
            assert of["age_years"] is None
            assert found.words(of["patient_id"]) - clean.words(of["patient_id"])


@pytest.mark.parametrize("keyword", ["StudyDescription", "InstitutionName", "PatientName"])
def test_37_two_downloads_of_one_collection_are_one(tree: Tree, out: Path, keyword: str) -> None:
    """Copies of TCIA and IDC differ in a tag that says nothing of the picture."""
    name = tree.patients()[0]
    truth = tree.truth(name)
    for path in tree.slices(name):
        beside = tree.folder / "second-download" / name / path.name
        edit_slice(path, lambda slice_: setattr(slice_, keyword, "cleaned"), beside)
    found = read(tree, out)
    assert found.is_exact(name, truth)
    assert found.codes("second-download") | found.codes(f"Lung_Dx-{name}") == {"E_DUP_SOP"}


def test_every_patient_is_in_one_list(tree: Tree, out: Path) -> None:
    """Ids of tags, folders, sheet and annotations: none is lost, none is in two places."""
    first, second, third = tree.patients()[:3]
    tree.edit(first, lambda slice_: setattr(slice_, "PatientID", "somebody"))
    tree.edit(second, lambda slice_: setattr(slice_, "Modality", "OT"))
    shutil.rmtree(tree.slices(third)[0].parents[2])
    tree.write_rows([row for row in tree.rows() if row["NewPatientID"] not in (first, third)])
    found = read(tree, out)
    known = {path.name for path in (tree.folder / "Annotation").iterdir()}
    assert known <= found.patients.keys() | found.excluded.keys()
    assert not found.patients.keys() & found.excluded.keys()
    report = json.loads((out / "ingest_report.json").read_text("utf-8"))
    assert len(report["excluded"]) == len(found.excluded)
