"""How cells of a clinical sheet are written, and how a human reads them."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["COLUMNS", "UNREADABLE", "Reading", "spelt"]

Missing = Literal["never", "flagged", "silent"]


@dataclass(frozen=True)
class Reading:
    """What a human makes of a cell.

    `values` are right; it may also be missing, with a flag on the patient or, where a human too
    reads nothing, without one. In `doubt`, any value will do if it is flagged.
    """

    values: tuple[float, ...] = ()
    missing: Missing = "flagged"
    doubt: bool = False


UNREADABLE = Reading()
EMPTY = Reading(missing="silent")

COLUMNS = {  # of the sheet -> of the cohort
    "Sex": "sex",
    "Age": "age_years",
    "weight (kg)": "weight_kg",
    "T-Stage": "t_ord",
    "N-Stage": "n_ord",
    "Ｍ-Stage": "m_ord",
    "Smoking History": "smoker",
}
_T = {"1a": 1, "1b": 2, "1c": 3, "1": 2, "2": 4.5, "2a": 4, "2b": 5, "3": 6, "4": 7}
_N = {"0": 0, "1": 1, "2": 2, "3": 3}
_M = {"0": 0, "1": 2, "1a": 1, "1b": 2, "1c": 3}
_NOTHING: list[Any] = [None, "", " ", "NA", "n/a", "unknown", "-", "#N/A", "nil", ".", "--"]
_DATE = dt.datetime(1961, 3, 5)
_ODD: list[Any] = [
    _DATE,
    "?",
    "see report",
    "#VALUE!",
    "1/2",
    "nan",
    "inf",
    "1e999",
    "\u00bd",
]

Spelling = Callable[[Any], tuple[Any, Reading]]


def _sure(value: float) -> Reading:
    """Anybody reads it so; to miss it with a flag is no lie."""
    return Reading((value,))


def _sex(chance: random.Random, old: Any) -> tuple[Any, Reading]:
    female = ["F", "f", " F ", "Female", "FEMALE", "female ", "fem", "F.", "woman", "女", "Ｆ"]
    male = ["M", "m", "M ", "Male", "MALE", "male", "man", "m.", "男", "Ｍ", "\u00a0M"]
    if chance.random() < 0.6:
        code = chance.randint(0, 1)
        return chance.choice((female, male)[code]), _sure(code)
    odd = [*_ODD, "M/F", "x", 3, True, "Mx", "divers", 7.5]
    return chance.choice(odd), UNREADABLE


def _age(chance: random.Random, old: Any) -> tuple[Any, Reading]:
    age = int(old or 61)
    same = [
        age,
        float(age),
        f"{age}",
        f" {age} ",
        f"{age}.0",
        f"{age},0",
        f"{age} years",
        f"{age}y",
    ]
    same += [f"0{age}Y", f"{age} yrs", f"{age} y.o.", f"{age}岁", f"{age} Jahre", f"{age} ans"]
    same += [f"={age - 1}+1", f"\u00a0{age}", f"{age}\t", f"Age: {age}", f"{age} Years", f"{age}a"]
    same += [
        "".join(chr(ord("０") + int(digit)) for digit in str(age)),
        f"{age}歳",
        f"{age:.1f} yr",
    ]
    drawn = chance.random()
    if drawn < 0.6:
        return chance.choice(same), _sure(age)
    if drawn < 0.75:
        new = chance.choice([age + 1, age - 20, age + 0.5, 18, 99])
        return chance.choice([new, f"{new}", f"{new}".replace(".", ",")]), _sure(new)
    if drawn < 0.77:  # of a child, who has no such tumour: read as it stands, or missed
        return chance.choice([0.58, "0.58", 7]), Reading(doubt=True)
    if drawn < 0.8:
        return chance.choice([f"{age} months", f"{age}M", f"0{age}M"]), _sure(age / 12)
    odd = [
        *_ODD,
        f"{age}-{age + 2}",
        f"{age}/{age}",
        age * 10,
        -age,
        1950,
        "fifty",
        True,
        "1961-03-05",
    ]
    odd += ["05.03.1961", f"{age} {age}", f"{str(age)[0]}_{str(age)[1]}", "M", f">{age}", f"<{age}"]
    odd += [f"{age} or {age + 3}", "5 8", f"{age}?", f"~{age}", "0x3A", "N61", 19610305]
    return chance.choice(odd), UNREADABLE


def _weight(chance: random.Random, old: Any) -> tuple[Any, Reading]:
    kg = int(old or 64)
    same = [
        kg,
        float(kg),
        f"{kg}",
        f"{kg} kg",
        f"{kg}kg",
        f"{kg} KG",
        f"{kg},0",
        f" {kg}",
        f"{kg}.0kg",
    ]
    same += [f"{kg} kilograms", f"{kg} Kg.", f"{kg}公斤", f"{kg}千克", f"={kg}*1", f"{kg}\u00a0kg"]
    drawn = chance.random()
    if drawn < 0.6:
        return chance.choice(same), _sure(kg)
    if drawn < 0.75:
        new = chance.choice([kg + 0.5, kg + 7, 41.25, 103])
        text = f"{new}".replace(".", ",")
        return chance.choice([new, f"{new}", text, f"{text} kg"]), _sure(new)
    if drawn < 0.85:
        pounds = round(kg * 2.2046)
        written = chance.choice([f"{pounds} lb", f"{pounds} lbs", f"{pounds}lb"])
        return written, Reading((pounds / 2.2046226,))
    odd = [*_ODD, -kg, kg * 10, kg * 1000, 0, "heavy", f"{kg}-{kg + 3}", f"{kg} cm", "1,65 m", True]
    odd += [
        f"{kg} {kg}",
        f"{kg}/170",
        f"{kg},{kg},{kg}",
        f"1.{kg}0,5",
        "M",
        0.07,
        f">{kg}",
        f"{kg}?",
    ]
    return chance.choice(odd), UNREADABLE


def _stage(
    letter: str, known: dict[str, float]
) -> Callable[[random.Random, Any], tuple[Any, Reading]]:
    odd = [*_ODD, f"{letter}9", "9", f"{letter}x", f"{letter}X", "X", "IIA", "IV", True, 2.5, "yes"]
    odd += [
        f"{letter}1-2",
        "1-3",
        f"{letter}1/{letter}2",
        "0-1",
        -1,
        "1abc",
        f"{letter}",
        11,
        "1 2",
    ]

    def stage(chance: random.Random, old: Any) -> tuple[Any, Reading]:
        if chance.random() < 0.35:
            return chance.choice(odd), UNREADABLE
        text = (
            chance.choice([*known]) if chance.random() < 0.5 else str(old if old is not None else 1)
        )
        value = known[text]
        written = [text, text.upper(), f"{letter}{text}", f"{letter.lower()}{text}", f" {text} "]
        written += [
            f"c{letter}{text}",
            f"p{letter}{text}",
            f"yp{letter}{text}",
            f"{letter}{text.upper()}",
        ]
        written += [f"{letter} {text}", f"{letter}-{text}", f"{text}\u00a0", f"{letter}{text}."]
        if len(text) == 2:
            written += [
                f"{text[0]} {text[1]}",
                f"{letter}{text[0]} {text[1]}",
                f"{text[0]}-{text[1]}",
            ]
        else:
            written += [int(text), float(text), f"{text}.0", f"{text},0", f"{letter}{text}.0"]
        return chance.choice(written), _sure(value)

    return stage


def _smoker(chance: random.Random, old: Any) -> tuple[Any, Reading]:
    yes = [
        1,
        "1",
        1.0,
        "1.0",
        "Yes",
        "YES",
        "yes ",
        "y",
        True,
        "current",
        "smoker",
        "有",
        "是",
        "ja",
    ]
    yes += ["ex", "former", "Ex-smoker", "former smoker", "quit", "TRUE"]
    no = [0, "0", 0.0, "0.0", "No", "no", "n", False, "never", "Never smoker", "无", "否", "nein"]
    no += ["non-smoker", "none", "FALSE", "never smoked"]
    if chance.random() < 0.7:
        code = chance.randint(0, 1)
        return chance.choice((no, yes)[code]), _sure(code)
    odd = [*_ODD, 2, 0.5, "20 pack-years", "perhaps", -1, "yes/no", "passive", 9, "10"]
    written = chance.choice(odd)
    return written, Reading((1,)) if written == "20 pack-years" else UNREADABLE


_SPELLINGS: dict[str, Callable[[random.Random, Any], tuple[Any, Reading]]] = {
    "Sex": _sex,
    "Age": _age,
    "weight (kg)": _weight,
    "T-Stage": _stage("T", _T),
    "N-Stage": _stage("N", _N),
    "Ｍ-Stage": _stage("M", _M),
    "Smoking History": _smoker,
}


def spelt(column: str, old: Any, chance: random.Random) -> tuple[Any, Reading]:
    """Something to write into a cell of the sheet, and how a human reads it."""
    if chance.random() < 0.1:
        return chance.choice(_NOTHING), EMPTY
    return _SPELLINGS[column](chance, old)
