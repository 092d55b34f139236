"""Every file of the sources -> one row each: what it is, its header, or why it is not used.

Headers once read are kept in the cohort's folder and read again only where size or time of the file
have changed, so an interrupted scan goes on where it ended and a second one reads nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from mmcaf.data.ingest.dicom import HEADER, read_header
from mmcaf.data.ingest.discovery import Found, find_files, located
from mmcaf.data.ingest.series.identity import verdicts_of_copies
from mmcaf.data.ingest.workers import in_groups, spread
from mmcaf.errors import DataError
from mmcaf.files.atomic import replacing
from mmcaf.files.untrusted import checked, open_regular

__all__ = ["INSTANCES", "Progress", "read_table", "scan", "write_table"]

INSTANCES: dict[str, Any] = {
    "source": pl.Int32,  # index of the source folder
    "path": pl.String,  # relative to it
    "kind": pl.String,  # image, annotation, sheet, download_list, companion, folder
    "bytes": pl.Int64,
    "mtime_ns": pl.Int64,
    **HEADER,
}
_KEY = ("source", "path", "bytes", "mtime_ns")
# Verdicts that other files, the pixels or what is installed took part in are reached every time.
_REACHED_LATER = [
    "E_DUP_SOP",
    "E_DUP_SOP_CONFLICT",
    "E_DUP_PIXELS",
    "E_DECODE",
    "E_TS_UNSUPPORTED",
]
_CHUNK = 128  # headers read by one task
_PART = 16  # tasks whose rows are kept together
_MANY = 1024  # files worth starting processes for

Progress = Callable[[str, int, int], None]  # what, done, of


def scan(
    sources: Sequence[Path],
    *,
    out: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """One row per file, columns `INSTANCES`, in the order of sources and paths.

    Args:
        sources: folders to look through.
        out: the cohort's folder: it is left out, and its `index` keeps an unfinished scan's rows.
        workers: processes to read headers with.
        progress: called as files are done.

    Raises:
        DataError: a source is missing or empty.
    """
    kept = out / "index" if out is not None else None
    found = [
        file
        for index, source in enumerate(sources)
        for file in find_files(source, index, without=out)
    ]
    listed = pl.DataFrame(
        [(f.source, f.path, f.kind, f.bytes, f.mtime_ns) for f in found],
        schema={name: INSTANCES[name] for name in ("source", "path", "kind", *_KEY[2:])},
        orient="row",
    )
    known = _known(kept)
    of_image = pl.col("kind") == "image"
    lacking = set(
        listed.filter(of_image).join(known, on=_KEY, how="anti").select("source", "path").rows()
    )
    todo = [file for file in found if (file.source, file.path) in lacking]
    fresh = _read(sources, todo, kept, workers, progress)
    headers = pl.concat([known.drop("kind"), fresh.drop("kind")]).unique(_KEY, keep="last")
    rows = listed.join(headers, on=_KEY, how="left", maintain_order="left").select(*INSTANCES)
    # Only what was turned away unopened has a reason without having been read.
    unopened = {(f.source, f.path): f.reason for f in found if f.reason}
    reasons = [
        unopened.get((source, path), reason)
        for source, path, reason in rows.select("source", "path", "reason").iter_rows()
    ]
    rows = rows.with_columns(reason=pl.Series(reasons, dtype=pl.String))
    return _without_copies(rows, sources)


def _known(kept: Path | None) -> pl.DataFrame:
    """Rows of earlier scans; none where they are missing, damaged or of another version."""
    parts = [pl.DataFrame(schema=INSTANCES)]
    if kept is not None:
        for path in [kept.parent / "instances.parquet", *sorted(kept.glob("*.parquet"))]:
            try:
                part = read_table(checked(path, kept.parent))
                columns = [pl.col(name).cast(kind) for name, kind in INSTANCES.items()]
                parts.append(part.select(columns))
            except (OSError, DataError, pl.exceptions.PolarsError):
                continue
    own = ~pl.col("reason").is_in(_REACHED_LATER).fill_null(value=False)
    read = pl.concat(parts).filter((pl.col("kind") == "image") & (pl.col("mtime_ns") > 0) & own)
    return read.unique(_KEY, keep="last")


def _read(
    sources: Sequence[Path],
    todo: Sequence[Found],
    kept: Path | None,
    workers: int,
    progress: Progress | None,
) -> pl.DataFrame:
    tasks = [(sources, chunk) for chunk in in_groups(todo, _CHUNK)]
    results = spread(_headers, tasks, workers if len(todo) >= _MANY else 1)
    parts = [pl.DataFrame(schema=INSTANCES)]
    done = 0
    for number, chunks in enumerate(in_groups(_counted(results), _PART)):
        part = pl.concat(chunks, rechunk=True)
        if kept is not None and len(todo) >= _MANY:
            # Named by content: a later run, with other files left, must not replace it.
            name = hashlib.sha256(f"{number}{part['path'][0]}".encode()).hexdigest()[:16]
            write_table(kept / f"{name}.parquet", part)
        parts.append(part)
        done += part.height
        if progress is not None:
            progress("headers", done, len(todo))
    return pl.concat(parts)


def _counted(results: Iterator[list[tuple[Any, ...]]]) -> Iterator[pl.DataFrame]:
    return (pl.DataFrame(rows, schema=INSTANCES, orient="row") for rows in results)


def _headers(task: tuple[Sequence[Path], Sequence[Found]]) -> list[tuple[Any, ...]]:
    """Rows of a chunk of files, as tuples in the order of `INSTANCES`."""
    sources, files = task
    rows = []
    for file in files:
        if file.reason:
            header = dict.fromkeys(HEADER) | {"reason": file.reason}
        else:
            header = read_header(located(sources[file.source], file.path), file.path)
        of_file = (file.source, file.path, file.kind, file.bytes, file.mtime_ns)
        rows.append((*of_file, *(header[name] for name in HEADER)))
    return rows


def _without_copies(rows: pl.DataFrame, sources: Sequence[Path]) -> pl.DataFrame:
    verdicts = verdicts_of_copies(rows, sources)
    if not verdicts:
        return rows
    numbers = pl.int_range(rows.height)
    reasons = numbers.replace_strict(verdicts, default=pl.col("reason"), return_dtype=pl.String)
    return rows.with_columns(reason=reasons)


def read_table(path: Path) -> pl.DataFrame:
    """A table that `write_table` wrote.

    Raises:
        DataError: a link, or no regular file.
        OSError: it is missing or cannot be read.
        polars.exceptions.PolarsError: it is damaged.
    """
    with open_regular(path) as file:  # polars itself takes no path that is no UTF-8
        return pl.read_parquet(file)


def write_table(path: Path, table: pl.DataFrame) -> None:
    """Write a table, whole or not at all."""
    content = BytesIO()
    table.write_parquet(content)
    with replacing(path) as beside:
        beside.write_bytes(content.getbuffer())
