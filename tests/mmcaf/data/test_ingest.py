from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from scipy.stats import spearmanr

from mmcaf.data.cohort import Cohort, load
from mmcaf.data.dicom import scan
from mmcaf.data.ingest import ingest
from mmcaf.data.synthetic import SyntheticSpec, bayes_auroc, write
from mmcaf.data.volumes import VolumeSpec, build, open_volumes
from mmcaf.errors import DataError

SAMPLE = Path(__file__).parents[4] / "shared" / "data" / "lung-pet-ct-dx-sample"
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
    assert report["excluded"] == [{"patient_id": "A0002", "reason": "E_NO_IMAGES"}]
    assert not found.synthetic


@needs_sample
def test_a_mixed_cohort_is_synthetic(dicom_folder: Path, tmp_path: Path) -> None:
    found = ingest([SAMPLE, dicom_folder], tmp_path, in_plane_px=48)
    assert found.synthetic
    assert found.patients.height == 13


def test_measured_diameters_follow_the_true_ones(dicom_folder: Path, cohort: Cohort) -> None:
    truth = json.loads((dicom_folder / "TRUTH.json").read_text())["cases"]
    true = {case["patient_id"]: case["ln_diameter_mm"] for case in truth}
    names, measured = cohort.patients["patient_id"], cohort.patients["max_diam_mm"]
    assert spearmanr([true[name] for name in names], measured).statistic >= 0.9


def test_encodings_of_hounsfield_units_all_give_air_and_soft_tissue(cohort: Cohort) -> None:
    for volume in open_volumes(cohort, VolumeSpec(48)).values():
        assert -1024 <= volume.min() < -900
        assert 0 < np.median(volume[(volume > -200) & (volume < 200)]) < 60


def test_ingesting_again_changes_nothing(dicom_folder: Path, cohort: Cohort) -> None:
    files = {p: p.stat().st_mtime_ns for p in cohort.folder.glob("volumes/*/*.npy")}
    again = ingest([dicom_folder], cohort.folder, in_plane_px=48)
    assert again.digest == cohort.digest
    assert again.patients["case"].to_list() == cohort.patients["case"].to_list()
    assert {p: p.stat().st_mtime_ns for p in cohort.folder.glob("volumes/*/*.npy")} == files


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


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MR_truncated.dcm", "E_SOP_CLASS"),
        ("image_dfl.dcm", "E_SOP_CLASS"),
        ("693_J2KI.dcm", "E_TS_UNSUPPORTED"),
        ("no_meta.dcm", "E_NOT_DICOM"),
        ("rtdose.dcm", "E_SOP_CLASS"),
        ("CT_small.dcm", "E_PATIENT_ID"),
    ],
)
def test_odd_files_become_rows_with_a_reason(name: str, reason: str, tmp_path: Path) -> None:
    found = get_testdata_file(name, download=False)
    assert isinstance(found, str)
    shutil.copy(found, tmp_path / name)
    assert scan([tmp_path])["reason"].to_list() == [reason]


def test_a_truncated_slice_is_a_row_and_its_patient_survives(
    dicom_folder: Path, cohort: Cohort, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(dicom_folder, tree)
    victim = next(tree.rglob("*.dcm"))
    victim.write_bytes(victim.read_bytes()[:-500])
    assert scan([tree])["reason"].drop_nulls().to_list() == ["E_PIXEL_LEN"]


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
    with pytest.raises(DataError, match=r"holds no files|E_NOT_DICOM"):
        ingest([source], tmp_path / "out")
    assert not (tmp_path / "out").exists()


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
