"""`mmstudy data`: a cohort made, read and looked at, in this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
import typer

from mmcaf.data.cohort import Cohort, load
from mmcaf.data.ingest.rules import CODES
from mmcaf.files.atomic import flocked, open_for_locking
from mmstudy.cli.main import app, told
from mmstudy.study import open_study
from support.made_study import made_study
from support.rights import open_folder, ordinary_user

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
    written = json.loads((out / "ingest_report.json").read_text(encoding="utf-8"))
    assert written.keys() - report.keys() == {"choices"}  # long, and shown on the page
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
        (("check", "OUT/none"), "No folder"),
        (("check", "OUT", "--in-plane", "8"), "Need 16 <= in_plane_px"),
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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_check_says_what_an_ingestion_does_and_writes_nothing_but_the_page(
    command: Command, dicom_folder: Path, cohort: Cohort, tmp_path: Path, cache: Path
) -> None:
    before = sorted(dicom_folder.rglob("*"))
    page = tmp_path / "page.html"
    words = ("check", str(dicom_folder), "--in-plane=48", "--jobs=1", f"--page={page}", "-fjson")
    code, out, err = command("data", *words)
    assert code == 0, err
    found = json.loads(out)
    assert found["digest"] == cohort.digest
    assert found["doubts"] == {}
    ingested = json.loads((cohort.folder / "ingest_report.json").read_text())
    assert {key: found[key] for key in ingested} == ingested
    assert "Ingestion report" in page.read_text()
    assert sorted(dicom_folder.rglob("*")) == before
    assert sorted(tmp_path.iterdir()) == [cache, page]
    assert list((cache / "check").iterdir()) == []


def test_a_check_ends_with_4_and_names_patient_reason_and_remedy(
    command: Command, dicom_folder: Path, tmp_path: Path, cache: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(dicom_folder, tree)
    for path in sorted(next(tree.glob("manifest-*/*/Lung_Dx-A9002")).rglob("*.dcm")):
        path.write_bytes(path.read_bytes()[:-100])
    code, out, err = command("data", "check", str(tree), "--in-plane=48", "--jobs=1")
    assert code == 4
    (line,) = [line for line in out.splitlines() if line.startswith("A9002 ")]
    assert "E_PIXEL_LEN" in line
    assert CODES["E_PIXEL_LEN"] in line
    assert "Download or copy the files again." in line
    assert "1 patients left out" in err


def test_a_check_where_nothing_can_be_used_says_why(
    command: Command, tmp_path: Path, cache: Path
) -> None:
    folder = tmp_path / "data" / "Lung_Dx-A0001"
    folder.mkdir(parents=True)
    (folder / "1.dcm").write_text("no image")
    page = tmp_path / "page.html"
    code, out, _ = command("data", "check", str(folder.parent), f"--page={page}")
    assert code == 4
    assert "A0001  E_NOT_DICOM  1" in out
    assert "A0001" in page.read_text()


def test_what_a_killed_check_left_is_swept_by_the_next(
    command: Command, dicom_folder: Path, cache: Path
) -> None:
    left = cache / "check" / "of-a-killed-one"
    left.mkdir(parents=True)
    (left / "volume.npy").write_bytes(b"x")
    going = cache / "check" / "of-another-that-runs"
    going.mkdir()
    with open_for_locking(going / ".lock") as lock:
        assert flocked(lock, wait=False)
        assert command("data", "check", str(dicom_folder), "--in-plane=48", "--jobs=1")[0] == 0
        assert list((cache / "check").iterdir()) == [going]


def test_the_home_folder_is_meant_wherever_a_path_is_given(
    command: Command,
    dicom_folder: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "tree").symlink_to(dicom_folder)
    options = ("--in-plane=48", "--jobs=1")
    assert command("data", "ingest", "~/tree", "--out=~/c", *options)[0] == 0
    assert command("data", "show", "~/c")[0] == 0
    assert command("data", "check", "~/tree", "--page=~/p.html", *options)[0] == 0
    assert command("data", "synth", "~/d", "--patients=4", "--size=32", "--slices=12")[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"tree", "c", "p.html", "d", "cache"}


def path_parameters(of: typer.Typer) -> Iterator[tuple[str, Any]]:
    """Name and description of every parameter that is a path, or several."""
    for command in of.registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            if get_origin(hint) is Annotated and "Path" in str(get_args(hint)[0]):
                yield f"{command.callback.__name__}: {name}", get_args(hint)[1]
    for group in of.registered_groups:
        assert group.typer_instance is not None
        yield from path_parameters(group.typer_instance)


def test_every_option_and_argument_that_is_a_path_knows_the_home_folder() -> None:
    found = dict(path_parameters(app))
    assert len(found) > 15
    assert [name for name, told in found.items() if told.parser is None] == []


def test_a_closed_file_or_folder_is_told_with_its_path(
    command: Command, dicom_folder: Path, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_folder() as folder:
        monkeypatch.setenv("MMCAF_CACHE", str(folder / "cache"))
        tree = folder / "tree"
        shutil.copytree(dicom_folder, tree)
        for path in [tree, *tree.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        command("data", "check", str(tree), "--in-plane=48", "--jobs=1")  # imports all it needs
        (folder / "cache").chmod(0o777)
        (folder / "cache" / "check").chmod(0o777)
        closed = next(tree.glob("manifest-*/*/Lung_Dx-A9002"))
        closed.chmod(0)
        page = folder / "closed" / "page.html"
        page.parent.mkdir(mode=0o700)
        with ordinary_user():
            words = ("check", str(tree), "--in-plane=48", "--jobs=1")
            code, out, _ = command("data", *words)
            unwritten, _, told = command("data", *words, f"--page={page}")
    assert code == 4
    assert "A9002  E_NO_ACCESS  1" in out
    assert f"{closed.relative_to(tree)}  E_NO_ACCESS" in out
    assert unwritten == 1
    assert f"Cannot write {page}: Permission denied" in told


def test_a_fault_of_the_system_without_a_name_says_how_to_find_it() -> None:
    assert told(OSError(5, "Input/output error")) == "Input/output error; --debug shows where."
    assert told(OSError(5, "Input/output error", "a.dcm")).startswith("a.dcm: Input/output error")
    assert told(OSError(5, "Cannot write a.dcm.")) == "Cannot write a.dcm."


def test_python_knows_the_home_folder_too(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(cohort.folder.parent))
    assert load(Path("~") / cohort.folder.name).digest == cohort.digest
    monkeypatch.setenv("HOME", str(tmp_path))
    made_study(tmp_path)
    assert open_study("~/made").name == open_study(tmp_path / "made").name
