"""The order of ingestion: list, read headers, match boxes, choose stacks, cache, group, report.

Killed at any moment, the next run goes on from what is there and ends with the same cohort; run
again on the same sources, it writes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from mmcaf.data import cohort
from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest import choose, clinical
from mmcaf.data.ingest.annotations import Annotations, read_annotations
from mmcaf.data.ingest.caching import StackTask, cache_stack, is_thorax, known_facts, stack_task
from mmcaf.data.ingest.choose import Built
from mmcaf.data.ingest.index import Progress, scan
from mmcaf.data.ingest.workers import available_cores, spread
from mmcaf.data.ingest.writing import Ingested, record
from mmcaf.data.volumes import VolumeSpec
from mmcaf.errors import DataError
from mmcaf.files.atomic import flocked, make_folder, open_for_locking
from mmcaf.files.names import folder_fault
from mmcaf.files.untrusted import straight

__all__ = ["ingest"]

_MANY_SLICES = 500  # worth starting processes for
Facts = dict[str, dict[str, Any]]  # patient -> facts of the cached volume


@dataclass(frozen=True, slots=True)
class _Sources:
    """What was given, read."""

    folders: list[Path]
    files: pl.DataFrame  # columns `index.INSTANCES`
    annotations: Annotations
    sheet: pl.DataFrame


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
        sheet: the clinical sheet, if it is not under the sources.
        in_plane_px: side of the cached slices.
        workers: processes to use; every core by default. They are spawned, so a script calls this
            under `if __name__ == "__main__":`, or with 1.
        progress: called with what is being done, how many are done, and of how many.

    Raises:
        DataError: nothing usable was found; nothing is written then. Or another ingestion into
            `out` is running, the sheet cannot be read, or `out` cannot have this name.
        OSError: the disk is full; what was there before is unchanged.
    """
    spec = VolumeSpec(in_plane_px)
    if fault := folder_fault(out):
        raise DataError(fault)
    workers = workers or available_cores()
    folders = list(sources)
    if annotation_folder and not any(_lies_in(annotation_folder, source) for source in sources):
        folders.append(annotation_folder)
    existed = out.exists()
    try:
        with _alone(out):
            given = _read(folders, out, sheet, workers, progress)
            found = _cached(given, out, spec, workers, progress)
            record(found, out, spec)
            shutil.rmtree(out / "index", ignore_errors=True)
            _remove_stale(out, {task.volume.stem for task in found.tasks.values()})
            return cohort.load(out)
    except DataError:
        if not existed and not any(out.rglob("*.parquet")) and not any(out.rglob("*.npy")):
            shutil.rmtree(out, ignore_errors=True)
        raise


def _lies_in(folder: Path, source: Path) -> bool:
    return folder.resolve().is_relative_to(source.resolve())


def _read(
    folders: list[Path], out: Path, sheet: Path | None, workers: int, progress: Progress | None
) -> _Sources:
    files = scan(folders, out=out, workers=workers, progress=progress)
    numbered = files.with_row_index("row")
    of_kind = {
        kind: {
            row: folders[source] / path
            for row, source, path in numbered.filter(
                (pl.col("kind") == kind) & pl.col("reason").is_null()
            )
            .select("row", "source", "path")
            .iter_rows()
        }
        for kind in ("annotation", "sheet")
    }
    sheets = [sheet] if sheet else list(of_kind["sheet"].values())
    empty = pl.DataFrame(schema=clinical.CLINICAL_SHEET)
    rows = pl.concat([empty, *(clinical.read_sheet(path) for path in sheets)])
    return _Sources(
        folders=folders,
        files=files,
        annotations=read_annotations(of_kind["annotation"]),
        sheet=rows.unique("patient_id", keep="first", maintain_order=True),
    )


def _cached(
    given: _Sources, out: Path, spec: VolumeSpec, workers: int, progress: Progress | None
) -> Ingested:
    """Choose and cache; what turns out to be unreadable or no thorax is left out, chosen anew."""
    files, folder = given.files, out / "volumes" / spec.digest
    while True:
        built = choose.build(files, given.annotations.boxes, given.sheet)
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
            leftover.unlink(missing_ok=True)
        yield


def _remove_stale(out: Path, stems: set[str]) -> None:
    """Volumes of stacks that are not chosen any more, at every size."""
    for path in out.glob("volumes/*/*"):
        straight(path, out)
        if path.stem not in stems:
            path.unlink(missing_ok=True)
