"""The chart of patients: every line is drawn, inside its box, and as text."""

from __future__ import annotations

from html import escape

from defusedxml import ElementTree as ET  # noqa: N817 - as the standard library's is called

from mmstudy.report.study.flowchart import Box, Flowchart, svg

LONG = "In the cohort: 312 patients (61 squamous, 251 adenocarcinoma) of <b>one</b> hospital"
CHART = Flowchart((Box(("Seen: 9",)), Box((LONG,), ("Left out: 3", *["E_X: 1"] * 9))), alt="A & B")


def test_it_holds_every_word_as_text() -> None:
    root = ET.fromstring(svg(CHART, escape))
    words = " ".join(text.text or "" for text in root.iter("text"))
    assert "of <b>one</b> hospital" in words
    assert words.count("E_X: 1") == 9
    assert [title.text for title in root.iter("title")] == ["A & B"]


def test_every_line_lies_in_a_box_and_in_the_picture() -> None:
    root = ET.fromstring(svg(CHART, escape))
    boxes = [
        [float(box.get(name, "")) for name in ("x", "y", "width", "height")]
        for box in root.iter("rect")
    ]
    _, _, width, height = (float(part) for part in root.get("viewBox", "").split())
    assert all(x >= 0 and y >= 0 and x + w <= width and y + h <= height for x, y, w, h in boxes)
    for text in root.iter("text"):
        at = float(text.get("x", "")), float(text.get("y", ""))
        widest = at[0] + 6.6 * len(text.text or "")  # of 13 px sans-serif, on average
        inside = [x < at[0] and widest < x + w and y < at[1] < y + h for x, y, w, h in boxes]
        assert sum(inside) == 1, text.text


def test_boxes_do_not_lie_upon_each_other() -> None:
    root = ET.fromstring(svg(CHART, escape))
    left = [box for box in root.iter("rect") if float(box.get("x", "")) < 10]
    edges = [
        float(b.get("y", "")) + end * float(b.get("height", "")) for b in left for end in (0, 1)
    ]
    assert edges == sorted(edges)
