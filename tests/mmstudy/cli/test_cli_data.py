"""`mmstudy data`: a cohort made, read and looked at, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mmcaf.data.cohort import Cohort, load

Command = Callable[..., tuple[int, str, str]]
SMALL = ("--patients", "12", "--size", "32", "--slices", "12")


def test_a_cohort_is_made_read_and_shown(command: Command, tmp_path: Path) -> None:
    dicom, out = tmp_path / "dicom", tmp_path / "cohort"
    code, made, _ = command("data", "synth", str(dicom), *SMALL, "--seed", "3")
    assert code == 0
    assert "SYNTHETIC" in made
    options = ("--out", str(out), "--in-plane", "32", "--jobs", "1")
    code, shown, err = command("data", "ingest", str(dicom), *options)
    assert code == 0
    assert f"To look at: {out / 'ingest_report.html'}" in err
    report = json.loads(shown)
    assert report["origin"] == "SYNTHETIC"
    found = load(out)
    assert report["digest"] == found.digest
    assert found.in_plane_px == 32
    assert command("data", "show", str(out))[1] == shown


def test_another_seed_is_another_cohort(command: Command, tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", "1"), ("b", "2")):
        command("data", "synth", str(tmp_path / name), *SMALL, "--seed", seed)
        slices = sorted((tmp_path / name).rglob("*.dcm"))
        digests.append(slices[0].read_bytes())
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("synth", "OUT", "--faults", *SMALL), "--faults needs --patients"),
        (("synth", "OUT", "--variant", "magic"), "magic"),
        (("synth", "OUT", "--patients", "-3"), "patients"),
        (("ingest", "OUT/none", "--out", "OUT/c"), "No folder"),
        (("ingest", "OUT", "--out", "OUT/c", "--in-plane", "8"), "Need 16 <= in_plane_px"),
        (("ingest", "OUT", "--out", "OUT/c", "--jobs", "0"), "--jobs"),
        (("show", "OUT"), "No cohort in"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_made(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    given = [one.replace("OUT", str(tmp_path)) for one in arguments]
    code, out, err = command("data", *given)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_was_copied_in_part_is_told(
    command: Command, cohort: Cohort, tmp_path: Path
) -> None:
    for name in ("cohort.json", "cohort.parquet"):
        (tmp_path / name).write_bytes((cohort.folder / name).read_bytes())
    (tmp_path / "ingest_report.json").write_text("{")
    code, out, err = command("data", "show", str(tmp_path))
    assert (code, out) == (2, "")
    assert "ingest_report.json" in err


@pytest.mark.parametrize(
    ("at", "folder", "file"),
    [(None, "700", "600"), (0, "755", "644"), (2, "755", "644"), (6, "755", "644")],
)
def test_what_is_ingested_is_private_unless_it_is_to_be_shared(
    command: Command, dicom_folder: Path, tmp_path: Path, at: int | None, folder: str, file: str
) -> None:
    out = tmp_path / "c"
    words = ["data", "ingest", str(dicom_folder), "--out", str(out), "--in-plane=48"]
    if at is not None:
        words.insert(at, "--shared")
    code, _, err = command(*words)
    assert code == 0, err
    modes = {path: f"{path.stat().st_mode & 0o777:o}" for path in out.rglob("*")}
    key = out / "cohort.key"
    assert modes.pop(key) == "600"  # never shared
    assert {modes[path] for path in modes if path.is_dir()} == {folder}
    assert {modes[path] for path in modes if path.is_file()} == {file}
    assert f"{out.stat().st_mode & 0o777:o}" == folder


def test_what_others_write_for_the_program_is_private_too(command: Command, tmp_path: Path) -> None:
    code, _, err = command("data", "synth", str(tmp_path / "d"), "--patients", "4", "--size", "32")
    assert code == 0, err
    found = [tmp_path / "d", *(tmp_path / "d").rglob("*")]
    assert {path for path in found if path.stat().st_mode & 0o077} == set()
