from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydicom import dcmread
from scipy.stats import spearmanr

from mmcaf.data.cohort import Cohort, load
from mmcaf.data.ingest.index import scan
from mmcaf.data.ingest.run import check, ingest
from mmcaf.data.synthetic.truth import bayes_auroc
from mmcaf.data.synthetic.write import SyntheticSpec, edit_slice, write
from mmcaf.data.volumes import VolumeSpec, build, open_volumes
from mmcaf.errors import DataError
from mmcaf.files.remote import cache_folder

SAMPLE = Path(__file__).parents[5] / "shared" / "data" / "lung-pet-ct-dx-sample"
needs_sample = pytest.mark.skipif(not SAMPLE.is_dir(), reason="the real sample is not here")


@needs_sample
def test_the_real_patient_is_read(tmp_path: Path) -> None:
    found = ingest([SAMPLE], tmp_path)
    row = found.patients.row(0, named=True)
    assert found.patients.height == 1
    assert row["series_uid"].endswith("40805")
    assert (row["n_slices"], row["lesion_n_slices"], row["n_alternatives"]) == (64, 11, 1)
    assert row["spacing_z_mm"] == 5.0
    assert open_volumes(found, VolumeSpec())[row["case"]].min() == -1024
    report = json.loads((tmp_path / "ingest_report.json").read_text())
    assert report["annotations"] == {"files": 20, "matched": 20, "boxes": 20}
    assert (report["files"]["chosen"], report["files"]["alternative"]) == (64, 16)
    (cut_short,) = report["download"]["incomplete"]
    assert (cut_short["series"], cut_short["images"], cut_short["listed"]) == ("…-41315", 16, 64)
    (absent,) = report["excluded"]
    assert (absent["patient_id"], absent["reason"], absent["files"]) == ("A0002", "E_NO_IMAGES", 0)
    assert report["flags"] == {}
    assert not found.synthetic


@needs_sample
def test_layout_and_file_names_do_not_matter_to_the_real_patient(tmp_path: Path) -> None:
    classic = tmp_path / "Lung-PET-CT-Dx" / "Lung_Dx-A0001"
    files = sorted(SAMPLE.rglob("*.dcm"))
    for number, path in enumerate(np.random.default_rng(0).permutation(np.array(files))):
        header = dcmread(path, stop_before_pixels=True)
        folder = classic / header.StudyInstanceUID / header.SeriesInstanceUID
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"{number:04d}.dcm")
    shutil.copytree(SAMPLE / "Annotation", tmp_path / "boxes")
    shutil.copy(SAMPLE / "statistics-clinical-sample.xlsx", tmp_path)
    as_downloaded = ingest([SAMPLE], tmp_path / "first", in_plane_px=64)
    rearranged = ingest(
        [classic.parent, tmp_path / "boxes"],
        tmp_path / "second",
        in_plane_px=64,
        sheet=tmp_path / "statistics-clinical-sample.xlsx",
    )
    assert rearranged.digest == as_downloaded.digest


@needs_sample
def test_a_mixed_cohort_is_synthetic(dicom_folder: Path, tmp_path: Path) -> None:
    found = ingest([SAMPLE, dicom_folder], tmp_path, in_plane_px=48)
    assert found.synthetic
    assert found.patients.height == 13


def test_measured_sizes_follow_the_true_ones(dicom_folder: Path, cohort: Cohort) -> None:
    truth = json.loads((dicom_folder / "TRUTH.json").read_text())["cases"]
    true = {case["patient_id"]: case["ln_diameter_mm"] for case in truth}
    names, measured = cohort.patients["patient_id"], cohort.patients["max_diam_mm"]
    assert spearmanr([true[name] for name in names], measured).statistic >= 0.9


def test_encodings_of_hounsfield_units_all_give_air_and_soft_tissue(cohort: Cohort) -> None:
    for volume in open_volumes(cohort, VolumeSpec(48)).values():
        assert -1024 <= volume.min() < -900
        assert 0 < np.median(volume[(volume > -200) & (volume < 200)]) < 60


def test_ingesting_again_touches_nothing(dicom_folder: Path, cohort: Cohort) -> None:
    def states() -> dict[Path, tuple[int, int]]:
        files = (path for path in cohort.folder.rglob("*") if path.is_file())
        return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}

    before = states()
    again = ingest([dicom_folder], cohort.folder, in_plane_px=48)
    assert again.digest == cohort.digest
    assert states() == before


def test_a_cohort_inside_its_source_is_no_part_of_it(dicom_folder: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(dicom_folder, tree)
    ingest([tree], tree / "cohort", in_plane_px=48)
    first = (tree / "cohort" / "ingest_report.json").read_text()
    ingest([tree], tree / "cohort", in_plane_px=48)
    assert (tree / "cohort" / "ingest_report.json").read_text() == first


@pytest.mark.parametrize("workers", [-1, 10**6])
def test_no_number_of_processes_is_beyond_all_sense(tmp_path: Path, workers: int) -> None:
    with pytest.raises(DataError, match=f"workers must be from 1 to 1000, got {workers}"):
        ingest([tmp_path], tmp_path / "out", workers=workers)
    assert not (tmp_path / "out").exists()


def test_annotations_and_sheet_may_lie_elsewhere(
    dicom_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(dicom_folder, tree)
    boxes = (tree / "Annotation").rename(tmp_path / "boxes")
    sheet = (tree / "statistics-clinical-20201221.xlsx").rename(tmp_path / "sheet.xlsx")
    found = ingest(
        [tree], tmp_path / "out", annotation_folder=boxes, sheet=sheet, in_plane_px=48, workers=1
    )
    assert found.digest == cohort.digest
    inside = ingest(
        [dicom_folder],
        tmp_path / "inside",
        annotation_folder=dicom_folder / "Annotation",
        in_plane_px=48,
    )
    assert inside.digest == cohort.digest
    report = json.loads((inside.folder / "ingest_report.json").read_text())
    assert "W_DUP_XML" not in report["annotations"]


def test_a_table_that_is_not_the_cohorts_own_is_refused(dicom_folder: Path, tmp_path: Path) -> None:
    found = ingest([dicom_folder], tmp_path, in_plane_px=48)
    found.patients.head(3).write_parquet(tmp_path / "cohort.parquet")
    with pytest.raises(DataError, match="not the one it was ingested with"):
        load(tmp_path)
    assert ingest([dicom_folder], tmp_path, in_plane_px=48).digest == found.digest


def test_a_slice_that_changes_is_read_again(dicom_folder: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(dicom_folder, tree)
    first = ingest([tree], tmp_path / "out", in_plane_px=48)
    row = first.patients.row(0, named=True)
    path = next(
        path
        for path in sorted(tree.glob(f"manifest-*/*/*{row['patient_id']}/*/*/*.dcm"))
        if dcmread(path).SeriesInstanceUID == row["series_uid"]
    )
    edit_slice(path, lambda slice_: setattr(slice_, "RescaleIntercept", -1000))
    again = ingest([tree], tmp_path / "out", in_plane_px=48)
    assert again.digest != first.digest
    assert again.digest == ingest([tree], tmp_path / "fresh", in_plane_px=48).digest
    assert len(list((tmp_path / "out").glob("volumes/*/*.npy"))) == first.patients.height


def test_a_stack_with_impossible_hu_gives_way_to_another(
    dicom_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(dicom_folder, tree)
    who, series = cohort.patients.row(0, named=True)["patient_id"], set()
    paths = sorted(next(tree.glob(f"manifest-*/*/*{who}")).rglob("*.dcm"))
    for path in paths:

        def of_another_series(slice_: Any) -> None:
            series.add(slice_.SeriesInstanceUID)
            for name in ("SOPInstanceUID", "SeriesInstanceUID"):
                setattr(slice_, name, f"{getattr(slice_, name)}.9")

        edit_slice(path, of_another_series, path.parents[1] / "2-copy" / path.name)
        edit_slice(path, lambda slice_: setattr(slice_, "RescaleIntercept", 0))
    found = ingest([tree], tmp_path / "out", in_plane_px=48)
    row = found.patients.filter(patient_id=who).row(0, named=True)
    assert row["series_uid"] in {f"{uid}.9" for uid in series}
    assert "W_NO_BOX" in row["qc_flags"]  # the boxes were drawn on the other one
    told = json.loads((tmp_path / "out" / "ingest_report.json").read_text(encoding="utf-8"))
    assert told["files"]["E_HU"] == len(paths)
    assert found.patients.height == cohort.patients.height


def test_a_half_written_volume_is_made_again(dicom_folder: Path, tmp_path: Path) -> None:
    first = ingest([dicom_folder], tmp_path, in_plane_px=48)
    one, other = sorted(tmp_path.glob("volumes/*/*.npy"))[:2]
    one.write_bytes(one.read_bytes()[:100])
    other.with_suffix(".json").unlink()
    (tmp_path / "volumes" / ".x.npy.tmp-host-1").touch()  # of a run that was killed
    assert ingest([dicom_folder], tmp_path, in_plane_px=48).digest == first.digest
    assert len(np.load(one)) == len(np.load(other)) == 12
    assert not list(tmp_path.rglob(".*.tmp-*"))


def test_a_second_ingestion_into_a_folder_is_told_to_wait(
    dicom_folder: Path, tmp_path: Path
) -> None:
    def meanwhile(*_: object) -> None:
        with pytest.raises(DataError, match="Another ingestion"):
            ingest([dicom_folder], tmp_path, in_plane_px=48)

    ingest([dicom_folder], tmp_path, in_plane_px=48, progress=meanwhile)


def test_pixel_identical_patients_are_one_group(dicom_folder: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(dicom_folder, tree)
    copied = next(tree.glob("manifest-*/*/Lung_Dx-A9001"))
    for path in sorted(copied.rglob("*.dcm")):

        def renamed(slice_: Any) -> None:
            slice_.PatientID = "Lung_Dx-A9900"
            for name in ("SOPInstanceUID", "SeriesInstanceUID"):
                setattr(slice_, name, f"{getattr(slice_, name)}.9")

        edit_slice(path, renamed, tree / "Lung_Dx-A9900" / path.parent.name[:2] / path.name)
    found = ingest([tree], tmp_path / "out", in_plane_px=48).patients
    groups = dict(found.select("patient_id", "group_id").iter_rows())
    assert groups["A9900"] == groups["A9001"] == "A9001"
    assert len(set(groups.values())) == found.height - 1


def test_folder_and_file_names_do_not_matter(
    dicom_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    files = sorted(dicom_folder.rglob("*.dcm"))
    for position, path in enumerate(np.random.default_rng(0).permutation(np.array(files))):
        shutil.copy(path, flat / f"{position:05d}.bin")
    shutil.copytree(dicom_folder / "Annotation", flat / "boxes")
    shutil.copy(dicom_folder / "statistics-clinical-20201221.xlsx", flat)
    assert ingest([flat], tmp_path / "out", in_plane_px=48).digest == cohort.digest


def test_a_truncated_slice_is_a_row_and_its_patient_survives(
    dicom_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(dicom_folder, tree)
    victim = next(tree.rglob("*.dcm"))
    victim.write_bytes(victim.read_bytes()[:-500])
    images = scan([tree]).filter(pl.col("kind") == "image", pl.col("path").str.ends_with(".dcm"))
    assert images["reason"].drop_nulls().to_list() == ["E_PIXEL_LEN"]


def test_slices_are_ordered_by_position_not_by_number(cohort: Cohort, dicom_folder: Path) -> None:
    row = cohort.patients.row(0, named=True)
    files = dicom_folder.glob(f"manifest-*/*/Lung_Dx-{row['patient_id']}/*/*/*.dcm")
    slices = [s for s in map(dcmread, files) if s.SeriesInstanceUID == row["series_uid"]]
    slices.sort(key=lambda s: float(s.ImagePositionPatient[2]))
    expected = slices[0].pixel_array * 1.0 + float(slices[0].RescaleIntercept)
    found = open_volumes(cohort, VolumeSpec(48))[row["case"]][0]
    assert np.array_equal(found, np.clip(expected, -1024, 3071))


def test_smaller_volumes_come_from_the_cache(cohort: Cohort) -> None:
    build(cohort, VolumeSpec(24))
    small, base = (open_volumes(cohort, VolumeSpec(side)) for side in (24, 48))
    case = cohort.patients["case"][0]
    mean = base[case].reshape(-1, 24, 2, 24, 2).mean(axis=(2, 4))
    assert np.abs(small[case] - mean).max() <= 0.5


def test_larger_volumes_than_ingested_are_refused_with_the_remedy(cohort: Cohort) -> None:
    with pytest.raises(DataError, match="--in-plane 64"):
        build(cohort, VolumeSpec(64))


def test_published_names_are_no_patient_ids(cohort: Cohort) -> None:
    assert all(re.fullmatch(r"[0-9a-f]{12}", case) for case in cohort.patients["case"])


@pytest.mark.parametrize("content", [None, "text"])
def test_nothing_usable_leaves_nothing_behind(tmp_path: Path, content: str | None) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if content:
        (source / "file.dcm").write_text(content)
    with pytest.raises(DataError, match=r"holds no files|1 E_NOT_DICOM"):
        ingest([source], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_source_and_cohort_may_lie_where_names_are_no_utf_8(
    dicom_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    place = tmp_path / os.fsdecode(b"Gr\xf6\xdfe")
    shutil.copytree(dicom_folder, place / "tree")
    for _ in range(2):
        found = ingest([place / "tree"], place / "cohort", in_plane_px=48, workers=1)
        assert found.digest == cohort.digest


def test_a_check_tells_what_an_ingestion_records(dicom_folder: Path, cohort: Cohort) -> None:
    told = check([dicom_folder], in_plane_px=48, workers=1)
    recorded = json.loads((cohort.folder / "ingest_report.json").read_text())
    assert json.loads(json.dumps(told.report)) == recorded
    assert told.patients.drop("case").equals(cohort.patients.drop("case"))
    assert told.set_aside == []
    assert list((cache_folder() / "check").iterdir()) == []


def test_a_check_whose_reading_fails_leaves_nothing(dicom_folder: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check([dicom_folder], in_plane_px=48, workers=1, progress=stop)
    assert list((cache_folder() / "check").iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No folder .*nowhere"):
        ingest([tmp_path / "nowhere"], tmp_path / "out")
    with pytest.raises(DataError, match="mmstudy data ingest"):
        load(tmp_path / "nowhere")


def test_bayes_areas_are_the_specified_ones_and_a_half_without_signal() -> None:
    assert bayes_auroc(0, 0) == {"clinical": 0.5, "image": 0.5, "both": 0.5}
    found = bayes_auroc(1, 1)
    assert found["clinical"] == pytest.approx(0.709, abs=0.006)
    assert found["image"] == pytest.approx(0.882, abs=0.006)
    assert found["both"] == pytest.approx(0.905, abs=0.006)


def test_a_full_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="not empty"):
        write(tmp_path, SyntheticSpec())
    assert pl.Series([p.name for p in tmp_path.iterdir()]).to_list() == ["file"]
