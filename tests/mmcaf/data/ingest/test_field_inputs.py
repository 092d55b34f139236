"""Inputs from the field: patients who vanished or were left out untruly, and stray files.

Each input strikes a patient of its own in one tree, which is ingested once.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import polars as pl
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SHEET_NAME, SyntheticSpec, edit_slice, write, write_sheet

SIDE = 32
MAC = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000)
Strike = Callable[[Path, str], None]


def slices(tree: Path, name: str) -> list[Path]:
    """Files of a patient, foot to head; companions are none."""
    found = tree.glob(f"manifest-*/Lung-PET-CT-Dx/Lung_Dx-{name}/*/*/1-*.dcm")
    return sorted(found, reverse=True)


def folder_of(tree: Path, name: str) -> Path:
    return next(tree.glob(f"manifest-*/Lung-PET-CT-Dx/Lung_Dx-{name}"))


def compressed(syntax: str) -> Strike:
    def strike(tree: Path, name: str) -> None:
        def change(slice_: Any) -> None:
            slice_.file_meta.TransferSyntaxUID = UID(syntax)
            slice_.PixelData = encapsulate([b"\xff\xd8" + bytes(200) + b"\xff\xd9"])
            slice_["PixelData"].is_undefined_length = True

        for path in slices(tree, name):
            edit_slice(path, change)

    return strike


def compressed_and_not_in_the_sheet(tree: Path, name: str) -> None:
    compressed("1.2.840.10008.1.2.4.50")(tree, name)
    head, *rows = (
        openpyxl.load_workbook(tree / SHEET_NAME).worksheets[0].iter_rows(values_only=True)
    )
    kept = [dict(zip(map(str, head), row, strict=True)) for row in rows if row[1] != name]
    write_sheet(tree / SHEET_NAME, kept)


def with_id(spelling: str) -> Strike:
    def strike(tree: Path, name: str) -> None:
        for path in slices(tree, name):
            edit_slice(path, lambda of: setattr(of, "PatientID", spelling.replace("ID", name)))

    return strike


def in_folders_of_lower_case(tree: Path, name: str) -> None:
    with_id(f"lung_dx-{name.lower()}")(tree, name)
    folder = folder_of(tree, name)
    folder.rename(folder.with_name(f"lung_dx-{name.lower()}"))
    (tree / "Annotation" / name).rename(tree / "Annotation" / f" {name.lower()} ")


def cut_short(tree: Path, name: str) -> None:
    for path in slices(tree, name):
        path.write_bytes(path.read_bytes()[:-9])


def cut_short_beside_a_pet(tree: Path, name: str) -> None:
    def pet(slice_: Any) -> None:
        slice_.SOPClassUID = "1.2.840.10008.5.1.4.1.1.128"
        slice_.SOPInstanceUID += f".{number}"
        slice_.SeriesInstanceUID += ".7"

    for number in range(30):
        edit_slice(slices(tree, name)[0], pet, folder_of(tree, name) / "pet" / f"{number}.dcm")
    cut_short(tree, name)


def emptied(tree: Path, name: str) -> None:
    for path in slices(tree, name):
        path.write_bytes(b"")


def without_files(tree: Path, name: str) -> None:
    for path in slices(tree, name):
        path.unlink()


def annotated_only(tree: Path, name: str) -> None:
    shutil.copytree(tree / "Annotation" / name, tree / "Annotation" / "lung_dx-a0123")


def a_slice_named_in_gbk(tree: Path, name: str) -> None:
    path = slices(tree, name)[3]
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/1-\xb2\xa1\xc0\xfd-03.dcm"))


def folders_named_in_latin_1(tree: Path, name: str) -> None:
    series = slices(tree, name)[0].parent
    series.rename(os.fsdecode(os.fsencode(series.parent) + b"/Thorax Gr\xf6\xdfe"))


def slices_named_with_backslashes(tree: Path, name: str) -> None:
    for number, path in enumerate(slices(tree, name)):
        path.rename(path.with_name(f"1-\\xb{number % 10}{number}.dcm"))


def companions_of_a_mac(tree: Path, name: str) -> None:
    boxes = (tree / "Annotation" / name).glob("*.xml")
    for path in [*slices(tree, name), *boxes, tree / SHEET_NAME]:
        path.with_name(f"._{path.name}").write_bytes(MAC)


def copies_of_an_unpacker_and_a_file_server(tree: Path, name: str) -> None:
    for folder in ("__MACOSX", ".AppleDouble", "@eaDir"):
        for path in [*slices(tree, name)[:3], tree / SHEET_NAME]:
            (tree / folder).mkdir(exist_ok=True)
            (tree / folder / path.name).write_bytes(MAC)


def locks_of_an_open_sheet(tree: Path, name: str) -> None:
    (tree / f"~${SHEET_NAME}").write_bytes(b"\x05Owner" + bytes(160))
    (tree / f".~lock.{SHEET_NAME}#").write_text("Owner,host,,;", encoding="utf-8")
    (tree / "clinical copy.xlsx").write_bytes(b"")
    (folder_of(tree, name) / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(300))
    (folder_of(tree, name) / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")


def links_in_a_circle(tree: Path, name: str) -> None:
    folder = folder_of(tree, name)
    (folder / "again").symlink_to(folder)
    (folder / "one").symlink_to(folder / "two")
    (folder / "two").symlink_to(folder / "one")


LEFT_OUT: dict[str, tuple[Strike, str]] = {  # input -> what it does, the one true reason
    "all JPEG Baseline": (compressed("1.2.840.10008.1.2.4.50"), "E_TS_UNSUPPORTED"),
    "all JPEG Baseline, no row": (compressed_and_not_in_the_sheet, "E_TS_UNSUPPORTED"),
    "all HTJ2K": (compressed("1.2.840.10008.1.2.4.203"), "E_TS_UNSUPPORTED"),
    "id of a hospital": (with_id("0012345"), "E_PATIENT_ID"),
    "no id": (with_id(""), "E_PATIENT_ID"),
    "two ids": (with_id("ID\\A0001"), "E_PATIENT_ID"),
    "pixels cut short": (cut_short, "E_PIXEL_LEN"),
    "pixels cut short, and a PET": (cut_short_beside_a_pet, "E_PIXEL_LEN"),
    "files without content": (emptied, "E_EMPTY"),
    "folders without files": (without_files, "E_EMPTY"),
}
EXACT: dict[str, Strike] = {  # input -> what it does; the volume is exact
    "lung_dx-a9002": lambda tree, name: with_id(f"lung_dx-{name.lower()}")(tree, name),
    "blanks around the id": with_id("  Lung_Dx-ID "),
    "id without prefix, in lower case": lambda tree, name: with_id(name.lower())(tree, name),
    "id and folders in lower case": in_folders_of_lower_case,
    "LUNG DX ID": with_id("LUNG DX ID"),
    "a slice named in GBK": a_slice_named_in_gbk,
    "folders named in Latin-1": folders_named_in_latin_1,
    "slices named with backslashes": slices_named_with_backslashes,
    "companions of a Mac": companions_of_a_mac,
    "copies of an unpacker": copies_of_an_unpacker_and_a_file_server,
    "locks of an open sheet": locks_of_an_open_sheet,
    "links in a circle": links_in_a_circle,
    "annotations of somebody else": annotated_only,
}


@dataclass(frozen=True)
class Read:
    """The tree, ingested; who was struck by which input."""

    folder: Path
    victims: dict[str, str]
    truth: dict[str, Any]  # patient -> HU, foot to head
    report: dict[str, Any]

    def row(self, given: str) -> dict[str, Any] | None:
        patients = pl.read_parquet(self.folder / "cohort.parquet")
        found = patients.filter(patient_id=self.victims[given])
        return None if found.is_empty() else found.row(0, named=True)

    def excluded(self, given: str) -> list[dict[str, Any]]:
        return [e for e in self.report["excluded"] if e["patient_id"] == self.victims[given]]


def hu(path: Path) -> Any:
    slice_ = dcmread(path)
    return slice_.pixel_array.astype(int) * slice_.RescaleSlope + slice_.RescaleIntercept


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    folder = tmp_path_factory.mktemp("field")
    tree, strikes = (
        folder / "tree",
        {name: strike for name, (strike, _) in LEFT_OUT.items()} | EXACT,
    )
    write(tree, SyntheticSpec(patients=len(strikes) * 3 // 2 + 3, size=SIDE, slices=14, seed=5))
    folders = sorted(tree.glob("manifest-*/*/Lung_Dx-*"))
    single = [path.name[-5:] for path in folders if len([*path.glob("*/*")]) == 1]
    victims = dict(zip(strikes, single, strict=False))
    truth = {name: [hu(path) for path in slices(tree, name)] for name in victims.values()}
    for given, strike in strikes.items():
        strike(tree, victims[given])
    found = ingest([tree], folder / "cohort", in_plane_px=SIDE, workers=1)
    report = json.loads((found.folder / "ingest_report.json").read_text(encoding="utf-8"))
    return Read(found.folder, victims, truth, report)


@pytest.mark.parametrize("given", LEFT_OUT)
def test_who_is_left_out_is_named_with_the_true_reason(read: Read, given: str) -> None:
    (found,) = read.excluded(given)
    assert found["reason"] == LEFT_OUT[given][1]
    assert found["files"] == (1 if given == "folders without files" else 14)
    assert found["remedy"]
    assert read.row(given) is None


@pytest.mark.parametrize("given", EXACT)
def test_the_volume_is_exact_and_nothing_is_flagged(read: Read, given: str) -> None:
    row = read.row(given)
    assert row is not None
    assert row["n_slices"] == 14
    assert row["qc_flags"] == []
    assert row["lesion_n_slices"] > 0
    assert not row["miss_row"]
    volume = np.load(next(read.folder.glob(f"volumes/*/{row['volume']}.npy")))
    assert np.array_equal(volume, np.clip(read.truth[read.victims[given]], -1024, 3071))
    assert read.excluded(given) == []


def test_files_of_others_are_counted_and_named(read: Read) -> None:
    files = pl.read_parquet(read.folder / "instances.parquet")
    codes = dict(files.select("path", "reason").iter_rows())
    assert codes[f"._{SHEET_NAME}"] == codes[f"~${SHEET_NAME}"] == "E_COMPANION"
    assert codes["clinical copy.xlsx"] == "E_EMPTY"
    assert any(r"1-\xb2\xa1\xc0\xfd-03.dcm" in path for path in codes)
    assert sum(read.report["files"].values()) == files.height


def test_who_only_has_annotations_is_left_out_by_name(read: Read) -> None:
    (found,) = [e for e in read.report["excluded"] if e["patient_id"] == "A0123"]
    assert (found["reason"], found["files"]) == ("E_NO_IMAGES", 0)


def test_everybody_is_in_one_place(read: Read) -> None:
    here = pl.read_parquet(read.folder / "cohort.parquet")["patient_id"].to_list()
    left_out = [each["patient_id"] for each in read.report["excluded"]]
    assert len({*here, *left_out}) == len(here) + len(left_out)
    assert {*read.victims.values()} <= {*here, *left_out}
