"""One random edit of a clinical sheet, what the edited cell then means, and whether it was read so.

    edit = draw(random, rows)          # rows of a sheet, headers first
    edit.write(path)                   # .xlsx or .csv
    verdict = judge(edit, before, path)  # "exact", "flagged", "error" or "silent": a wrong value

`before` are the patients of the sheet as it was. The meaning of a cell is worked out here anew, by
other means than the program's, so that both must agree.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openpyxl
import polars as pl

from mmcaf.data.ingest.clinical import read_sheets
from mmcaf.errors import DataError

__all__ = ["COLUMNS", "Edit", "draw", "judge"]

Row = list[Any]
Verdict = Literal["exact", "flagged", "error", "silent"]

COLUMNS = {  # place in the synthetic sheet: column of the cohort
    2: "sex",
    3: "age_years",
    4: "weight_kg",
    5: "t_ord",
    6: "n_ord",
    7: "m_ord",
    9: "smoker",
}
_PATIENT = 1
_MISSING = {None, -1}
_SIGNS = [*"0123456789abcmfnxyTNM.,-?% kg", "５", "²", "½", "\u200b"]
_ORDER = {
    "t": {"is": 0, "1mi": 0.5, "1a": 1, "1": 2, "1b": 2, "1c": 3, "2a": 4, "2": 4.5, "2b": 5},
    "n": {"0": 0, "1": 1, "2": 2, "3": 3},
    "m": {"0": 0, "1a": 1, "1": 2, "1b": 2, "1c": 3},
}
_ORDER["t"] |= {"3": 6, "4": 7}
_RESPELLED: dict[str, Callable[[str], list[Any]]] = {
    "sex": lambda v: {"M": ["male", " m ", "Man", "男"], "F": ["Female", "woman", "f", "女"]}[v],
    "age_years": lambda v: [f"{v} years", f"{int(v):03d}Y", f" {v} ", f"{v},0", f"{v}.0", f"{v}y"],
    "weight_kg": lambda v: [f"{v} kg", f"{v}kg", f"{v},0", float(v), f"{v}.00", f"\u00a0{v}"],
    "t_ord": lambda v: [f"T{v}", f"cT{v}", f"pT{v.upper()}", f" {v} ", f"ypT{v}", f"t {v}"],
    "n_ord": lambda v: [f"N{v}", f"cN{v}", f" {v}", float(v), f"n{v}"],
    "m_ord": lambda v: [f"M{v}", f"pM{v}", f"{v} ", f"cM{v.upper()}"],
    "smoker": lambda v: {
        "1": ["yes", True, "1.0", "former", "Ex-smoker", "current", "Y"],
        "0": ["no", False, "0.0", "never", "N", "Never smoker"],
    }[v],
}
_NONSENSE = {
    "sex": ["0", 1, "2", "X", "H", "M/F", "58", "o", "Malé"],
    "age_years": ["58 months", "018M", "1958-03-02", "60-65", ">89", 580, -1, "fifty", "5²", True],
    "weight_kg": ["143 lb", "65 500", "65,500", "0,065 t", 999, "65 kg?", "1e2", 0],
    "t_ord": ["T9", "N2", "T1-2", "3A4", True, "2?", "T2a N0", "IIIA", "1a/1b"],
    "n_ord": ["T2", "4", "N2?", "NO", "N0-1", True, "+", "9"],
    "m_ord": ["2", "3", "M2", "MO", "N1", "0-1", "1d"],
    "smoker": ["2", "non-smoker", "1-2", "30", "H", "sometimes", "no?"],
}
_UNKNOWN = {"t_ord": "TX", "n_ord": "NX", "m_ord": "cMX"}


@dataclass(frozen=True, slots=True)
class Edit:
    """A sheet with one edit."""

    what: str
    rows: list[Row]
    means: dict[tuple[str, str], Any] = field(default_factory=dict)
    """Patient and column -> the value now written there; `...` where none can be read."""
    dated: tuple[int, int] | None = None  # row and column of a cell to be shown as a date

    def write(self, path: Path) -> None:
        """As XLSX or CSV, by the name of the file."""
        if path.suffix == ".csv":
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(self.rows)
            return
        book = openpyxl.Workbook()
        for row in self.rows:
            book.worksheets[0].append(row)
        if self.dated:
            row, column = self.dated
            book.worksheets[0].cell(row + 1, column + 1).number_format = "dd/mm/yyyy"
        book.save(path)


def draw(random: np.random.Generator, rows: Sequence[Row], suffix: str = ".xlsx") -> Edit:
    """One edit of `rows`, which stay as they are, for a sheet of that kind."""
    copy = [[*row] for row in rows]
    number = int(random.integers(1, len(copy)))
    place = int(random.choice([*COLUMNS]))
    kinds = [_respell, _other, _spoil, _blank, _unknown, _type, _type, _type, _twice]
    kinds += [_rename, _header, _drop if suffix == ".csv" else _date]
    return kinds[int(random.integers(len(kinds)))](random, copy, number, place)


def judge(edit: Edit, before: pl.DataFrame, path: Path) -> Verdict:
    """How the sheet at `path`, which `edit` was written to, is read."""
    try:
        patients = read_sheets([path]).patients
    except DataError:
        return "error"
    after = {row["patient_id"]: row for row in patients.iter_rows(named=True)}
    verdicts = set()
    for row in before.iter_rows(named=True):
        name = row["patient_id"]
        if name not in after:
            verdicts.add("flagged")  # of the cohort: W_NO_CLINICAL_ROW
            continue
        for column in COLUMNS.values():
            wanted = edit.means.get((name, column), row[column])
            verdicts.add(_verdict(wanted, after[name][column], after[name]["sheet_flags"]))
    return max(verdicts, key=["exact", "flagged", "silent"].index)


def _verdict(wanted: Any, value: Any, flags: Sequence[str]) -> Verdict:
    if value in _MISSING and flags:
        return "flagged"
    absent = wanted in _MISSING and value in _MISSING
    return "exact" if absent or (wanted is not ... and value == wanted) else "silent"


def _meaning(column: str, cell: Any) -> Any:
    """What a careful human reads: a value, None where nothing is written, `...` where unsure."""
    text = str(cell if cell is not None else "").replace("\u200b", "").replace("５", "5").strip()
    if not text:
        return None
    text = text.lower()
    if column in ("age_years", "weight_kg"):
        unit = r"(y|yrs?|years?)?" if column == "age_years" else r"(kg)?"
        low, high = (0, 120) if column == "age_years" else (1, 400)
        found = re.fullmatch(rf"([0-9]+([.,][0-9]*)?) *{unit}", text)
        value = float(found[1].replace(",", ".")) if found else -1
        return value if low <= value <= high else ...
    if column in ("sex", "smoker"):
        words = {"sex": {"f": 0, "m": 1}, "smoker": {"0": 0, "1": 1, "n": 0, "y": 1}}[column]
        return words.get(text.removesuffix(".0").rstrip("."), ...)
    found = re.fullmatch(rf"(?:[cpyr]*{column[0]}[-_ ]*)?(.*)", text)
    stage = found[1].replace(" ", "").removesuffix(".0").removesuffix(",0") if found else ""
    if column == "n_ord" and re.fullmatch("[123][abc]", stage):
        stage = stage[0]
    return _ORDER[column[0]].get(stage, ...)


def _set(rows: list[Row], number: int, place: int, cell: Any, means: Any, what: str) -> Edit:
    rows[number][place] = cell
    name = str(rows[number][_PATIENT])
    return Edit(f"{what}: {COLUMNS[place]} {cell!r}", rows, {(name, COLUMNS[place]): means})


def _respell(random: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    cell, column = rows[number][place], COLUMNS[place]
    if cell is None:
        return _blank(random, rows, number, place)
    spelled = _RESPELLED[column](str(cell))
    means = {"M": 1, "F": 0}.get(cell) if column == "sex" else _meaning(column, cell)
    chosen = spelled[int(random.integers(len(spelled)))]
    return _set(rows, number, place, chosen, means, "respelled")


def _other(random: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    cell = rows[int(random.integers(1, len(rows)))][place]
    return _set(rows, number, place, cell, _meaning(COLUMNS[place], cell), "another's")


def _spoil(random: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    known = _NONSENSE[COLUMNS[place]]
    return _set(rows, number, place, known[int(random.integers(len(known)))], ..., "spoilt")


def _blank(random: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    return _set(rows, number, place, random.choice([None, " "]), None, "blank")


def _unknown(_: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    return _set(rows, number, place, _UNKNOWN.get(COLUMNS[place], "unknown"), ..., "unknown")


def _type(random: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    """A slip of the pen: a sign more, less, or another."""
    text = str(rows[number][place] if rows[number][place] is not None else "")
    at = int(random.integers(len(text) + 1))
    sign = str(random.choice(_SIGNS))
    more, less = text[:at] + sign + text[at:], text[:at] + text[at + 1 :]
    typed = str(random.choice([more, less, text[:at] + sign + text[at + 1 :]]))
    return _set(rows, number, place, typed, _meaning(COLUMNS[place], typed), "typed")


def _twice(random: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    """The row a second time, with another cell."""
    cell = rows[int(random.integers(1, len(rows)))][place]
    again = [*rows[number]]
    name, old = str(again[_PATIENT]), again[place]
    same = str(cell) == str(old)
    again[place] = cell
    rows.insert(int(random.integers(1, len(rows) + 1)), again)
    if cell is None or old is None:
        means = _meaning(COLUMNS[place], old if cell is None else cell)
    else:
        means = _meaning(COLUMNS[place], cell) if same else ...
    return Edit(f"twice: {old!r}, {cell!r}", rows, {(name, COLUMNS[place]): means})


def _drop(_: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    """A cell less: what follows is shifted."""
    name = str(rows[number][_PATIENT])
    del rows[number][place]
    return Edit("a cell less", rows, {(name, column): ... for column in COLUMNS.values()})


def _rename(random: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    """Another patient's id, or none."""
    ids = [rows[int(random.integers(1, len(rows)))][_PATIENT], "A8001", None, "9001", "Lung_Dx-"]
    rows[number][_PATIENT] = ids[int(random.integers(len(ids)))]
    return Edit(f"patient {rows[number][_PATIENT]}", rows)


def _header(random: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    other = random.choice(["Age", "weight (lb)", "T", "Sex", "stage", "", "Age (months)", "M1"])
    rows[0][place] = str(other)
    return Edit(f"header {other}", rows)


def _date(_: np.random.Generator, rows: list[Row], number: int, place: int) -> Edit:
    cell = rows[number][place]
    if not isinstance(cell, int):
        return _set(rows, number, place, "1958-02-03", ..., "a date")
    name = str(rows[number][_PATIENT])
    means = {(name, COLUMNS[place]): ...}
    return Edit(f"date: {COLUMNS[place]}", rows, means, dated=(number, place))
