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
    is_thorax,
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


def test_slices_that_cannot_be_read_are_said_and_nothing_is_written(
    task: StackTask, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(task.files[1].read_bytes()[:-500])
    files = (task.files[0], cut, *task.files[2:5], cut)
    assert cache_stack(replace(task, files=files)) == {"unreadable": [1, 5]}
    assert not task.volume.exists()
    assert not task.facts.exists()


def test_a_file_that_is_gone_is_no_fault_of_the_slice(task: StackTask, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        cache_stack(replace(task, files=(*task.files, tmp_path / "gone.dcm")))
    assert not task.volume.exists()


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


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"hu_p01": -500.0}, False),  # no air round the body
        ({"hu_p01": -2000.0}, False),
        ({"hu_p99": 2500.0}, False),
        ({"hu_p99": -950.0}, False),
        ({"lung_share": 0.04}, False),
        ({"lung_share": 0.05}, True),
    ],
)
def test_a_thorax_has_air_lung_and_hardly_any_metal(change: dict[str, float], holds: bool) -> None:
    assert is_thorax({"hu_p01": -1000.0, "hu_p99": 300.0, "lung_share": 0.3} | change) is holds
