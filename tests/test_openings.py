"""Where the code opens a file, and why it may: everything else goes through `untrusted`.

A file of a study, a benchmark root, explanations or a cohort may come from a stranger. Whoever adds
an opening reads with `mmcaf.files.untrusted`, or says here why the file is no stranger's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.house import modules
from support.openings import Opening, openings

FIRST_CHECKED = "the way to it is checked by untrusted, a line before"
THE_USERS = "a file that the user named on the command line, in the spec or in the environment"
SOURCE = "images and tables to be ingested: found by a walk that follows no link"
OWN = "a file of this package, or of the machine"
TEMPORARY = "a new file that this function has made"
ALLOWED = {  # module, function: why
    ("mmcaf.data.ingest.annotations", "_read"): SOURCE,
    ("mmcaf.data.ingest.decode", "_limit_memory"): OWN,
    ("mmcaf.data.ingest.dicom", "_header"): SOURCE,
    ("mmcaf.data.ingest.dicom", "read_plane"): SOURCE,
    ("mmcaf.data.ingest.dicom", "read_stored"): SOURCE,
    ("mmcaf.data.ingest.series.identity", "_bytes"): SOURCE,
    ("mmcaf.data.ingest.index", "read_table"): "of what open_regular gave",
    ("mmcaf.data.ingest.report", "incomplete_series"): SOURCE,
    ("mmcaf.data.ingest.run", "_aside"): "in this program's own cache",
    ("mmcaf.data.ingest.run", "ingest"): "what this ingestion has made; links in it stay",
    ("mmcaf.data.ingest.sheet.workbook", "_open"): "of bytes that untrusted has read",
    ("mmcaf.files.atomic", "sync_folder"): "a folder, of which nothing is read",
    ("mmcaf.files.atomic", "open_for_locking"): "follows no link, truncates nothing",
    ("mmcaf.files.checkpoint", "load"): FIRST_CHECKED,
    ("mmcaf.files.untrusted", "open_array"): "of what open_regular gave",
    ("mmcaf.files.untrusted", "open_regular"): "the one that does it",
    ("mmcaf.files.untrusted", "read_if_small"): "another one, for thousands of files",
    ("mmcaf.net.comparators.sam_msca.network", "load_encoder"): FIRST_CHECKED,
    ("mmstudy.analysis.listing", "_rows"): FIRST_CHECKED,
    ("mmstudy.cluster.probe", "mark"): TEMPORARY,
    ("mmstudy.cluster.probe", "rehearse"): TEMPORARY,
    ("mmstudy.cluster.submit", "_look"): THE_USERS,
    ("mmstudy.comparison.published", "published"): OWN,
    ("mmstudy.driver.on_ray", "RayRunner.run"): OWN,
    ("mmstudy.driver.on_ray", "_Asker.save"): TEMPORARY,
    ("mmstudy.provenance", "cpu_name"): OWN,
    ("mmstudy.ray_env", "token"): THE_USERS,
    ("mmstudy.search.journal", "_FileLines.append_logs"): "follows no link, truncates nothing",
    ("mmstudy.serving", "_public_host"): THE_USERS,
    ("mmstudy.storage.folder", "StudyFolder.delete"): "links are unlinked, not followed",
    ("mmstudy.storage.folder", "StudyFolder.put_aside"): "a link is copied as a link",
    ("mmstudy.storage.mirror", "pull"): "in this program's own cache",
    ("mmstudy.storage.parquet", "_readable"): FIRST_CHECKED,
    ("mmstudy.storage.parquet", "_scan"): FIRST_CHECKED,
}
ELSEWHERE = ("mmcaf.data.cohort", "mmcaf.data.node_cache", "mmcaf.data.volumes")
"""Whose openings their own tests are about."""


def found() -> Iterator[Opening]:
    for name, file in modules().items():
        ours = name.split(".")[0] in ("mmcaf", "mmstudy") and name not in ELSEWHERE
        if ours and not name.startswith("mmcaf.data.synthetic"):  # writes what it was asked for
            yield from openings(name, file.read_text("utf-8"))


def test_every_opening_is_checked_or_known() -> None:
    strange = {one for one in found() if one[:2] not in ALLOWED}
    assert not strange, "read it with mmcaf.files.untrusted, or write with StudyFolder"


def test_nothing_is_allowed_that_is_not_there() -> None:
    assert ALLOWED.keys() == {one[:2] for one in found()}


@pytest.mark.parametrize(
    "line",
    [
        "path.read_text()",
        "open(path)",
        "np.load(path)",
        "pl.scan_parquet(path)",
        "safe_open(path)",
        "shutil.rmtree(path)",
        "(folder / 'x').open('rb')",
        "os.open(path, 0)",
    ],
)
def test_an_opening_is_found(line: str) -> None:
    assert [*openings("m", f"def f():\n    return {line}")] != []


@pytest.mark.parametrize("line", ["read_bytes(path)", "beside.write_text('x')", "self.load(1)"])
def test_what_is_none_is_not(line: str) -> None:
    """`untrusted.read_bytes`, the hidden file of `replacing`, something else's `load`."""
    assert [*openings("m", f"def f():\n    return {line}")] == []
