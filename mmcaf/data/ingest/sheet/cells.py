"""What a cell of a column means: spellings that are read, and those that say nothing is known.

A cell is read whole or not at all: what might be meant is never guessed. `ACCEPTED` says for people
what the tables below say for the program.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from mmcaf.data.ingest.patients.patient_ids import patient_id
from mmcaf.data.ingest.sheet.table import Cell, Odd

__all__ = ["ACCEPTED", "Reading", "Status", "is_blank", "patient_of", "read_column", "shape_of"]

Status = Literal["read", "empty", "unknown", "off_scale", "unreadable", "contradicting"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a cell says. Only `read` has a value.

    `unknown`: the sheet says that nobody knows (TX). `off_scale`: a stage as stages are written,
    which the edition does not have (M3). Neither is `empty`, and `unreadable` is none of them.
    `contradicting` is what several cells of one patient may come to.
    """

    status: Status
    value: float | int | None = None
    raw: str | None = None  # a stage as written, without prefix and letter


ACCEPTED: Mapping[str, str] = {
    "patient_id": "A0001, Lung_Dx-A0001; the letter is A, B, E or G, of either case",
    "sex": "M, male, man, 男; F, female, woman, W, 女",
    "age_years": "58, 58.5, 58,5, 58 years, 58 y, 58 yo, 058Y; 0 to 120, no date and no months",
    "weight_kg": "65, 65.5, 65,5, 65 kg; 1 to 400, no lb",
    "t_ord": "2a, T2a, cT2a, pT2a, ypT2a, is, 1mi, 1 to 4, 1a to 1c, 2a, 2b",
    "n_ord": "2, N2, cN2, pN2, N2a; 0 to 3, a letter of 1 to 3 does not count",
    "m_ord": "1b, M1b, cM1b, pM1b; 0, 1, 1a to 1c",
    "smoker": (
        "yes, y, true, 1, ever, current, smoker, ex, former; no, n, false, 0, never. An ex-smoker "
        "has a history of smoking, so it is yes; non-smoker says nothing of the past"
    ),
}
"""Column -> the spellings that are read, for messages and the reference page."""

_EMPTY, _UNKNOWN, _UNREADABLE = Reading("empty"), Reading("unknown"), Reading("unreadable")
_UNKNOWN_WORDS = {
    *("unknown", "unk", "not known", "not available", "na", "n/a", "n.a.", "nan", "missing", "?"),
    *("未知", "不详"),
}
_DASHES = {"-", "--", "–", "—"}  # "not known" for an age, but "negative" for a stage or a habit
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f"))
_PLAIN_FORMS = ("<wide>", "<narrow>", "<noBreak>", "<square>")
_TENTHS = re.compile(r"(?<=[0-9])[.,]00?$")  # of 1.0, which is 1; 1,000 is a thousand

_NUMBER = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,15})|,([0-9]{1,2}))?\s*(\D*)")
_YEARS = {
    *("", "y", "yr", "yrs", "year", "years", "years old", "year old", "yo", "y/o", "y.o.", "岁"),
}
_KILOGRAMS = {"", "kg", "kgs", "kg.", "kilo", "kilos", "kilogram", "kilograms", "公斤", "千克"}

_SEXES = {
    **dict.fromkeys(("f", "female", "woman", "w", "weiblich", "femme", "女", "女性"), 0),
    **dict.fromkeys(("m", "male", "man", "männlich", "homme", "男", "男性"), 1),
}

# The column asks for a history of smoking: whoever smoked once has one, whoever never did has none.
_SMOKED = {
    **dict.fromkeys(("1", "yes", "y", "true", "ever", "ever smoker", "是", "有"), 1),
    **dict.fromkeys(("current", "current smoker", "smoker", "smoking"), 1),
    **dict.fromkeys(("ex", "ex smoker", "former", "former smoker", "past", "past smoker"), 1),
    **dict.fromkeys(("0", "no", "n", "false", "never", "never smoker", "否", "无"), 0),
    **dict.fromkeys(("never smoked", "lifelong non smoker"), 0),
}
# Spanish H/M has M for women. Codes of more than 0 and 1 have their own key: the GDC's 1 is never.
_DOUBTED: Mapping[str, Mapping[str, set[str]]] = {
    "sex": {"m": {"h", "v"}},
    "smoker": {code: set("23456789") for code in "01"},
}

# Sub-stages of the AJCC's 8th edition in order; a bare number lies in the middle of its sub-stages.
_T = {"is": 0, "1mi": 0.5, "1": 2, "1a": 1, "1b": 2, "1c": 3, "2": 4.5, "2a": 4, "2b": 5, "3": 6}
_T |= {"4": 7, "is(ais)": 0, "is(scis)": 0, "1(mi)": 0.5, "1a(ss)": 1}
_M: dict[str, float] = {"0": 0, "1": 2, "1a": 1, "1b": 2, "1c": 3}  # 2 and 3 occur: no stages
_M |= {"1c1": 3, "1c2": 3}  # of the 9th
_N: dict[str, float] = {
    "0": 0,
    **{
        f"{number}{letter}": number
        for number in (1, 2, 3)
        for letter in ("", "a", "b", "c", "a1", "a2")
    },
}
# Where a header says "7th": its stages by their sizes on the 8th's scale, in the middle of those
# they became. The 7th's T1a is the 8th's 1a and 1b; its T2b is the 8th's 3; its M1b is 1b and 1c.
_T7 = {"is": 0, "1": 2, "1a": 1.5, "1b": 3, "2": 5, "2a": 4.5, "2b": 6, "3": 6.5, "4": 7}
_M7: dict[str, float] = {"0": 0, "1": 2, "1a": 1, "1b": 2.5}
_SCALES: Mapping[str, Mapping[str, float]] = {"t_ord": _T, "n_ord": _N, "m_ord": _M}
_SCALES_7: Mapping[str, Mapping[str, float]] = {"t_ord": _T7, "n_ord": _N, "m_ord": _M7}
_STAGE = re.compile(
    r"(?:(?:y[cp]|r[cp]|[cpyr])?([tnm])[-_]?)?"  # ypT-
    r"(x|is(?:\(s?c?a?is\))?|[0-9][a-z]{0,2}[0-9]?(?:\((?:mi|ss)\))?)"  # 2a, 1mi, 1(mi), is(ais)
)


def read_column(name: str, cells: Sequence[Cell], edition: int | None = None) -> list[Reading]:
    """The meaning of each cell of a column; what other cells show to be ambiguous is not read.

    Args:
        name: a column of `headings.HEADERS`, not the patient's id.
        cells: those of the patients.
        edition: of the TNM, where the header names it.
    """
    if name in _SCALES:
        scale = (_SCALES_7 if edition == 7 else _SCALES)[name]
        return [_stage(cell, name[0], scale) for cell in cells]
    readings = [_READERS[name](cell) for cell in cells]
    for doubted, shown_by in _DOUBTED.get(name, {}).items():
        if _common(cells, shown_by):
            pairs = zip(cells, readings, strict=True)
            readings = [_UNREADABLE if _word(cell) == doubted else of for cell, of in pairs]
    return readings


def is_blank(cell: Cell) -> bool:
    """Nothing is written there."""
    return cell is None or (isinstance(cell, str) and not _text(cell))


def patient_of(cell: Cell) -> str | None:
    """The collection's id, such as A0001, or None where the cell holds none."""
    return patient_id(_text(cell))


def shape_of(cell: Cell) -> str:
    """How a cell is written, without what is written: `999 lb`, `a date or time`."""
    if isinstance(cell, Odd):
        return cell.value
    return repr(re.sub("[0-9]", "9", " ".join(str(cell).split())))


def _text(cell: Cell) -> str:
    """Small letters, single blanks, whole numbers without a point; nothing for what is no text."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if cell is None or isinstance(cell, Odd):
        return ""
    plain = "".join(map(_plain, str(cell).translate(_INVISIBLE)))
    return " ".join(plain.split()).casefold()


def _plain(sign: str) -> str:
    """Full-width signs become plain; a raised 2 or a half stays what it is, for it says more."""
    form = unicodedata.decomposition(sign).split(" ")[0]
    return unicodedata.normalize("NFKC", sign) if form in _PLAIN_FORMS else sign


def _common(cells: Sequence[Cell], words: set[str]) -> bool:
    """More than a slip of the pen: two cells and a tenth of the written ones are such a word."""
    written = [word for cell in cells if (word := _word(cell))]
    return sum(word in words for word in written) >= max(2, len(written) / 10)


def _word(cell: Cell) -> str:
    text = re.sub(r"(?<=[a-z])[-_](?=[a-z])", " ", _TENTHS.sub("", _text(cell)))
    return text.rstrip(".") or text


def _worded(cell: Cell, words: Mapping[str, int], unknown: set[str]) -> Reading:
    if is_blank(cell):
        return _EMPTY
    if _text(cell) in unknown:
        return _UNKNOWN
    value = words.get(_word(cell))
    return _UNREADABLE if value is None else Reading("read", value)


def _measured(cell: Cell, low: float, high: float, units: set[str]) -> Reading:
    if is_blank(cell):
        return _EMPTY
    value: float | None = None
    if isinstance(cell, str):
        text = _text(cell)
        if text in _UNKNOWN_WORDS | _DASHES:
            return _UNKNOWN
        parts = _NUMBER.fullmatch(text)
        if parts and parts[4] in units:
            value = float(f"{parts[1]}.{parts[2] or parts[3] or 0}")
    elif isinstance(cell, int | float) and not isinstance(cell, bool):
        value = cell
    inside = value is not None and low <= value <= high
    return Reading("read", float(value or 0)) if inside else _UNREADABLE


def _stage(cell: Cell, letter: str, scale: Mapping[str, float]) -> Reading:
    if is_blank(cell):
        return _EMPTY
    text = "" if isinstance(cell, bool) else _text(cell)
    if text in _UNKNOWN_WORDS:
        return _UNKNOWN
    parts = _STAGE.fullmatch(_TENTHS.sub("", text).replace(" ", ""))
    if parts is None or parts[1] not in (None, letter):
        return _UNREADABLE
    raw = parts[2]
    if raw == "x":
        return replace(_UNKNOWN, raw=raw)
    value = scale.get(raw)
    return Reading("off_scale", raw=raw) if value is None else Reading("read", value, raw)


_READERS: Mapping[str, Callable[[Cell], Reading]] = {
    "sex": lambda cell: _worded(cell, _SEXES, _UNKNOWN_WORDS | _DASHES),
    "age_years": lambda cell: _measured(cell, 0, 120, _YEARS),
    "weight_kg": lambda cell: _measured(cell, 1, 400, _KILOGRAMS),
    "smoker": lambda cell: _worded(cell, _SMOKED, _UNKNOWN_WORDS),
}
