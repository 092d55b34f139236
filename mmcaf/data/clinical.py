"""The clinical sheet: one row per patient, dirty values read for what they are.

Headers are compared after NFKC normalisation (the published sheet writes M-Stage with a full-width
M). An unknown or invalid value is missing, never 0.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import openpyxl
import polars as pl

from mmcaf.errors import DataError

__all__ = ["CLINICAL_SHEET", "read_sheet"]

CLINICAL_SHEET: dict[str, Any] = {
    "patient_id": pl.String,
    "sex": pl.Int8,  # 0 female, 1 male, -1 missing
    "age_years": pl.Float64,
    "weight_kg": pl.Float64,
    "t_ord": pl.Float64,
    "n_ord": pl.Float64,
    "m_ord": pl.Float64,
    "smoker": pl.Int8,  # 0 no, 1 yes, -1 missing
}
_MAX_BYTES = 16 * 2**20
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
_T: dict[str, float] = {
    "is": 0,
    "1": 2,
    "1a": 1,
    "1b": 2,
    "1c": 3,
    "2": 4.5,
    "2a": 4,
    "2b": 5,
    "3": 6,
    "4": 7,
}
_N: dict[str, float] = {"0": 0, "1": 1, "2": 2, "3": 3}
_M: dict[str, float] = {
    "0": 0,
    "1": 2,
    "1a": 1,
    "1b": 2,
    "1c": 3,
}  # 2 and 3 occur, and are not stages
_ORDINALS: dict[str, dict[str, float]] = {"t_ord": _T, "n_ord": _N, "m_ord": _M}
_ALIASES = {"A0266": "A0251"}  # merged by the collection after the sheet was written


def read_sheet(path: Path) -> pl.DataFrame:
    """The rows of the sheet, columns `CLINICAL_SHEET`, one per patient (the first counts).

    Raises:
        DataError: no readable spreadsheet, or its columns are not the collection's.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path.name} is larger than {_MAX_BYTES} bytes: not the clinical sheet.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # styles it does not know
            book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
            table = list(book.worksheets[0].iter_rows(values_only=True))
            book.close()
    except Exception as error:  # zip, XML and format faults alike
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
        .unique("patient_id", keep="first")
        .sort("patient_id")
    )


def _row(cells: dict[str, Any]) -> dict[str, Any]:
    name = str(cells["patient_id"] or "").strip().upper()
    found: dict[str, Any] = {
        "patient_id": _ALIASES.get(name, name),
        "sex": {"F": 0, "M": 1}.get(str(cells["sex"] or "").strip().upper(), -1),
        "age_years": _number(cells["age_years"], 0, 120),
        "weight_kg": _number(cells["weight_kg"], 1, 400),
        "smoker": {"0": 0, "1": 1}.get(_text(cells["smoker"]), -1),
    }
    return found | {name: _ORDINALS[name].get(_text(cells[name])) for name in _ORDINALS}


def _plain(cell: object) -> str:
    return re.sub(r"[^a-z]", "", unicodedata.normalize("NFKC", str(cell or "")).casefold())


def _text(cell: object) -> str:
    text = str(cell if cell is not None else "").strip().lower()
    return text.removesuffix(".0")


def _number(cell: object, low: float, high: float) -> float | None:
    try:
        value = float(str(cell))
    except ValueError:
        return None
    return value if low <= value <= high else None
