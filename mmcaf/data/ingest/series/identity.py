"""Which files are one slice: what they show and where, not the bytes they are written in.

Two downloads of one collection differ in tags that say nothing of the picture, and an export gives
its slices new UIDs. Pixels are read only where two files may be one slice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmcaf.data.ingest.decode import read_planes_apart
from mmcaf.data.ingest.dicom import HEADER, read_hu, read_stored
from mmcaf.data.ingest.discovery import located
from mmcaf.errors import DataError

__all__ = ["verdicts_of_copies"]

_SAME_MM = 0.01  # a position may be written anew, with fewer digits
_SAME_DIGITS = 1e-4  # mm of a spacing, and a cosine
_FLAT = "flat "  # begins the digest of a slice that is all one grey

_Copy = dict[str, Any]  # a row of `INSTANCES`, with `row`
_Shown = dict[int, str]  # row -> digest of its Hounsfield units


def verdicts_of_copies(rows: pl.DataFrame, sources: Sequence[Path]) -> dict[int, str]:
    """Codes of the rows that are copies of others, by the number of the row.

    Of files with one SOPInstanceUID that show the same at the same place one stays, the others are
    E_DUP_SOP; if they differ, all are E_DUP_SOP_CONFLICT. Of slices of one series with UIDs of
    their own that show the same at the same place one stays, the others are E_DUP_PIXELS. An
    annotated one stays before others, then the one with the fullest header.

    Args:
        rows: columns `INSTANCES`.
        sources: the folders its paths are relative to.

    Raises:
        DataError: a file vanished since it was listed.
    """
    images = (pl.col("kind") == "image") & pl.col("reason").is_null()
    usable = rows.with_row_index("row").filter(images)
    annotated = {PurePosixPath(path).stem for path in rows.filter(kind="annotation")["path"]}
    verdicts: dict[int, str] = {}
    named_alike = usable.filter(pl.col("sop_uid").is_duplicated())
    groups = [group.to_dicts() for _, group in named_alike.group_by("sop_uid")]
    shown = _shown(groups, sources)
    same = [group for group in groups if all(_is_same(group[0], copy, shown) for copy in group)]
    for group in groups:
        if group not in same:
            verdicts |= dict.fromkeys((copy["row"] for copy in group), "E_DUP_SOP_CONFLICT")
    verdicts |= dict.fromkeys(_spare(same, annotated), "E_DUP_SOP")
    single = usable.filter(~pl.col("row").is_in(list(verdicts)))
    groups = [stored for near in _neighbours(single) for stored in _with_equal_bytes(near, sources)]
    shown = _shown(groups, sources)
    same = [copies for group in groups for copies in _alike(group, shown)]
    return verdicts | dict.fromkeys(_spare(same, annotated), "E_DUP_PIXELS")


def _spare(groups: list[list[_Copy]], annotated: set[str]) -> list[int]:
    """Rows of all copies but one of each group, the same whatever files are called.

    Slices that stay should come from one export: the annotated one, else that of fuller headers.
    """

    def export(copy: _Copy) -> tuple[str, int]:
        return copy["series_uid"], sum(copy[name] is not None for name in HEADER)

    boxes = Counter(export(c) for group in groups for c in group if c["sop_uid"] in annotated)

    def rank(copy: _Copy) -> tuple[Any, ...]:
        of = export(copy)
        values = [str(copy[name]) for name in HEADER]
        return copy["sop_uid"] not in annotated, -boxes[of], -of[1], values

    return [copy["row"] for group in groups for copy in sorted(group, key=rank)[1:]]


def _neighbours(usable: pl.DataFrame) -> Iterator[list[_Copy]]:
    """Slices of one series at one height: two or more."""
    placed = usable.with_columns(z=pl.col("position_mm").list.get(2))
    series = ["patient_id", "series_uid"]
    ordered = placed.sort(*series, "z", "row").with_columns(
        place=(pl.col("z").diff().fill_null(np.inf) > _SAME_MM).cum_sum().over(series)
    )
    near = ordered.filter(pl.len().over(*series, "place") > 1)
    for _, group in near.group_by(*series, "place", maintain_order=True):
        yield group.to_dicts()


def _with_equal_bytes(near: list[_Copy], sources: Sequence[Path]) -> list[list[_Copy]]:
    """Those whose pixels are stored in the same bytes; phases of a body end here, undecoded."""
    stored: dict[bytes, list[_Copy]] = {}
    for copy in near:
        stored.setdefault(_stored(_path(copy, sources)), []).append(copy)
    return [copies for copies in stored.values() if len(copies) > 1]


def _alike(group: list[_Copy], shown: _Shown) -> Iterator[list[_Copy]]:
    """The group, parted into slices that are one; what is all one grey is no evidence."""
    left = [copy for copy in group if not shown[copy["row"]].startswith(_FLAT)]
    while left:
        same = [copy for copy in left if _is_same(left[0], copy, shown)]
        left = [copy for copy in left if copy not in same]
        yield same


def _is_same(one: _Copy, other: _Copy, shown: _Shown) -> bool:
    """Whether both show the same of the same patient and series, at the same place."""
    exact = ("patient_id", "series_uid", "rows", "columns")
    rounded = ("spacing_y_mm", "spacing_x_mm", "orientation")
    return (
        shown[one["row"]] == shown[other["row"]]
        and all(one[name] == other[name] for name in exact)
        and np.allclose(one["position_mm"], other["position_mm"], rtol=0, atol=_SAME_MM)
        and all(np.allclose(one[name], other[name], atol=_SAME_DIGITS) for name in rounded)
    )


def _shown(groups: Iterable[list[_Copy]], sources: Sequence[Path]) -> _Shown:
    """Digests of what the pixels mean; of the file itself where they cannot be decoded."""
    copies = [copy for group in groups for copy in group]
    packed: dict[tuple[int, int], list[_Copy]] = {}
    shown: _Shown = {}
    for copy in copies:
        shape = (copy["rows"], copy["columns"])
        if copy["compressed"]:
            packed.setdefault(shape, []).append(copy)
        else:
            shown[copy["row"]] = _digest(_plane(_path(copy, sources), shape), copy, sources)
    for shape, alike in packed.items():
        planes = read_planes_apart([_path(copy, sources) for copy in alike], shape)
        for copy, plane in zip(alike, planes, strict=True):
            shown[copy["row"]] = _digest(plane.hu if plane else None, copy, sources)
    return shown


def _plane(path: Path, shape: tuple[int, int]) -> NDArray[np.int16] | None:
    try:
        return read_hu(path, shape)
    except DataError:
        return None
    except OSError as error:
        raise _vanished(path, error) from error


def _digest(plane: NDArray[np.int16] | None, copy: _Copy, sources: Sequence[Path]) -> str:
    if plane is None:
        return hashlib.sha256(_bytes(_path(copy, sources))).hexdigest()
    if plane.min() == plane.max():
        return f"{_FLAT}{plane.min()}"
    return hashlib.sha256(np.ascontiguousarray(plane).data).hexdigest()


def _stored(path: Path) -> bytes:
    """Digest of the pixels as they are stored."""
    try:
        return hashlib.sha256(read_stored(path)).digest()
    except OSError as error:
        raise _vanished(path, error) from error


def _path(copy: _Copy, sources: Sequence[Path]) -> Path:
    return located(sources[copy["source"]], str(copy["path"]))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _vanished(path, error) from error


def _vanished(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} was there a moment ago and cannot be read: {error}")
