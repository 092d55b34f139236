"""The clinical sheet: one row per patient, dirty values read for what they are.

Headers are compared after NFKC normalisation (the published sheet writes M-Stage with a full-width
M). An unknown or invalid value is missing, never 0. A spreadsheet is a zip of XML and untrusted:
what it would unpack to is looked at first.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl

from mmcaf.errors import DataError

__all__ = ["ALIASES", "CLINICAL_SHEET", "read_sheet"]

CLINICAL_SHEET: dict[str, Any] = {
    "patient_id": pl.String,
    "sex": pl.Int8,  # 0 female, 1 male, -1 missing
    "age_years": pl.Float64,
    "weight_kg": pl.Float64,
    "t_ord": pl.Float64,
    "n_ord": pl.Float64,
    "m_ord": pl.Float64,
    "smoker": pl.Int8,  # 0 no, 1 yes, -1 missing
    "t_raw": pl.String,  # stages as written
    "n_raw": pl.String,
    "m_raw": pl.String,
    "stage_invalid": pl.Boolean,  # a stage is written that does not exist
}
ALIASES = {
    "A0266": "A0251"
}  # one patient, merged by the collection after sheet and boxes were made
_MAX_BYTES = 16 * 2**20
_MAX_UNPACKED = 64 * 2**20
_MAX_ROWS, _MAX_COLUMNS = 10_000, 64
_HEADERS = {
    "newpatientid": "patient_id",
    "sex": "sex",
    "age": "age_years",
    "weightkg": "weight_kg",
    "tstage": "t_ord",
    "nstage": "n_ord",
    "mstage": "m_ord",
    "smokinghistory": "smoker",
}
# Sub-stages of the AJCC's 8th edition in order; a bare number lies in the middle of its sub-stages.
_T = {"is": 0, "1": 2, "1a": 1, "1b": 2, "1c": 3, "2": 4.5, "2a": 4, "2b": 5, "3": 6, "4": 7}
_N: dict[str, float] = {"0": 0, "1": 1, "2": 2, "3": 3}
_M: dict[str, float] = {"0": 0, "1": 2, "1a": 1, "1b": 2, "1c": 3}  # 2 and 3 occur: no stages
_ORDINALS: dict[str, dict[str, float]] = {"t_ord": _T, "n_ord": _N, "m_ord": _M}


def read_sheet(path: Path) -> pl.DataFrame:
    """The rows of the sheet, columns `CLINICAL_SHEET`, one per patient (the first counts).

    Raises:
        DataError: no readable spreadsheet, one that would unpack to more than 64 MiB, or columns
            that are not the collection's.
    """
    _check_size(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # styles it does not know
            book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
            sheet = book.worksheets[0]
            cells = sheet.iter_rows(max_row=_MAX_ROWS, max_col=_MAX_COLUMNS, values_only=True)
            table = list(cells)
            book.close()
    except (Exception, RecursionError) as error:  # zip, XML and format faults alike
        raise DataError(f"Cannot read the clinical sheet {path.name}: {error}") from error
    names = [_HEADERS.get(_plain(cell)) for cell in table[0]] if table else []
    lacking = sorted(set(_HEADERS.values()) - {name for name in names if name})
    if lacking:
        raise DataError(f"The clinical sheet {path.name} lacks the columns {', '.join(lacking)}.")
    rows = [
        _row({name: cell for name, cell in zip(names, cells, strict=False) if name})
        for cells in table[1:]
    ]
    known = [row for row in rows if re.fullmatch(r"[ABEG]\d{4}", row["patient_id"])]
    return (
        pl.DataFrame(known, schema=CLINICAL_SHEET)
        .unique("patient_id", keep="first", maintain_order=True)
        .sort("patient_id")
    )


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"No clinical sheet {path}; give the collection's .xlsx file.")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path.name} is larger than {_MAX_BYTES} bytes: not the clinical sheet.")
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"Cannot read the clinical sheet {path.name}: {error}") from error
    if unpacked > _MAX_UNPACKED:
        raise DataError(
            f"{path.name} would unpack to {unpacked} bytes, at most {_MAX_UNPACKED} are read: "
            "not the clinical sheet, or hostile."
        )


def _row(cells: dict[str, Any]) -> dict[str, Any]:
    name = str(cells.get("patient_id") or "").strip().upper().removeprefix("LUNG_DX-")
    stages = {column: _text(cells.get(column)) for column in _ORDINALS}
    ordinals = {column: _ORDINALS[column].get(text) for column, text in stages.items()}
    return {
        "patient_id": ALIASES.get(name, name),
        "sex": {"F": 0, "M": 1}.get(str(cells.get("sex") or "").strip().upper(), -1),
        "age_years": _number(cells.get("age_years"), 0, 120),
        "weight_kg": _number(cells.get("weight_kg"), 1, 400),
        "smoker": {"0": 0, "1": 1}.get(_text(cells.get("smoker")), -1),
        **ordinals,
        **{f"{column[0]}_raw": text or None for column, text in stages.items()},
        "stage_invalid": any(stages[column] and ordinals[column] is None for column in stages),
    }


def _plain(cell: object) -> str:
    return re.sub(r"[^a-z]", "", unicodedata.normalize("NFKC", str(cell or "")).casefold())


def _text(cell: object) -> str:
    text = str(cell if cell is not None else "").strip().lower()
    return text.removesuffix(".0")[:16]


def _number(cell: object, low: float, high: float) -> float | None:
    try:
        value = float(str(cell))
    except ValueError:
        return None
    return value if low <= value <= high else None
