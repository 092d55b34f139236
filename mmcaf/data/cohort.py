"""An ingested cohort, read and checked: one row per patient, and the digest of its content."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import polars as pl
from pyarrow import ArrowException
from pyarrow.parquet import ParquetFile

from mmcaf.errors import CohortError, DataError
from mmcaf.files.home import home_path
from mmcaf.files.untrusted import checked, decode, read_bytes

__all__ = [
    "NOTICE",
    "SCHEMA_VERSION",
    "Cohort",
    "cohort_faults",
    "content_digest",
    "file_digest",
    "load",
    "notice",
]

SCHEMA_VERSION = 2
NOTICE = "PATIENT-DATA.txt"
"""The file that says what a folder holds."""

_MOST_ROWS, _MOST_COLUMNS, _MOST_UNPACKED = 100_000, 256, 1 << 28
_POLARS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_PLAIN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
"""Cases and volumes name files and folders."""

_AGAIN = "Ingest it again, or copy the whole folder again from where it was made."


@dataclass(frozen=True, slots=True)
class Cohort:
    """An ingested cohort, as `load` gives it."""

    folder: Path
    patients: pl.DataFrame  # one row each, sorted by patient_id
    digest: str  # of content alone: not of folders, file names or the key
    synthetic: bool
    in_plane_px: int  # side of the slices ingestion cached


class _Version(msgspec.Struct):
    schema_version: int


class _State(msgspec.Struct):
    """`cohort.json`."""

    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    table_sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    synthetic: bool
    in_plane_px: Annotated[int, msgspec.Meta(ge=16, le=1024)]


@contextmanager
def cohort_faults() -> Iterator[None]:
    """Whatever is wrong with data inside the block is wrong with a cohort.

    Raises:
        CohortError: in the place of any other `DataError`.
    """
    try:
        yield
    except CohortError:
        raise
    except DataError as error:
        raise CohortError(str(error)) from error


@cohort_faults()
def load(folder: Path) -> Cohort:
    """The cohort ingested into `folder`; its volumes are not looked at.

    Raises:
        CohortError: none there, of another version, half-written, or without patients; or a file of
            it is a link, no regular file, or holds what ingestion never writes.
    """
    folder = home_path(folder)
    state = _state(folder)
    table = _table(folder)
    if state.table_sha256 != hashlib.sha256(table).hexdigest():
        raise CohortError(
            f"The table of the cohort in {folder} is not the one it was ingested with: ingestion "
            "was interrupted at its very end, or the file was changed. Run it again."
        )
    patients = _patients(table, folder)
    if state.synthetic != patients["synthetic"].any():
        raise CohortError(
            f"{folder / 'cohort.json'} says synthetic: {json.dumps(state.synthetic)}, which the "
            f"rows of its table contradict. {_AGAIN}"
        )
    return Cohort(folder, patients, state.digest, state.synthetic, state.in_plane_px)


def notice(patients: pl.DataFrame) -> str:
    """What `NOTICE` says in the folder of a cohort with these rows."""
    if patients["synthetic"].all():
        whose = "Every patient of this cohort is SYNTHETIC: no file here is about a person. "
    else:
        whose = (
            "This folder holds PATIENT DATA: CT volumes, ages, stages, dates and the ids of the "
            "collection; and with cohort.key, the names that studies show lead back to those ids. "
        )
    return (
        f"{whose}It was made for the user who ran the ingestion and for nobody else (folders 700, "
        "files 600, unless --shared was asked for). Copy it only to places that may hold such "
        "data, and delete it when it is not needed any more.\n"
    )


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(patients: pl.DataFrame, volumes: Mapping[str, str]) -> str:
    """Digest of the rows and of the volumes' own digests, whatever the folders are called."""
    rows = patients.drop("case", "volume").to_dicts()
    text = json.dumps([rows, sorted(volumes.items())], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _state(folder: Path) -> _State:
    path = folder / "cohort.json"
    try:
        text = read_bytes(checked(path, folder))
    except FileNotFoundError:
        raise CohortError(
            f"No cohort in {folder}; `mmstudy data ingest SOURCE --out {folder}` makes one."
        ) from None
    found = decode(text, _Version, source=str(path), remedy=_AGAIN).schema_version
    if found != SCHEMA_VERSION:
        raise CohortError(
            f"The cohort in {folder} has version {found}, this program reads {SCHEMA_VERSION}; "
            "ingest it again."
        )
    return decode(text, _State, source=str(path), remedy=_AGAIN)


def _table(folder: Path) -> bytes:
    path = folder / "cohort.parquet"
    try:
        return read_bytes(checked(path, folder))
    except FileNotFoundError:
        raise CohortError(f"The cohort in {folder} lacks {path.name}. {_AGAIN}") from None


def _patients(table: bytes, folder: Path) -> pl.DataFrame:
    try:
        _refuse_huge(table)
        patients = pl.read_parquet(io.BytesIO(table))
        if patients.is_empty():
            raise CohortError(f"The cohort in {folder} has no patients.")
        _check_columns(patients)
    except (ValueError, OSError, ArrowException, *_POLARS) as error:
        raise CohortError(
            f"The cohort in {folder} cannot be read: cohort.parquet, {error}. {_AGAIN}"
        ) from error
    return patients


def _refuse_huge(table: bytes) -> None:
    told = ParquetFile(io.BytesIO(table)).metadata
    groups = [told.row_group(index) for index in range(told.num_row_groups)]
    size = sum(group.total_byte_size for group in groups)
    if (
        told.num_rows > _MOST_ROWS
        or told.num_columns > _MOST_COLUMNS
        or not 0 <= size <= _MOST_UNPACKED
    ):
        raise ValueError(
            f"{told.num_rows} rows of {told.num_columns} columns in {size} bytes are more than "
            "any cohort has"
        )


def _is_text(kind: pl.DataType) -> bool:
    return kind == pl.String


def _is_whole(kind: pl.DataType) -> bool:
    return kind.is_integer()


def _is_flag(kind: pl.DataType) -> bool:
    return kind == pl.Boolean


def _is_number(kind: pl.DataType) -> bool:
    return kind.is_numeric() or kind == pl.Null  # nobody's may be known


_Holds = Callable[[pl.Expr], pl.Expr]
_KINDS: Mapping[str, Callable[[pl.DataType], bool]] = {
    **dict.fromkeys(("patient_id", "class", "group_id", "series_uid", "case", "volume"), _is_text),
    **dict.fromkeys(("label", "n_slices", "z_first_lesion", "z_last_lesion"), _is_whole),
    **dict.fromkeys(("sex", "smoker"), _is_whole),
    **dict.fromkeys(("synthetic", "miss_row", "miss_age", "miss_weight"), _is_flag),
    **dict.fromkeys(("spacing_x_mm", "spacing_y_mm", "spacing_z_mm"), _is_number),
    **dict.fromkeys(("age_years", "weight_kg", "t_ord", "n_ord", "m_ord"), _is_number),
}
"""Columns of the table that studies rest on, and what each holds."""

_UNIQUE = ("patient_id", "case", "volume")
_VALUES: Mapping[str, tuple[str, _Holds]] = {  # none is null
    "patient_id": ("a name", lambda of: of.str.len_bytes().is_between(1, 100)),
    "group_id": ("a name", lambda of: of.str.len_bytes().is_between(1, 100)),
    "case": ("a plain file name", lambda of: of.str.contains(_PLAIN)),
    "volume": ("a plain file name", lambda of: of.str.contains(_PLAIN)),
    "label": ("0 or 1", lambda of: of.is_between(0, 1)),
    "synthetic": ("true or false", lambda of: of.is_not_null()),
    "n_slices": ("1 to 10000", lambda of: of.is_between(1, 10_000)),
    "z_first_lesion": ("-1, or a slice", lambda of: of.ge(-1) & of.lt(pl.col("n_slices"))),
    "z_last_lesion": (
        "a slice, none before the first lesion's",
        lambda of: of.ge(pl.col("z_first_lesion")) & of.lt(pl.col("n_slices")),
    ),
    "sex": ("-1 to 1", lambda of: of.is_between(-1, 1)),
    "smoker": ("-1 to 1", lambda of: of.is_between(-1, 1)),
}


def _check_columns(patients: pl.DataFrame) -> None:
    kinds: dict[str, Any] = dict(patients.schema)
    if lacking := sorted(_KINDS.keys() - kinds.keys()):
        raise ValueError(f"it lacks the columns {', '.join(lacking)}")
    for name, is_right in _KINDS.items():
        if not is_right(kinds[name]):
            raise ValueError(f"column {name} holds {kinds[name]}")
    for name in _UNIQUE:
        if patients[name].is_duplicated().any():
            raise ValueError(f"column {name} has one value twice")
    for name, (allowed, holds) in _VALUES.items():
        wrong = patients.filter(~holds(pl.col(name)).fill_null(value=False))
        if wrong.height:
            raise ValueError(f"column {name} has {wrong[name][0]!r}, allowed is {allowed}")
