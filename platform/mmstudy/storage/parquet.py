"""Reading and writing the tables of a study folder.

A file has one writer at a time and appears whole or not at all (`mmcaf.files.atomic`); every reader
passes the schema it wants, so a column that an older writer did not know is null, not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mmcaf.errors import DataError
from mmcaf.files import untrusted
from mmcaf.files.atomic import replacing
from mmstudy.errors import MMStudyError
from mmstudy.storage.schema import SCHEMA_VERSION

__all__ = [
    "append_rows",
    "ask_tables",
    "read_json",
    "read_rows",
    "read_tables",
    "write_rows",
    "write_table",
]

_COPY_AGAIN = "Copy it again from where it was made."


def write_rows(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` as one Parquet file of exactly `schema`.

    Raises:
        StorageError: it cannot be written; an older file is unchanged.
    """
    write_table(path, pa.Table.from_pylist([dict(row) for row in rows], schema=schema))


def append_rows(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write what `path` holds, then `rows`; for short tables with one writer at a time."""
    write_rows(path, schema, [*read_rows(path, schema), *rows])


def write_table(path: Path, table: pa.Table) -> None:
    """Write one Parquet file, whole or not at all, marked with the schema's version."""
    table = table.replace_schema_metadata({"schema_version": str(SCHEMA_VERSION)})
    with replacing(path) as beside:
        pq.write_table(table, beside, compression="zstd")


def read_rows(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """The rows of one file as dictionaries; no file, no rows."""
    if not path.exists():
        return []
    return read_tables([path], schema).to_dicts()


def read_tables(
    paths: Sequence[Path], schema: pa.Schema, number: int | None = None
) -> pl.DataFrame:
    """All rows of `paths` under one schema; those of trial `number` only, if given.

    Raises:
        MMStudyError: a file vanished or cannot be read; names it.
    """
    return ask_tables(
        paths,
        schema,
        lambda found: found if number is None else found.filter(pl.col("number") == number),
    )


def ask_tables(
    paths: Sequence[Path], schema: pa.Schema, ask: Callable[[pl.LazyFrame], pl.LazyFrame]
) -> pl.DataFrame:
    """What `ask` makes of all rows of `paths`; only the columns it names are read.

    Raises:
        MMStudyError: a file vanished or cannot be read; names it.
    """
    wanted = pl.DataFrame(schema.empty_table())
    if not paths:
        return ask(wanted.lazy()).collect()
    try:
        for path in paths:
            untrusted.checked(path, path.parent)
        found = pl.scan_parquet(
            list(paths),
            schema=wanted.schema,
            missing_columns="insert",
            extra_columns="ignore",
            glob=False,
        )
        return ask(found).collect()
    except DataError as error:
        raise MMStudyError(str(error)) from error
    except (OSError, pl.exceptions.PolarsError) as error:
        named = ", ".join(path.name for path in paths if not _readable(path)) or "a table"
        raise MMStudyError(f"Cannot read {named} of the study: {error}") from error


def _readable(path: Path) -> bool:
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return False
    return True


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        MMStudyError: missing, half-copied or no JSON object.
    """
    try:
        return untrusted.read_json(path, dict[str, Any], remedy=_COPY_AGAIN)
    except FileNotFoundError as error:
        raise MMStudyError(f"There is no {path}. {_COPY_AGAIN}") from error
    except DataError as error:
        raise MMStudyError(str(error)) from error
