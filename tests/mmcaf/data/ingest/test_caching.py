"""One chosen stack -> its cached volume and the facts beside it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmcaf.data.ingest.annotations import BOXES
from mmcaf.data.ingest.caching import (
    StackTask,
    cache_stack,
    known_facts,
    stack_task,
)
from mmcaf.data.ingest.choose import Chosen, build
from mmcaf.data.ingest.clinical import CLINICAL_SHEET
from mmcaf.data.ingest.dicom import read_hu
from mmcaf.data.ingest.index import scan


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, dicom_folder: Path) -> Chosen:
    """One patient of the synthetic tree, chosen without its annotations."""
    files = scan([dicom_folder])
    name = files["patient_id"].drop_nulls().sort()[0]
    files = files.with_columns(
        reason=pl.when(pl.col("patient_id") == name).then("reason").otherwise(pl.lit("E_RGB"))
    )
    return build(files, pl.DataFrame(schema=BOXES), pl.DataFrame(schema=CLINICAL_SHEET)).chosen[
        name
    ]


@pytest.fixture
def task(patient: Chosen, dicom_folder: Path, tmp_path: Path) -> StackTask:
    made = stack_task(patient, [dicom_folder], tmp_path / "volumes", 24)
    return replace(made, boxes=((3, 8.0, 8.0, 24.0, 24.0),))


def patient_of(chosen: Chosen) -> str:
    return str(chosen.stack.slices["patient_id"][0])


def planes(task: StackTask) -> np.ndarray:
    return np.stack([read_hu(path, task.shape) for path in task.files])


def test_the_volume_is_the_stack_from_foot_to_head_at_the_cached_size(task: StackTask) -> None:
    facts = cache_stack(task)
    volume = np.load(task.volume)
    full = planes(task)
    assert volume.shape == (len(task.files), 24, 24)
    assert volume.dtype == np.int16
    # 48 -> 24 by area: each pixel is the mean of four.
    means = full.reshape(len(full), 24, 2, 24, 2).astype(float).mean(axis=(2, 4))
    assert np.abs(volume - means).max() <= 0.51
    assert facts["shape"] == list(volume.shape)
    assert facts["sha256"] == hashlib.sha256(volume.tobytes()).hexdigest()
    assert facts["z_mm"] == sorted(facts["z_mm"]) == list(task.z_mm)


def test_the_lesion_s_hu_is_the_mean_of_the_middle_half_of_its_boxes(task: StackTask) -> None:
    full = planes(task)
    assert cache_stack(task)["lesion_hu"] == pytest.approx(full[3, 12:20, 12:20].mean(), abs=0.01)
    two = replace(task, boxes=(*task.boxes, (5, 0.0, 0.0, 4.0, 4.0)))
    cores = np.concatenate([full[3, 12:20, 12:20].ravel(), full[5, 1:3, 1:3].ravel()])
    assert cache_stack(two)["lesion_hu"] == pytest.approx(cores.mean(), abs=0.01)
    assert cache_stack(replace(task, boxes=()))["lesion_hu"] is None


def test_a_box_is_where_the_annotation_has_it(
    patient: Chosen, dicom_folder: Path, tmp_path: Path
) -> None:
    marks = [(patient.stack.slices["sop_uid"][3], 4.0, 20.0, 36.0, 28.0)]  # x, y, x, y
    files, sheet = scan([dicom_folder]), pl.DataFrame(schema=CLINICAL_SHEET)
    built = build(files, pl.DataFrame(marks, schema=BOXES, orient="row"), sheet)
    task = stack_task(built.chosen[patient_of(patient)], [dicom_folder], tmp_path, 24)
    middle = planes(task)[3, 22:26, 12:28]
    assert cache_stack(task)["lesion_hu"] == pytest.approx(middle.mean(), abs=0.01)


def test_a_box_of_a_pixel_still_has_a_middle(task: StackTask) -> None:
    tiny = replace(task, boxes=((2, 10.0, 10.0, 10.5, 10.5),))
    assert cache_stack(tiny)["lesion_hu"] == planes(task)[2, 10, 10]


def test_digests_tell_slices_apart_and_grey_ones_have_none(task: StackTask) -> None:
    found = cache_stack(replace(task, files=(*task.files[:3], task.files[0])))["slice_digests"]
    assert found[0] == found[3] is not None
    assert len(set(found)) == 3


def test_facts_are_known_only_of_a_whole_volume(task: StackTask) -> None:
    assert known_facts(task) is None
    facts = cache_stack(task)
    assert known_facts(task) == facts == json.loads(task.facts.read_text())
    whole = task.volume.read_bytes()
    task.volume.write_bytes(whole[:-100])
    assert known_facts(task) is None
    np.save(task.volume, np.zeros((3, 24, 24), dtype=np.int16))  # of another shape
    assert known_facts(task) is None
    task.volume.write_bytes(whole)
    task.facts.write_text("{")
    assert known_facts(task) is None


def test_facts_of_a_version_that_did_not_judge_are_made_anew(task: StackTask) -> None:
    facts = cache_stack(task)
    for lost in ("findings", "oddities"):
        task.facts.write_text(json.dumps({k: v for k, v in facts.items() if k != lost}))
        assert known_facts(task) is None
    assert cache_stack(task) == facts == known_facts(task)


def test_what_the_pixels_contradict_is_a_fact(task: StackTask) -> None:
    facts = cache_stack(task)
    assert (facts["findings"], facts["oddities"]) == ([], [])
    files = (*task.files[:4], task.files[3], *task.files[5:])
    assert {"reason": "W_SLICE_DOUBLE", "slices": [3, 4], "amount": 2.0} in cache_stack(
        replace(task, files=files)
    )["findings"]
    backwards = (*task.files[1::-1], *task.files[2:])
    (found,) = cache_stack(replace(task, files=backwards))["findings"]
    assert (found["reason"], found["slices"]) == ("W_SLICE_ORDER", [0, 1])


def test_pixels_are_measured_at_the_cached_size(task: StackTask) -> None:
    assert task.spacing_mm == (7.5, 7.5)
    wide = replace(task, spacing_mm=(15.0, 15.0))
    assert cache_stack(wide)["oddities"] == ["W_BODY_SIZE"]
    finer = replace(task, volume=task.volume.with_name("finer.npy"), in_plane_px=48)
    assert cache_stack(finer)["oddities"] == []


def test_slices_that_cannot_be_read_are_said_and_nothing_is_written(
    task: StackTask, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(task.files[1].read_bytes()[:-500])
    files = (task.files[0], cut, *task.files[2:5], cut)
    assert cache_stack(replace(task, files=files)) == {"unreadable": [1, 5]}
    assert not task.volume.exists()
    assert not task.facts.exists()


def test_a_file_that_is_gone_by_now_is_said_like_one_that_cannot_be_decoded(
    task: StackTask, tmp_path: Path
) -> None:
    gone = replace(task, files=(*task.files[:2], tmp_path / "gone", *task.files[3:]))
    assert cache_stack(gone) == {"unreadable": [2]}
    assert not task.volume.exists()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that fails to read")
def test_a_disk_that_fails_stops_and_the_file_is_named(task: StackTask, tmp_path: Path) -> None:
    failing = tmp_path / "failing.dcm"
    failing.symlink_to("/proc/self/mem")  # its first page is mapped nowhere
    with pytest.raises(OSError, match="Input/output error") as caught:
        cache_stack(replace(task, files=(*task.files[:2], failing, *task.files[3:])))
    assert caught.value.filename == str(failing)


def test_a_volume_is_named_by_its_slices_and_boxes_not_by_its_folder(
    patient: Chosen, dicom_folder: Path, tmp_path: Path
) -> None:
    one = stack_task(patient, [dicom_folder], tmp_path / "a", 24)
    other = stack_task(patient, [dicom_folder], tmp_path / "b", 24)
    assert one.volume.name == other.volume.name
    box = pl.DataFrame({"z": [1], "x_min": [1.0], "y_min": [1.0], "x_max": [2.0], "y_max": [2.0]})
    marked = stack_task(replace(patient, boxes=box), [dicom_folder], tmp_path / "a", 24)
    touched = patient.stack.slices.with_columns(mtime_ns=pl.col("mtime_ns") + 1)
    newer = replace(patient, stack=replace(patient.stack, slices=touched))
    changed = stack_task(newer, [dicom_folder], tmp_path / "a", 24)
    assert len({one.volume.name, marked.volume.name, changed.volume.name}) == 3
