"""What a dry run says of disk and hours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from mmcaf.data.cohort import Cohort
from mmstudy.study import open_study
from support.tiny_spec import TINY_SPEC

Command = Callable[..., tuple[int, str, str]]


def dry(command: Command, tmp_path: Path, cohort: Cohort, *more: str) -> dict[str, object]:
    code, out, err = command(
        *("run", str(tmp_path / "s.yaml"), "--cohort", str(cohort.folder)),
        *("--root", str(tmp_path), "--name", "s", "--inline", *more),
    )
    assert code == 0, err
    return dict(json.loads(out)) if "--dry-run" in more else {}


def test_hours_are_given_only_where_an_epoch_was_measured(
    command: Command, tmp_path: Path, cohort: Cohort
) -> None:
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(TINY_SPEC))
    before = dry(command, tmp_path, cohort, "--dry-run")
    assert "nothing is measured yet" in str(before["hours of computing at most"])
    assert not (tmp_path / "s").exists()
    dry(command, tmp_path, cohort, "--trials", "1")
    after = dry(command, tmp_path, cohort, "--dry-run", "--trials", "2001")
    hours, _, note = str(after["hours of computing at most"]).partition(" ")
    assert note.startswith("(from 4 measured epochs")
    rows = open_study(tmp_path / "s").metrics()
    spent = rows["seconds"].sum() + rows["prepare_seconds"].sum()
    assert float(hours) == pytest.approx(2000 * spent / 3600, rel=0.02, abs=0.01)


def test_the_disk_a_study_takes_is_about_what_was_told(
    command: Command, tmp_path: Path, cohort: Cohort
) -> None:
    from mmstudy.driver.drive import plan_study
    from mmstudy.driver.forecast import _checkpoint, _records, _volumes
    from mmstudy.spec.study_spec import parse_spec

    spec = parse_spec(TINY_SPEC | {"data": {"window": [8, 24, 24], "tile_stride": 8}})
    plan = plan_study(spec, cohort=cohort.folder, root=tmp_path, name="s")
    told, checkpoint, records = _volumes(plan), _checkpoint(plan), _records(plan)
    from mmcaf.data.volumes import VolumeSpec
    from mmstudy.driver.drive import run_study
    from mmstudy.driver.inline import InlineRunner

    kept: list[int] = []

    def notify(_: object) -> None:
        kept.extend(p.stat().st_size for p in tmp_path.rglob("last.safetensors"))

    run_study(plan, InlineRunner(), notify=notify, progress=lambda *_: None)
    assert _volumes(plan) == 0
    folder = cohort.folder / "volumes" / VolumeSpec(*plan.in_plane_px).digest
    made = sum(p.stat().st_size for p in folder.glob("*.npy"))
    assert told == pytest.approx(made, rel=0.05)
    assert max(kept) <= checkpoint <= 1.25 * max(kept)  # what gets no gradient has no moments
    tables = sum(p.stat().st_size for p in (tmp_path / "s").rglob("*.parquet"))
    assert 0.3 < records / tables < 3
