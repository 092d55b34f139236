"""Text that stays in its cell: what a user typed, as each format shows it and nothing more.

Every format has signs that mean something: LaTeX's and Markdown's own, what a spreadsheet takes for
a formula, what a terminal takes for a command. A name of a study may hold any of them.
"""

from __future__ import annotations

import re
from datetime import datetime

__all__ = ["csv_text", "latex_text", "markdown_line", "markdown_text", "one_line", "visible"]

_FORMULA = frozenset("=+-@＝＋－＠")  # the wide ones as well: some spreadsheets narrow them
_CONTROLS: dict[int, str | None] = {
    **dict.fromkeys([*range(32), *range(127, 160), *range(0xD800, 0xE000)]),
    ord("\t"): "\t",
    ord("\n"): "\n",
    ord("\r"): "\n",  # alone it would end a row for some readers
}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[]*"},  # after a line break these would be its options
}


def one_line(text: str) -> str:
    r"""Text on one line, with single spaces and without signs that nobody sees.

    >>> one_line("a\x1b[31m\n  b")
    'a[31m b'
    """
    kept = (sign for sign in text if sign.isprintable() or sign.isspace())
    return " ".join("".join(kept).split())


def visible(text: str) -> str:
    r"""Text for a terminal: its lines as they are, without signs that nobody sees.

    >>> visible("a\x1b[31m\n  b\u202e")
    'a[31m\n  b'
    """
    return "".join(sign for sign in text if sign.isprintable() or sign == "\n")


def csv_text(value: object) -> object:
    """A cell that no spreadsheet computes: text that begins like a formula gets an apostrophe.

    Numbers stay numbers, what is none or not a number is empty, a moment is ISO 8601. Of control
    characters only tab and line feed are kept.

    >>> csv_text("=1+1"), csv_text(-0.5), csv_text(None)
    ("'=1+1", -0.5, '')
    """
    if value is None or value != value:
        return ""
    if not isinstance(value, str):
        return value.isoformat() if isinstance(value, datetime) else value
    if not value.isprintable():
        value = value.replace("\r\n", "\n").translate(_CONTROLS)
    first = next((sign for sign in value if sign.isprintable() and not sign.isspace()), "")
    return "'" + value if first in _FORMULA else value


def markdown_text(text: str) -> str:
    r"""Text that Markdown shows as it is, on one line, also in a cell.

    >>> markdown_text("a|b *c* <i>")
    'a\\|b \\*c\\* &lt;i&gt;'
    """
    flat = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~#!$])", r"\\\1", flat)


def markdown_line(text: str) -> str:
    r"""Text that Markdown shows as it is where a line begins: neither a list nor a rule.

    >>> markdown_line("- a"), markdown_line("1. b")
    ('\\- a', '1\\. b')
    """
    return re.sub(r"^([-+=])|^(\d+)([.)])", r"\2\\\1\3", markdown_text(text))


def latex_text(text: str) -> str:
    r"""Text that LaTeX shows as it is, on one line.

    >>> latex_text("50% of a_b")
    '50\\% of a\\_b'
    """
    return "".join(_LATEX.get(sign, sign) for sign in one_line(text))
