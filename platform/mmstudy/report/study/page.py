"""Sections as one HTML page: self-contained, without scripts, made to be printed and signed.

Every text passes two doors on its way: what must not leave is hidden (`hide`), and what means
something to HTML is escaped. Nothing else of the report makes HTML, but for the charts, whose own
texts pass the same doors.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape, unescape

from mmstudy.plots import Plot
from mmstudy.report.cells import Measure, cell_text
from mmstudy.report.escape import one_line
from mmstudy.report.study.blocks import Block, Figure, Section, Words
from mmstudy.report.study.flowchart import svg
from mmstudy.report.study.hide import Hide
from mmstudy.report.study.style import STYLE
from mmstudy.report.table import Block as Rows
from mmstudy.report.table import Table
from mmstudy.storage.origin import Origin

__all__ = ["page"]

_MOST_TEXT = 4000  # signs of one text
_LONG_WORD = 24  # signs of a word that may be broken to fit its cell
_FOREIGN = re.compile(r"<metadata>.*?</metadata>|\sxmlns(?::\w+)?=\"[^\"]*\"", re.DOTALL)
_REFERENCE = re.compile(r"\[\[([a-z-]+)\]\]")  # in own words: a link to a section
_CODE = re.compile(r"`([^`<>]{1,80})`")
_SHORT = 12  # rows of a table that stays on one page
_SIGNED = ("Name", "Role", "Date", "Signature")
Text = Callable[[str], str]


def page(name: str, origin: Origin, sections: Sequence[Section], hide: Hide) -> str:
    """The whole page; the same sections give the same page.

    Args:
        name: of the study.
        origin: whose numbers these are; its marks stand on every table and figure.
        sections: in order.
        hide: takes from a text what must not leave.
    """

    def text(given: str) -> str:
        return escape(hide(one_line(given))[:_MOST_TEXT])  # a name is hidden while it is whole

    sections = [replace(of, title=f"{n}. {of.title}") for n, of in enumerate(sections, 1)]
    titles = {section.name: section.title for section in sections}
    body = "\n".join(_section(one, origin, text, titles) for one in sections)
    print_of = hashlib.sha256(body.encode()).hexdigest()[:16]
    warnings = "".join(f'<p class="warning">{text(one)}</p>' for one in origin.warnings)
    links = "".join(f'<li><a href="#{one.name}">{text(one.title)}</a></li>' for one in sections)
    title = text(origin.named(f"Report of study {name}"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{title}</title><style>{STYLE}</style></head>\n"
        f"<body><header><h1>{title}</h1>{warnings}"
        f"<p>Fingerprint of this report: {print_of}. A change of any figure changes it.</p>"
        f'<nav aria-label="Contents"><ul>{links}</ul></nav></header>\n<main>{body}</main>\n'
        f"{_signature(print_of)}</body></html>\n"
    )


def _section(section: Section, origin: Origin, text: Text, titles: dict[str, str]) -> str:
    def linked(given: str) -> str:
        linked = _REFERENCE.sub(
            lambda found: f'<a href="#{found[1]}">{text(titles.get(found[1], found[1]))}</a>',
            text(given),
        )
        return _CODE.sub(r"<code>\1</code>", linked)

    body = "\n".join(_block(block, origin, linked) for block in section.blocks)
    kind = ' class="wide"' if section.wide else ""
    heading = text(origin.named(section.title))
    return f'<section id="{section.name}"{kind}><h2>{heading}</h2>\n{body}</section>'


def _block(block: Block, origin: Origin, text: Text) -> str:
    if isinstance(block, Words):
        return f'<p class="{block.kind}">{text(block.text)}</p>'
    if isinstance(block, Table):
        return _table(block, origin, text)
    return _figure(block, origin, text)


def _figure(figure: Figure, origin: Origin, text: Text) -> str:
    mark = f"<b>{text(origin.mark)}</b> " if origin.mark else ""
    return (
        f"<figure>{_picture(figure, text)}<figcaption>{mark}<b>{text(figure.title)}.</b> "
        f"{text(figure.text)}</figcaption></figure>"
    )


def _picture(figure: Figure, text: Text) -> str:
    if not isinstance(figure.picture, Plot):
        return svg(figure.picture, text)
    from mmstudy.plots.file import inline  # matplotlib: half a second

    return _FOREIGN.sub("", inline(_readable(figure.picture, text)))


def _readable(plot: Plot, text: Text) -> Plot:
    """The plot with texts that may leave; who draws it escapes them."""

    def plain(given: str) -> str:
        return unescape(text(given))

    return replace(
        plot,
        x=plain(plot.x),
        y=plain(plot.y),
        alt=plain(plot.alt),
        note=plain(plot.note),
        shade=plain(plot.shade),
        rows=tuple(map(plain, plot.rows)),
        columns=tuple(map(plain, plot.columns)),
        layers=tuple(replace(layer, name=plain(layer.name)) for layer in plot.layers),
        rules=tuple(replace(rule, name=plain(rule.name)) for rule in plot.rules),
        axes=tuple(
            replace(axis, name=plain(axis.name), names=tuple(map(plain, axis.names)))
            for axis in plot.axes
        ),
    )


def _table(table: Table, origin: Origin, text: Text) -> str:
    columns = table.shown("table")
    mark = f"<b>{text(origin.mark)}</b> " if origin.mark else ""
    heads = "".join(f'<th scope="col">{text(one.head or one.key)}</th>' for one in columns)
    keys = [column.key for column in columns]
    body = "".join(_rows(block, keys, text) for block in table.blocks)
    notes = "".join(
        (f"<h3>{text(of.title)}</h3>" if of.title else "")
        + f"<ul>{''.join(f'<li>{text(one)}</li>' for one in of.sentences)}</ul>"
        for of in table.notes
    )
    kind = "table short" if len(table.rows) <= _SHORT else "table"
    return (
        f'<div class="{kind}"><table><caption>{mark}{text(table.caption)}</caption>'
        f"<thead><tr>{heads}</tr></thead>{body}</table></div>{notes}"
    )


def _rows(block: Rows, keys: Sequence[str], text: Text) -> str:
    title = (
        f'<tr><th scope="rowgroup" colspan="{len(keys)}">{text(block.title)}</th></tr>'
        if block.title
        else ""
    )
    lines = "".join(
        f"<tr>{''.join(_cell(row[key], text) for key in keys)}</tr>" for row in block.rows
    )
    return f"<tbody>{title}{lines or '<tr><td>None.</td></tr>'}</tbody>"


def _cell(value: object, text: Text) -> str:
    if isinstance(value, Measure):
        parts = [value.shown or "-", value.interval, value.counts]
        shown = "".join(f"<span>{text(part)}</span>" for part in parts if part)
        return f'<td class="n">{shown}</td>'
    shown = cell_text(value)
    long = any(len(word) > _LONG_WORD for word in shown.split())
    kind = "n" if isinstance(value, int | float) else "long" if long else ""
    attribute = f' class="{kind}"' if kind else ""
    return f"<td{attribute}>{text(shown)}</td>"


def _signature(print_of: str) -> str:
    lines = "".join(f"<tr><th>{name}</th><td></td><td></td></tr>" for name in _SIGNED)
    return (
        '<section id="signature"><h2>Signatures</h2><p>I have read this report, fingerprint '
        f"{print_of}, and what it says cannot be answered from the study.</p>"
        f'<table class="signed"><tr><th></th><th>Author</th><th>Reviewer</th></tr>{lines}</table>'
        "</section>\n"
    )
