"""The end of ingestion: what each file of a cohort says, and when it is written again."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from mmcaf.data.cohort import NOTICE, Cohort, content_digest, file_digest, load, notice
from mmcaf.data.encoding import LESION_SIZE, TableEncoder
from mmcaf.data.ingest import report_html, writing
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import edit_slice
from mmcaf.data.verification import verify
from mmcaf.errors import DataError


@pytest.fixture
def folder(cohort: Cohort, tmp_path: Path) -> Path:
    shutil.copytree(cohort.folder, tmp_path / "c")
    return tmp_path / "c"


def test_every_file_of_the_source_has_an_end(cohort: Cohort) -> None:
    """A code, or a use, or it is a list or sheet: nothing is left without a word."""
    files = pl.read_parquet(cohort.folder / "instances.parquet")
    images = files.filter(pl.col("kind") == "image")
    endless = images.filter(
        pl.col("reason").is_null() & pl.col("verdict").is_null() & pl.col("use").is_null()
    )
    assert endless.is_empty()
    chosen = images.filter(pl.col("use") == "chosen")
    assert chosen.height == cohort.patients["n_slices"].sum()
    assert set(chosen["patient_id"]) == set(cohort.patients["patient_id"])


def test_patients_are_published_under_a_keyed_hash_alone(cohort: Cohort) -> None:
    key = bytes.fromhex((cohort.folder / "cohort.key").read_text())
    for patient, case in cohort.patients.select("patient_id", "case").iter_rows():
        assert case == hmac.new(key, patient.encode(), hashlib.sha256).hexdigest()[:12]


def test_the_key_is_long_private_and_of_this_cohort(
    cohort: Cohort, folder: Path, dicom_folder: Path
) -> None:
    path = cohort.folder / "cohort.key"
    assert len(bytes.fromhex(path.read_text())) == 32
    assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
    (folder / "cohort.key").unlink()
    other = ingest([dicom_folder], folder, in_plane_px=48)
    assert not set(other.patients["case"]) & set(cohort.patients["case"])
    assert other.digest == cohort.digest  # which does not depend on the key


def test_the_digest_is_of_rows_and_volumes(cohort: Cohort) -> None:
    volumes = {}
    for patient, name in cohort.patients.select("patient_id", "volume").iter_rows():
        (facts,) = cohort.folder.rglob(f"{name}.json")
        volumes[patient] = json.loads(facts.read_text())["sha256"]
    assert content_digest(cohort.patients, volumes) == cohort.digest


def test_what_says_the_same_already_is_not_written_again(
    folder: Path, dicom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    real = writing.write_table
    monkeypatch.setattr(writing, "write_table", lambda p, t: (written.append(p.name), real(p, t)))
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    ingest([dicom_folder], folder, in_plane_px=48)
    assert written == []
    (folder / "boxes.parquet").write_bytes(b"damaged")
    ingest([dicom_folder], folder, in_plane_px=48)
    assert written == ["boxes.parquet"]
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    changed = {path.name for path in before if after.get(path) != before[path]}
    assert changed <= {"boxes.parquet", ".cohort.lock"}


def test_the_cohort_is_complete_only_with_its_last_file(
    folder: Path, dicom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cohort.json", "cohort.parquet"):
        (folder / name).unlink()
    real = writing.write_json

    def dies(path: Path, value: dict[str, object]) -> None:
        if path.name == "cohort.json":
            raise KeyboardInterrupt
        real(path, value)

    monkeypatch.setattr(writing, "write_json", dies)
    with pytest.raises(KeyboardInterrupt):
        ingest([dicom_folder], folder, in_plane_px=48)
    assert (folder / "cohort.parquet").is_file()
    with pytest.raises(DataError, match="No cohort in"):
        load(folder)
    monkeypatch.undo()
    found = ingest([dicom_folder], folder, in_plane_px=48)
    said = json.loads((folder / "cohort.json").read_text())
    assert said["table_sha256"] == file_digest(folder / "cohort.parquet")
    assert (said["digest"], said["synthetic"]) == (found.digest, True)


def test_nobody_left_is_told_with_where_the_files_ended(
    folder: Path, dicom_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "is_thorax", lambda _: False)
    with pytest.raises(DataError, match=r"No patient .* E_HU.*mmstudy data check"):
        ingest([dicom_folder], folder, in_plane_px=48)


def test_a_patient_whose_values_cannot_be_a_thorax_is_left_out_with_its_slices(
    folder: Path, dicom_folder: Path, monkeypatch: pytest.MonkeyPatch, cohort: Cohort
) -> None:
    out = next(iter(cohort.patients["volume"]))
    real = writing.is_thorax
    digest = json.loads(next(folder.rglob(f"{out}.json")).read_text())["sha256"]
    monkeypatch.setattr(writing, "is_thorax", lambda f: f["sha256"] != digest and real(f))
    found = ingest([dicom_folder], folder, in_plane_px=48)
    lost = set(cohort.patients["patient_id"]) - set(found.patients["patient_id"])
    assert lost == {cohort.patients["patient_id"][0]}
    files = pl.read_parquet(folder / "instances.parquet").filter(pl.col("verdict") == "E_HU")
    assert set(files["patient_id"]) == lost
    assert files.height == cohort.patients["n_slices"][0]
    told = json.loads((folder / "ingest_report.json").read_text())
    assert "E_HU" in json.dumps(told)


def test_what_the_pixels_say_is_told_of_the_patient_and_its_slices(
    dicom_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(dicom_folder, tmp_path / "tree")
    series = next(
        folder
        for folder in sorted((tmp_path / "tree").glob("manifest-*/*/Lung_Dx-*"))
        if len(list(folder.glob("*/*"))) == 1
    )
    name = series.name.removeprefix("Lung_Dx-")
    files = sorted(series.rglob("1-*.dcm"), reverse=True)  # foot to head

    def brighter(slice_: Any) -> None:
        slice_.RescaleIntercept = int(slice_.RescaleIntercept) + 100

    edit_slice(files[6], brighter)
    found = ingest([tmp_path / "tree"], tmp_path / "c", in_plane_px=48)
    flags = {patient: list(of) for patient, of in found.patients["patient_id", "qc_flags"].rows()}
    assert [patient for patient, of in flags.items() if "W_SLICE_OFFSET" in of] == [name]
    told = json.loads((tmp_path / "c" / "ingest_report.json").read_text())
    assert told["flags"]["W_SLICE_OFFSET"] == 1
    (one,) = told["doubtful_slices"]
    assert (one["patient_id"], one["reason"], one["slices"]) == (name, "W_SLICE_OFFSET", [6])
    assert one["amount"] == pytest.approx(100, abs=10)
    assert "<td>W_SLICE_OFFSET</td>" in (tmp_path / "c" / "ingest_report.html").read_text()


def test_sound_patients_have_no_doubtful_slices(cohort: Cohort) -> None:
    told = json.loads((cohort.folder / "ingest_report.json").read_text())
    assert told["doubtful_slices"] == []
    assert not {"W_HU_SCALE", "W_BODY_SIZE", "W_COVERAGE"} & told["flags"].keys()


@pytest.mark.parametrize(
    ("slices", "text"), [([], ""), ([4], "4"), ([0, 1, 2, 7, 9, 10], "0-2, 7, 9-10")]
)
def test_runs_of_slices_are_told_in_short(slices: list[int], text: str) -> None:
    assert report_html._listed(slices) == text


def test_the_folder_says_whose_data_it_holds(cohort: Cohort) -> None:
    told = (cohort.folder / NOTICE).read_text("utf-8")
    assert told == notice(cohort.patients)
    assert told.startswith("Every patient of this cohort is SYNTHETIC")
    one_is_real = cohort.patients.with_columns(synthetic=pl.int_range(pl.len()) > 0)
    assert notice(one_is_real).startswith("This folder holds PATIENT DATA")


def test_nobody_else_can_read_a_cohort(
    dicom_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MMCAF_SHARED", raising=False)
    before = os.umask(0o022)
    try:
        ingest([dicom_folder], tmp_path / "c", in_plane_px=48)
    finally:
        os.umask(before)
    found = [tmp_path / "c", *(tmp_path / "c").rglob("*")]
    assert len(found) > 30
    assert [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_volumes_that_were_changed_are_made_anew(
    folder: Path, dicom_folder: Path, cohort: Cohort
) -> None:
    path = next(folder.rglob("*.npy"))
    whole = path.read_bytes()
    np.save(path, np.load(path)[::-1].copy())
    again = ingest([dicom_folder], folder, in_plane_px=48)
    assert path.read_bytes() == whole
    assert (again.digest, verify(again)) == (cohort.digest, [])


def test_a_cohort_made_before_sides_were_measured_opens_and_is_verified(
    folder: Path, cohort: Cohort
) -> None:
    older = cohort.patients.drop("long_side_mm", "diagonal_mm")
    older.write_parquet(folder / "cohort.parquet")
    volumes = {row["patient_id"]: _volume_digest(folder, row) for row in older.to_dicts()}
    state = json.loads((folder / "cohort.json").read_text())
    state |= {
        "digest": content_digest(older, volumes),
        "table_sha256": file_digest(folder / "cohort.parquet"),
    }
    (folder / "cohort.json").write_text(json.dumps(state))
    found = load(folder)
    assert (found.patients.width, verify(found)) == (cohort.patients.width - 2, [])
    rows = TableEncoder.fit(found.patients, (LESION_SIZE,)).transform(found.patients)
    assert np.abs(rows[:, 0]).max() == 1.0


def _volume_digest(folder: Path, row: dict[str, Any]) -> str:
    path = next(folder.rglob(f"{row['volume']}.json"))
    return str(json.loads(path.read_text())["sha256"])
