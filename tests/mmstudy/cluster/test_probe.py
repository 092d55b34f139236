"""What a cluster finds out about itself: each part in this process; the whole is a job."""

from __future__ import annotations

import ast
import platform
import socket
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
import yaml

from mmcaf.data.cohort import Cohort
from mmstudy.cluster import probe
from support.tiny_spec import TINY_SPEC


class TestMark:
    def test_a_file_is_left_for_others_to_see_and_taken_away_with_its_folders(
        self, tmp_path: Path
    ) -> None:
        root = tmp_path / "new" / "studies"
        marker, made, fault = probe.mark(str(root))
        assert fault is None
        assert marker is not None
        assert Path(marker).parent == root
        assert made == [root, root.parent]
        probe.unmark(marker, made)
        assert list(tmp_path.iterdir()) == []

    def test_what_was_there_before_stays(self, tmp_path: Path) -> None:
        (tmp_path / "study").mkdir()
        marker, made, _ = probe.mark(str(tmp_path))
        assert made == []
        probe.unmark(marker, made)
        assert [one.name for one in tmp_path.iterdir()] == ["study"]

    def test_a_folder_that_somebody_has_used_meanwhile_stays(self, tmp_path: Path) -> None:
        marker, made, _ = probe.mark(str(tmp_path / "new" / "studies"))
        (tmp_path / "new" / "other").touch()
        probe.unmark(marker, made)
        assert [one.name for one in (tmp_path / "new").iterdir()] == ["other"]

    def test_two_probes_at_once_do_not_meet(self, tmp_path: Path) -> None:
        first, second = probe.mark(str(tmp_path)), probe.mark(str(tmp_path))
        assert first[0] != second[0]
        probe.unmark(*first[:2])
        assert [str(one) for one in tmp_path.iterdir()] == [second[0]]

    def test_a_root_that_cannot_be_written_is_told_and_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        marker, made, fault = probe.mark(str(tmp_path / "file" / "studies"))
        assert (marker, fault) == (None, "Not a directory")
        probe.unmark(marker, made)
        assert [one.name for one in tmp_path.iterdir()] == ["file"]


class TestHere:
    def test_it_says_what_this_process_has(self, tmp_path: Path, cohort: Cohort) -> None:
        marker, made, _ = probe.mark(str(tmp_path))
        found = probe.here(str(cohort.folder), marker)
        probe.unmark(marker, made)
        assert found == {
            "host": socket.gethostname(),
            "python": platform.python_version(),
            "ray": ray.__version__,
            "package": version("mmcaf-study"),
            "cohort": True,
            "root": True,
        }

    def test_a_marker_that_is_not_seen_is_another_folder(self, tmp_path: Path) -> None:
        assert probe.here("", str(tmp_path / "none"))["root"] is False
        assert probe.here("", None)["root"] is True

    @pytest.mark.parametrize(
        ("folder", "known"), [("", None), ("s3://bucket/cohort", None), ("/nowhere", False)]
    )
    def test_a_cohort_at_an_address_cannot_be_known(self, folder: str, known: bool | None) -> None:
        assert probe.is_cohort(folder) is known

    def test_a_folder_without_a_table_is_no_cohort(self, tmp_path: Path) -> None:
        assert probe.is_cohort(str(tmp_path)) is False


def test_a_trial_s_packages_are_tried() -> None:
    assert probe.smoke(0.0) == torch.__version__


def test_what_goes_wrong_is_its_last_line() -> None:
    def fails() -> None:
        raise ValueError("first\nlast line\n")

    assert probe.tried(lambda: 3) == (3, None)
    assert probe.tried(fails) == (None, "last line")


def test_waiting_too_long_is_being_busy() -> None:
    def waits() -> None:
        raise ray.exceptions.GetTimeoutError("no answer")

    assert probe.tried(waits) == (None, "busy")


@pytest.mark.parametrize(
    ("changes", "told"),
    [({}, None), ({"train": {"epochs": 0}}, "epochs")],
)
def test_a_rehearsal_is_the_study_s_own_dry_run(
    tmp_path: Path, cohort: Cohort, changes: dict[str, Any], told: str | None
) -> None:
    arguments = ["--cohort", str(cohort.folder), "--root", str(tmp_path), "--name", "s"]
    wanted = {
        "spec": yaml.safe_dump(TINY_SPEC | changes),
        "spec_name": "my space.yaml",
        "arguments": arguments,
    }
    found = probe.rehearse(wanted)
    assert (found is None) if told is None else (told in str(found))
    assert list(tmp_path.iterdir()) == []


def test_it_needs_nothing_that_a_node_may_lack() -> None:
    """Sent as text to a cluster without this package: Python's own library and Ray at the top."""
    tree = ast.parse(Path(probe.__file__).read_text("utf-8"))
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    tops = {name.partition(".")[0] for name in names}
    assert tops - set(sys.stdlib_module_names) - {"__future__"} == {"ray"}
