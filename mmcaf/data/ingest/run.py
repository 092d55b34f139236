"""The order of ingestion: list, read headers, match boxes, choose stacks, cache, group, report.

`ingest` writes a cohort, `check` only says what it would be: all they differ in is whether what was
found is recorded. Killed at any moment, the next ingestion goes on from what is there and ends with
the same cohort; run again on the same sources, it writes nothing.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mmcaf.data import cohort
from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest import choose
from mmcaf.data.ingest.annotations import Annotations, read_annotations
from mmcaf.data.ingest.caching import StackTask, cache_stack, known_facts, stack_task
from mmcaf.data.ingest.choose import Built
from mmcaf.data.ingest.clinical import Clinical, read_sheets
from mmcaf.data.ingest.discovery import located
from mmcaf.data.ingest.index import Progress, scan
from mmcaf.data.ingest.voxels.plausibility import is_thorax
from mmcaf.data.ingest.workers import available_cores, spread
from mmcaf.data.ingest.writing import Ingested, Told, record, tell
from mmcaf.data.volumes import VolumeSpec
from mmcaf.errors import DataError
from mmcaf.files.atomic import flocked, is_temporary, make_folder, open_for_locking
from mmcaf.files.home import home_path
from mmcaf.files.names import folder_fault
from mmcaf.files.remote import cache_folder
from mmcaf.files.untrusted import straight

__all__ = ["check", "ingest"]

_MOST_WORKERS = 1000
_MANY_SLICES = 500  # worth starting processes for
Facts = dict[str, dict[str, Any]]  # patient -> facts of the cached volume


@dataclass(frozen=True, slots=True)
class _Sources:
    """What was given, read."""

    folders: list[Path]
    files: pl.DataFrame  # columns `index.INSTANCES`
    annotations: Annotations
    sheet: Clinical


def ingest(
    sources: Sequence[Path],
    out: Path,
    *,
    annotation_folder: Path | None = None,
    sheet: Path | None = None,
    in_plane_px: int = 208,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Cohort:
    """Read `sources` (folders of the collection's layout, or any other) into the folder `out`.

    Args:
        sources: where DICOM, annotations and clinical sheets lie.
        out: the cohort's folder.
        annotation_folder: where annotations lie, if not under the sources.
        sheet: the clinical sheet, XLSX or CSV, if it is not under the sources.
        in_plane_px: side of the cached slices.
        workers: processes to use; every core by default. They are spawned, so a script calls this
            under `if __name__ == "__main__":`, or with 1.
        progress: called with what is being done, how many are done, and of how many.

    Raises:
        DataError: nothing usable was found; nothing is written then. Or another ingestion into
            `out` is running, the sheet cannot be read, or `out` cannot have this name.
        OSError: the disk is full; what was there before is unchanged.
    """
    out = home_path(out)
    spec = VolumeSpec(in_plane_px)
    if fault := folder_fault(out):
        raise DataError(fault)
    existed = out.exists()
    try:
        with _alone(out):
            given = _Given.of(sources, annotation_folder, sheet)
            found = _found(given, out, spec, _processes(workers), progress)
            record(tell(found, out, spec), out)
            shutil.rmtree(out / "index", ignore_errors=True)
            _remove_stale(out, {task.volume.stem for task in found.tasks.values()})
            return cohort.load(out)
    except DataError:
        if not existed and not any(out.rglob("*.parquet")) and not any(out.rglob("*.npy")):
            shutil.rmtree(out, ignore_errors=True)
        raise


def check(
    sources: Sequence[Path],
    *,
    annotation_folder: Path | None = None,
    sheet: Path | None = None,
    in_plane_px: int = 208,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Told:
    """Read `sources` as `ingest` does, every pixel of what would be chosen too, and record nothing.

    Volumes lie in this program's cache meanwhile, for they are looked at; nothing is written into
    the sources or the working folder, and the cache is left as it was. What a killed check leaves
    there the next one removes.

    Args:
        sources: where DICOM, annotations and clinical sheets lie.
        annotation_folder: where annotations lie, if not under the sources.
        sheet: the clinical sheet, if it is not under the sources.
        in_plane_px: side of the slices that are looked at.
        workers: processes to use; every core by default.
        progress: called with what is being done, how many are done, and of how many.

    Raises:
        DataError: a source is missing or empty, or the sheet cannot be read.
        OSError: the disk of the cache is full.
    """
    spec = VolumeSpec(in_plane_px)
    given = _Given.of(sources, annotation_folder, sheet)
    with _aside() as place, _alone(place):
        found = _found(given, place, spec, _processes(workers), progress)
        return tell(found, place, spec)


def _processes(asked: int | None) -> int:
    found = asked or available_cores()
    if not 1 <= found <= _MOST_WORKERS:
        raise DataError(f"workers must be from 1 to {_MOST_WORKERS}, got {found}.")
    return found


@dataclass(frozen=True, slots=True)
class _Given:
    """What the user named."""

    folders: list[Path]
    sheet: Path | None

    @classmethod
    def of(
        cls, sources: Sequence[Path], annotation_folder: Path | None, sheet: Path | None
    ) -> _Given:
        folders = [home_path(source) for source in sources]
        if annotation_folder is not None:
            annotations = home_path(annotation_folder)
            if not any(_lies_in(annotations, source) for source in folders):
                folders.append(annotations)
        return cls(folders, None if sheet is None else home_path(sheet))


def _lies_in(folder: Path, source: Path) -> bool:
    return folder.resolve().is_relative_to(source.resolve())


def _found(
    given: _Given, out: Path, spec: VolumeSpec, workers: int, progress: Progress | None
) -> Ingested:
    """All that is found out; `out` keeps headers and volumes on the way."""
    read = _read(given.folders, out, given.sheet, workers, progress)
    return _cached(read, out, spec, workers, progress)


def _read(
    folders: list[Path], out: Path, sheet: Path | None, workers: int, progress: Progress | None
) -> _Sources:
    files = scan(folders, out=out, workers=workers, progress=progress)
    numbered = files.with_row_index("row")
    of_kind = {
        kind: {
            row: located(folders[source], path)
            for row, source, path in numbered.filter(
                (pl.col("kind") == kind) & pl.col("reason").is_null()
            )
            .select("row", "source", "path")
            .iter_rows()
        }
        for kind in ("annotation", "sheet")
    }
    in_tree = of_kind["sheet"]
    read = read_sheets([sheet] if sheet else [*in_tree.values()], found=sheet is None)
    if read.set_aside:
        rows = [[*in_tree][number] for number in read.set_aside]
        codes = pl.when(pl.int_range(pl.len()).is_in(rows)).then(pl.lit("E_SHEET"))
        files = files.with_columns(reason=codes.otherwise("reason"))
    annotations = read_annotations(of_kind["annotation"], _sizes(files))
    return _Sources(folders, files, annotations, read)


def _sizes(files: pl.DataFrame) -> dict[str, tuple[int, int]]:
    """SOPInstanceUID -> columns and rows of every slice that may be used."""
    usable = files.filter((pl.col("kind") == "image") & pl.col("reason").is_null())
    return {
        uid: (columns, rows)
        for uid, columns, rows in usable.select("sop_uid", "columns", "rows").iter_rows()
    }


def _cached(
    given: _Sources, out: Path, spec: VolumeSpec, workers: int, progress: Progress | None
) -> Ingested:
    """Choose and cache; what turns out to be unreadable or no thorax is left out, chosen anew."""
    files, folder = given.files, out / "volumes" / spec.digest
    while True:
        built = choose.build(files, given.annotations.boxes, given.sheet.patients)
        tasks = {
            name: stack_task(chosen, given.folders, folder, spec.in_plane_px)
            for name, chosen in built.chosen.items()
        }
        facts = _facts(tasks, workers, progress)
        ruled_out = dict(_found_unusable(built, facts))
        if not ruled_out:
            return Ingested(
                given.folders, files, given.annotations, given.sheet, built, tasks, facts
            )
        codes = pl.int_range(pl.len()).replace_strict(
            ruled_out, default=pl.col("reason"), return_dtype=pl.String
        )
        files = files.with_columns(reason=codes)


def _found_unusable(built: Built, facts: Facts) -> Iterator[tuple[int, str]]:
    """Rows of slices that only their pixels ruled out, each with its code.

    A stack with impossible HU is given up only where the patient has another: the last one stays,
    and ingestion ends with the patient left out for that reason.
    """
    for name, found in facts.items():
        rows = built.chosen[name].stack.slices["row"].to_list()
        if "unreadable" in found:
            yield from ((rows[z], "E_DECODE") for z in found["unreadable"])
        elif not is_thorax(found) and built.alternatives[name]:
            yield from ((row, "E_HU") for row in rows)


def _facts(tasks: dict[str, StackTask], workers: int, progress: Progress | None) -> Facts:
    facts = {name: found for name, task in tasks.items() if (found := known_facts(task))}
    todo = {name: task for name, task in tasks.items() if name not in facts}
    slices = sum(len(task.files) for task in todo.values())
    made = spread(cache_stack, todo.values(), workers if slices >= _MANY_SLICES else 1)
    for name, found in zip(todo, made, strict=True):
        facts[name] = found
        if progress is not None:
            progress("volumes", len(facts), len(tasks))
    return facts


@contextmanager
def _aside() -> Iterator[Path]:
    """A folder of this program's cache that is gone afterwards, with those of killed checks."""
    home = cache_folder() / "check"
    make_folder(home)
    for left in home.iterdir():
        with suppress(OSError), open_for_locking(left / ".lock") as lock:
            if flocked(lock, wait=False):
                shutil.rmtree(left, ignore_errors=True)
    place = Path(tempfile.mkdtemp(dir=home))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One ingestion into a folder at a time; leftovers of a killed one are swept away."""
    make_folder(out)
    with open_for_locking(out / ".lock") as lock:
        if not flocked(lock, wait=False):
            raise DataError(f"Another ingestion into {out} is running; wait for it.")
        sizes = [path for path in out.glob("volumes/*") if path.is_dir()]  # links among them
        for folder in (out / "index", out / "volumes", *sizes):
            straight(folder / "any", out)  # nothing is written or deleted through a link
        for leftover in out.rglob(".*.tmp-*"):
            if is_temporary(leftover.name):
                leftover.unlink(missing_ok=True)
        yield


def _remove_stale(out: Path, stems: set[str]) -> None:
    """Volumes of stacks that are not chosen any more, at every size."""
    for path in out.glob("volumes/*/*"):
        straight(path, out)
        if path.stem not in stems:
            path.unlink(missing_ok=True)
