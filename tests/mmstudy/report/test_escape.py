"""Text that a user typed, as each format shows it: nothing of it means anything there."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mmstudy.report.escape import csv_text, latex_text, markdown_line, markdown_text, one_line

SIGNS = "=+-@*_`#|\\~^<>&%${}[]()!\"',;:.\t\r\n\x1b\x00\x9b\u202e\u2028\ufeff＝1. aé"
ANY = st.one_of(st.text(max_size=40), st.text(SIGNS, max_size=20))


@given(ANY)
def test_no_text_is_a_formula(text: str) -> None:
    shown = str(csv_text(text))
    assert not re.match(r"[\s\ufeff\u202e]*[=+\-@＝]", shown)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


@given(ANY.filter(str.isprintable))
def test_csv_holds_what_was_typed(text: str) -> None:
    assert str(csv_text(text)).removeprefix("'") == text.removeprefix("'")


@pytest.mark.parametrize("hidden", ["\x00", " ", "\t", "\ufeff", "\u200b", "\n", "\x1b"])
def test_a_formula_behind_what_nobody_sees_is_one(hidden: str) -> None:
    assert str(csv_text(f"{hidden}=1+1")).startswith("'")


@given(ANY)
def test_one_line_is_one_line(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert "  " not in shown
    assert shown == shown.strip()
    assert [sign for sign in shown if sign != " "] == [
        sign for sign in text if sign.isprintable() and sign != " "
    ]


@given(ANY)
def test_markdown_shows_what_was_typed(text: str) -> None:
    markdown = MarkdownIt("commonmark").enable("table")
    html = markdown.render(f"| a | b |\n|---|---|\n| {markdown_text(text)} | x |")
    (row,) = re.findall(r"<tbody>\s*<tr>(.*?)</tr>", html, re.DOTALL)
    first, second = re.findall(r"<td>(.*?)</td>", row, re.DOTALL)
    assert second == "x"
    assert "<" not in first


@given(ANY)
def test_a_line_of_markdown_begins_nothing(text: str) -> None:
    html = MarkdownIt("commonmark").enable("table").render(f"- {markdown_line(text)}\n- x")
    assert re.findall(r"</?\w+", html) == ["<ul", "<li", "</li", "<li", "</li", "</ul"]


@given(ANY)
def test_latex_holds_no_sign_of_its_own(text: str) -> None:
    shown = latex_text(text)
    for sequence in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}"):
        shown = shown.replace(sequence, "")
    shown = re.sub(r"\\text(less|greater|bar|quotedbl)\{\}|\\[&%$#_{}]|\{[\[\]*]\}", "", shown)
    assert not set(shown) & set("\\{}%&$#_~^[]<>|*\n")
