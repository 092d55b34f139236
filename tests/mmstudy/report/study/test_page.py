"""Blocks as HTML: whatever a text holds is text, every table and figure has its mark."""

from __future__ import annotations

from html.parser import HTMLParser

from mmstudy.plots.plot import Layer, Plot, Rule
from mmstudy.report.cells import Measure
from mmstudy.report.study.blocks import Figure, Section, Words
from mmstudy.report.study.flowchart import Box, Flowchart
from mmstudy.report.study.page import page
from mmstudy.report.table import Block, Column, Notes, Table
from mmstudy.storage.origin import Origin

BAD = "<script>alert('1')</script>\" onload=\"x & y"
TABLE = Table(
    columns=(Column("a", BAD), Column("b")),
    blocks=(Block(BAD, ({"a": BAD, "b": Measure(0.5, 0.4, 0.6, hits=1, total=2)},)), Block("", ())),
    notes=(Notes(BAD, (BAD,)),),
    caption=BAD,
)
PLOT = Plot(
    name="x",
    x=f"{BAD} secret",
    y="secret",
    layers=tuple(Layer(kind="line", name=name, x=[0, 1], y=[0, 1]) for name in (BAD, "secret")),
    rules=(Rule("x", 0.5, "secret"),),
    rows=("secret", BAD),
    alt=f"{BAD} secret",
    note="secret",
)
BLOCKS = (
    Words(BAD),
    Words("see [[end]] and [[nowhere]]", "remark"),
    TABLE,
    Figure(BAD, BAD, PLOT),
    Figure("flow", BAD, Flowchart((Box((BAD,), (BAD,)),), alt=BAD)),
)
SECTIONS = (
    Section(name="start", title=BAD, blocks=BLOCKS),
    Section(name="end", title="End", blocks=(Words("secret"),), wide=True),
)


class Seen(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def made(**changes: bool) -> tuple[str, Seen]:
    text = page(BAD, Origin(**changes), SECTIONS, lambda of: of.replace("secret", "[hidden]"))
    return text, Seen(text)


def test_no_text_becomes_markup() -> None:
    text, seen = made()
    assert "script" not in seen.tags
    assert not {name for name, _ in seen.attributes if name.startswith("on")}
    assert "<script" not in text
    assert any("<script>alert" in words for words in seen.words)


def test_it_needs_nothing_from_anywhere() -> None:
    text, seen = made()
    ways = [v for n, v in seen.attributes if n.rpartition(":")[2] in ("src", "href", "action")]
    assert ways
    assert all(way.startswith("#") for way in ways)
    assert "http" not in text.replace("http-equiv", "").replace("alert", "")
    assert "@import" not in text
    assert "default-src 'none'" in text
    assert not {"link", "iframe", "object", "form", "img"} & {*seen.tags}


def test_every_table_figure_and_heading_has_the_marks() -> None:
    text, seen = made(synthetic=True, oracle=True)
    marked = text.count("<b>SYNTHETIC ORACLE</b>")
    assert marked == seen.tags.count("caption") + seen.tags.count("figcaption") == 3
    assert text.count("(SYNTHETIC ORACLE)</h2>") == len(SECTIONS)
    assert text.count('<p class="warning">') == 2
    assert "SYNTHETIC" not in made()[0]


def test_links_lead_to_sections_by_number_and_title() -> None:
    text, _ = made()
    assert '<a href="#end">2. End</a>' in text
    assert '<section id="end" class="wide">' in text


def test_what_is_hidden_is_hidden_and_the_fingerprint_tells_a_change() -> None:
    text, _ = made()
    assert "secret" not in text
    assert "[hidden]" in text
    again, _ = made()
    assert again == text
    other = page(BAD, Origin(), SECTIONS[:1], str)
    prints = [of.split("Fingerprint of this report: ")[1][:16] for of in (text, other)]
    assert prints[0] != prints[1]
    assert text.count(prints[0]) == 2  # above, and where it is signed


def test_a_measure_has_its_interval_and_counts() -> None:
    text, _ = made()
    cell = '<td class="n"><span>0.500</span><span>[0.40, 0.60]</span><span>1/2</span></td>'
    assert cell in text
