"""Reading and writing the tables of a study folder.

A file has one writer at a time and appears whole or not at all (`mmcaf.files.atomic`); every reader
passes the schema it wants, so a column that an older writer did not know is null, not lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from mmcaf.errors import DataError
from mmcaf.files import untrusted
from mmcaf.files.atomic import replacing
from mmstudy.errors import MMStudyError
from mmstudy.storage.schema import SCHEMA_VERSION, Params
from mmstudy.storage.validity import fault_of

__all__ = [
    "append_rows",
    "ask_tables",
    "decoded",
    "params_of",
    "read_json",
    "read_rows",
    "read_tables",
    "write_rows",
    "write_table",
]

T = TypeVar("T")

_PARAMS = msgspec.json.Decoder(Params)
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}(\.[A-Za-z0-9_]{1,100})*")
_SMALL = 1 << 16
"""A file of so many bytes is read in one go: Polars takes half the time for it then."""

_COPY_AGAIN = "Copy it again from where it was made."


def write_rows(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write `rows` as one Parquet file of exactly `schema`.

    Raises:
        StorageError: it cannot be written; an older file is unchanged.
    """
    write_table(path, pa.Table.from_pylist([dict(row) for row in rows], schema=schema))


def append_rows(
    path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]], *, limit: Path
) -> None:
    """Write what `path` holds, then `rows`; for short tables with one writer at a time.

    Raises:
        StorageError: it cannot be written; an older file is unchanged.
        MMStudyError: what it holds cannot be read, or it lies outside of the folder `limit`.
    """
    write_rows(path, schema, [*read_rows(path, schema, limit=limit), *rows])


def write_table(path: Path, table: pa.Table) -> None:
    """Write one Parquet file, whole or not at all, marked with the schema's version."""
    table = table.replace_schema_metadata({"schema_version": str(SCHEMA_VERSION)})
    with replacing(path) as beside:
        pq.write_table(table, beside, compression="zstd")


def read_rows(path: Path, schema: pa.Schema, *, limit: Path) -> list[dict[str, Any]]:
    """The rows of one file as dictionaries; no file, no rows.

    Raises:
        MMStudyError: as `read_tables` says.
    """
    if not path.exists() and not path.is_symlink():
        return []
    return read_tables([path], schema, limit=limit).to_dicts()


def read_tables(
    paths: Sequence[Path],
    schema: pa.Schema,
    number: int | None = None,
    *,
    limit: Path,
    of: Mapping[Path, Collection[int]] | None = None,
) -> pl.DataFrame:
    """All rows of `paths` under one schema; those of trial `number` only, if given.

    Args:
        paths: files in the folder `limit`.
        schema: the columns that are wanted.
        number: of a trial.
        limit: no link in it is followed.
        of: file -> the trials whose rows it may hold, where only some may be in it.

    Raises:
        MMStudyError: a file vanished, cannot be read, is a link, or holds what no study writes
            (`mmstudy.storage.validity`); names it.
    """
    if number is None:
        found = ask_tables(paths, schema, lambda rows: rows, limit=limit)
    else:
        one = pl.col("number") == number
        found = ask_tables(paths, schema, lambda rows: rows.filter(one), limit=limit)
    allowed = None if of is None else {trial for path in paths for trial in of[path]}
    if (fault := _fault(found, schema, allowed)) is not None:
        for path in paths:  # alone, to say which it is
            alone = ask_tables([path], schema, lambda rows: rows, limit=limit)
            if told := _fault(alone, schema, None if of is None else of[path]):
                raise MMStudyError(f"{path} is damaged: {told}. {_COPY_AGAIN}")
        raise MMStudyError(f"{paths[0].parent} is damaged: {fault}. {_COPY_AGAIN}")
    return found


def _fault(found: pl.DataFrame, schema: pa.Schema, allowed: Collection[int] | None) -> str | None:
    if (fault := fault_of(found, schema)) is not None or allowed is None:
        return fault
    strange = set(found["number"].unique().to_list()).difference(allowed)
    return f"it holds rows of trial {min(strange)}" if strange else None


def ask_tables(
    paths: Sequence[Path],
    schema: pa.Schema,
    ask: Callable[[pl.LazyFrame], pl.LazyFrame],
    *,
    limit: Path,
) -> pl.DataFrame:
    """What `ask` makes of all rows of `paths`, as they are; only columns that it names are read.

    Args:
        paths: files in the folder `limit`.
        schema: the columns that are wanted.
        ask: gives the query.
        limit: no link in it is followed.

    Raises:
        MMStudyError: a file vanished, cannot be read or is a link; names it.
    """
    wanted = pl.DataFrame(schema.empty_table())
    if not paths:
        return ask(wanted.lazy()).collect()
    try:
        untrusted.all_checked(paths, limit)
        # In one piece: thousands would make every question slow.
        return ask(_scan(paths, wanted.schema)).collect().rechunk()
    except DataError as error:
        raise MMStudyError(str(error)) from error
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        named = ", ".join(str(path) for path in paths if not _readable(path, schema))
        raise MMStudyError(
            f"Cannot read {named or paths[0].parent}: {str(error).rstrip('. ')}. {_COPY_AGAIN}"
        ) from error


def _scan(paths: Sequence[Path], schema: pl.Schema) -> pl.LazyFrame:
    """The rows of all files, in their order."""
    sources = [untrusted.read_if_small(path, _SMALL) or path for path in paths]
    parts = [
        pl.scan_parquet(
            [*alike],  # type: ignore[arg-type] # of one type
            schema=schema,
            missing_columns="insert",
            extra_columns="ignore",
            glob=False,
        )
        for _, alike in groupby(sources, type)
    ]
    return parts[0] if len(parts) == 1 else pl.concat(parts)


def _readable(path: Path, schema: pa.Schema) -> bool:
    """Whether a file by itself is no reason why many cannot be read together."""
    try:
        held = pq.read_schema(path)
    except (OSError, pa.ArrowException):
        return False
    return all(held.field(name).type == schema.field(name).type for name in _both(held, schema))


def _both(held: pa.Schema, schema: pa.Schema) -> list[str]:
    return [name for name in schema.names if held.get_field_index(name) >= 0]


def read_json(path: Path, kind: type[T], *, limit: Path) -> T:
    """The JSON in `path`, a file in the folder `limit`, as a value of `kind`.

    Raises:
        MMStudyError: missing, half-copied, a link, or something else; names file and field.
    """
    try:
        checked = untrusted.checked(path, limit)
        return untrusted.read_json(checked, kind, remedy=_COPY_AGAIN)
    except FileNotFoundError as error:
        raise MMStudyError(f"There is no {path}. {_COPY_AGAIN}") from error
    except DataError as error:
        raise MMStudyError(str(error)) from error


def decoded(text: bytes | str, kind: type[T], *, source: str) -> T:
    """JSON text from a table or a store as a value of `kind`; `source` names it in a fault.

    Raises:
        MMStudyError: it holds something else; names the field.
    """
    try:
        return untrusted.decode(text, kind, source=source, remedy=_COPY_AGAIN)
    except DataError as error:
        raise MMStudyError(str(error)) from error


def params_of(text: str, number: int) -> dict[str, Any]:
    """The params of trial `number` from the text in its row: dotted path -> value.

    Raises:
        MMStudyError: no JSON object of plain values and lists of them; names trial and field.
    """
    try:
        found = _PARAMS.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        _tell_params(text, number)
        raise  # not reached: what cannot be decoded is told
    if not all(map(_is_path, found)) or "\\u0000" in text:
        _tell_params(text, number)
    return found


def _tell_params(text: str, number: int) -> None:
    source = f"The row of trial {number}, column params,"
    for path, value in decoded(text, dict[str, Any], source=source).items():
        if not _is_path(path) or "\\u0000" in text:
            raise MMStudyError(
                f"{source} is damaged: {path[:60]!r} is {value!r:.60}. A setting has a dotted name "
                f"and no NUL in it. {_COPY_AGAIN}"
            )
        field = f"{source} field {path[:60]!r},"
        # Not `msgspec.convert`: 0.22.0 frees a decoder of such a type wrongly, and may crash.
        decoded(json.dumps({path: value}), Params, source=field)


@lru_cache(maxsize=10_000)
def _is_path(text: str) -> bool:
    return _PATH.fullmatch(text) is not None
