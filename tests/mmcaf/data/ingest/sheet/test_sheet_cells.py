"""Spellings of cells: each is read for what it says, or it is unreadable; nothing is guessed."""

from __future__ import annotations

from typing import Any

import pytest

from mmcaf.data.ingest.sheet.cells import Reading, is_blank, patient_of, read_column, shape_of
from mmcaf.data.ingest.sheet.table import Odd


def one(column: str, cell: Any, edition: int | None = None) -> Any:
    """The value of a cell, or how it was read where it has none."""
    (found,) = read_column(column, [cell], edition)
    return found.value if found.status == "read" else found.status


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *((58, 58), (58.4, 58.4), ("58", 58), ("58.0", 58), (" 58 ", 58), ("58,5", 58.5)),
        *(("58 years", 58), ("58y", 58), ("058Y", 58), ("58 yrs", 58), ("58 YO", 58)),
        *(("５８", 58), ("58\u00a0y.o.", 58), ("\u200b58", 58), ("58岁", 58), (0, 0), (120, 120)),
        *((None, "empty"), ("", "empty"), ("  ", "empty"), ("unknown", "unknown")),
        *(("N/A", "unknown"), ("-", "unknown"), (121, "unreadable"), (-1, "unreadable")),
        *((True, "unreadable"), ("58 months", "unreadable"), ("018M", "unreadable")),
        *(("60-65", "unreadable"), (">89", "unreadable"), ("5²", "unreadable")),
        *(("58½", "unreadable"), ("5_8", "unreadable"), ("0x3A", "unreadable")),
        *(("5e1", "unreadable"), ("nan?", "unreadable"), ("1958-03-02", "unreadable")),
        *(("27.2.1900", "unreadable"), (float("inf"), "unreadable"), ("58 %", "unreadable")),
        *((Odd.DATE, "unreadable"), (Odd.FORMULA, "unreadable"), ("#N/A", "unreadable")),
        *((10**400, "unreadable"), ("٥٨", "unreadable"), (1958, "unreadable")),
    ],
)
def test_an_age_is_in_years(cell: Any, value: Any) -> None:
    assert one("age_years", cell) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *((65, 65), ("65,5", 65.5), ("65 kg", 65), ("65kg", 65), ("65㎏", 65), ("65.50 KG", 65.5)),
        *(("143 lb", "unreadable"), ("143lbs", "unreadable"), ("10 st", "unreadable")),
        *(("65,500", "unreadable"), ("65 500", "unreadable"), (0, "unreadable")),
        *((401, "unreadable"), ("65 years", "unreadable"), ("?", "unknown")),
    ],
)
def test_a_weight_is_in_kilograms(cell: Any, value: Any) -> None:
    assert one("weight_kg", cell) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *(("F", 0), ("Female", 0), ("woman", 0), ("W", 0), ("女", 0), (" f ", 0), ("Ｆ", 0)),
        *(("M", 1), ("male", 1), ("Man", 1), ("男", 1), ("M.", 1)),
        *((0, "unreadable"), ("1", "unreadable"), ("H", "unreadable"), ("O", "unreadable")),
        *(("M/F", "unreadable"), (True, "unreadable"), ("М", "unreadable")),  # the Cyrillic letter
        *(("unknown", "unknown"), (None, "empty")),
    ],
)
def test_a_sex_is_what_is_unambiguous(cell: Any, value: Any) -> None:
    assert one("sex", cell) == value


@pytest.mark.parametrize("other", ["H", "v"])
def test_beside_h_or_v_an_m_is_no_man(other: str) -> None:
    """Spanish has hombre and mujer, Dutch man and vrouw."""
    found = read_column("sex", ["M", other, "male", "F", other, "m"])
    assert [of.value for of in found] == [None, None, 1, 0, None, None]
    assert found[0].status == "unreadable"


def test_one_slip_of_the_pen_puts_no_column_in_doubt() -> None:
    assert [of.value for of in read_column("sex", ["M", "H", "F", "M"])] == [1, None, 0, 1]
    assert [of.value for of in read_column("smoker", [1, 2, 0, "1"])] == [1, None, 0, 1]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *((1, 1), (1.0, 1), ("1.0", 1), ("1,0", 1), (True, 1), ("TRUE", 1), ("Yes", 1), ("y", 1)),
        *(("ex", 1), ("Ex-smoker", 1), ("former", 1), ("current smoker", 1), ("ever", 1)),
        *((0, 0), ("0.0", 0), (False, 0), ("no", 0), ("N", 0), ("Never", 0), ("never-smoker", 0)),
        *(("Lifelong Non-smoker", 0), ("non-smoker", "unreadable"), ("none", "unreadable")),
        *((2, "unreadable"), ("-", "unreadable"), ("№", "unreadable"), ("1,000", "unreadable")),
        *(("30 pack-years", "unreadable"), ("no (quit 2005)", "unreadable"), ("na", "unknown")),
    ],
)
def test_whoever_once_smoked_has_a_history_of_it(cell: Any, value: Any) -> None:
    assert one("smoker", cell) == value


def test_codes_beyond_one_have_their_own_key() -> None:
    """In the GDC's 1 to 5, 1 is a lifelong non-smoker."""
    found = read_column("smoker", [1, 2, 4, "1", 0, "yes"])
    assert [of.value for of in found] == [None, None, None, None, None, 1]


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        *(("t_ord", "2a", 4), ("t_ord", "T2a", 4), ("t_ord", "cT2a", 4), ("t_ord", "ypT2A", 4)),
        *(("t_ord", "2 a", 4), ("t_ord", "T-2a", 4), ("t_ord", 2, 4.5), ("t_ord", "2.0", 4.5)),
        *(("t_ord", "Tis", 0), ("t_ord", "Tis (AIS)", 0), ("t_ord", "is", 0), ("t_ord", 4.0, 7)),
        *(("t_ord", "1mi", 0.5), ("t_ord", "T1(mi)", 0.5), ("t_ord", "T1c", 3), ("t_ord", 1, 2)),
        *(("t_ord", "TX", "unknown"), ("t_ord", "cTx", "unknown"), ("t_ord", "X", "unknown")),
        *(("t_ord", "T5", "off_scale"), ("t_ord", "T0", "off_scale"), ("t_ord", "3a", "off_scale")),
        *(("t_ord", "N2", "unreadable"), ("t_ord", "T2a?", "unreadable"), ("t_ord", "", "empty")),
        *(("t_ord", "IIIA", "unreadable"), ("t_ord", "T1-2", "unreadable")),
        *(
            ("t_ord", True, "unreadable"),
            ("t_ord", "T2aN0M0", "unreadable"),
            ("t_ord", "²", "unreadable"),
        ),
        *(("n_ord", "N2a", 2), ("n_ord", "pN1b", 1), ("n_ord", "n3", 3), ("n_ord", 0.0, 0)),
        *(("n_ord", "NX", "unknown"), ("n_ord", "NO", "unreadable"), ("n_ord", 4, "off_scale")),
        *(("m_ord", "M1b", 2), ("m_ord", "cM0", 0), ("m_ord", "1c", 3), ("m_ord", "M1c2", 3)),
        *(("m_ord", "Mx", "unknown"), ("m_ord", "3", "off_scale"), ("m_ord", "M1d", "off_scale")),
        *(("m_ord", Odd.DATE, "unreadable"), ("m_ord", "-", "unreadable")),
    ],
)
def test_a_stage_is_of_its_column_and_edition(column: str, cell: Any, value: Any) -> None:
    assert one(column, cell) == value


@pytest.mark.parametrize(
    ("cell", "value"),
    [("T1a", 1.5), ("1b", 3), ("2b", 6), ("2a", 4.5), (3, 6.5), ("4", 7), ("1c", "off_scale")],
)
def test_stages_of_the_7th_edition_lie_where_the_8th_puts_their_sizes(
    cell: Any, value: Any
) -> None:
    assert one("t_ord", cell, 7) == value


def test_a_stage_keeps_what_was_written_without_its_letter() -> None:
    found = read_column("t_ord", ["cT2A", "Tx", "T9", "tall"])
    assert [of.raw for of in found] == ["2a", "x", "9", None]
    assert found[0] == Reading("read", 4, "2a")


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        *(("A0001", "A0001"), ("Lung_Dx-A0001", "A0001"), (" lung_dx-g0062 ", "G0062")),
        *(("a0001", "A0001"), ("Ａ０００１", "A0001"), ("A1", None), ("C0001", None), (1, None)),
        *((None, None), ("A00011", None), ("A0001 B0002", None), (Odd.DATE, None)),
    ],
)
def test_a_patient_is_known_by_the_collections_id(cell: Any, name: str | None) -> None:
    assert patient_of(cell) == name


def test_what_is_odd_is_not_blank() -> None:
    assert [is_blank(cell) for cell in (None, "", " \u200b", Odd.MERGED, 0, False)] == [
        *(True, True, True, False, False, False),
    ]


def test_a_shape_says_how_and_not_what_is_written() -> None:
    assert [shape_of(cell) for cell in ("143 lb", Odd.DATE, 58.5)] == [
        *("'999 lb'", "a date or time", "'99.9'"),
    ]
