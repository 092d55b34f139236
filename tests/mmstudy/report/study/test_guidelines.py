"""Every item of both guidelines has an answer, or a reason why there is none."""

from __future__ import annotations

import pytest

from mmstudy.report.study.blocks import Section, Words
from mmstudy.report.study.guidelines import CLAIM, TRIPOD_AI, Item, answer, guideline
from mmstudy.report.study.write import SECTIONS

ABSENT = {"question": "", "flow": "", "patients": "no cohort", "results": "no trial"}


def test_the_lists_are_whole() -> None:
    """TRIPOD+AI: 27 items (BMJ 385:e078378). CLAIM: 44 (Radiol Artif Intell 6(4):e240300)."""
    numbers = [item.number for item in TRIPOD_AI]
    assert list(dict.fromkeys(int(one.rstrip("abcdefg")) for one in numbers)) == [*range(1, 28)]
    lettered = {
        number: sum(one.rstrip("abcdefg") == str(number) and not one.isdigit() for one in numbers)
        for number in range(1, 28)
    }
    assert {number: parts for number, parts in lettered.items() if parts} == {
        3: 3, 5: 2, 6: 3, 8: 3, 9: 3, 12: 7, 18: 6, 20: 3, 23: 2, 27: 3,
    }  # fmt: skip
    assert [item.number for item in CLAIM] == [str(number) for number in range(1, 45)]


@pytest.mark.parametrize("item", [*TRIPOD_AI, *CLAIM], ids=lambda item: item.heading)
def test_an_item_names_sections_that_there_are_or_says_why_not(item: Item) -> None:
    assert set(item.sections) <= set(SECTIONS)
    assert item.sections or item.rest
    assert item.heading
    assert not item.heading.endswith(".")
    assert item.rest.endswith(".") == bool(item.sections and item.rest)


@pytest.mark.parametrize(
    ("sections", "rest", "said"),
    [
        (("question", "flow"), "", "[[question]], [[flow]]."),
        (("question", "patients"), "More.", "[[question]]. More."),
        (
            ("patients", "results"),
            "More.",
            "Not answerable from this study, because no cohort; no trial.",
        ),
        ((), "it is so", "Not answerable from this study, because it is so."),
    ],
)
def test_answers(sections: tuple[str, ...], rest: str, said: str) -> None:
    assert answer(Item("1", "a", sections, rest), ABSENT) == said


def test_the_caption_counts_what_is_answered() -> None:
    there = [Section(name=name, title=name, blocks=(Words("x"),)) for name in SECTIONS]
    found = guideline("claim", "CLAIM", "Source.", items=CLAIM, sections=there)
    answered = sum(bool(item.sections) for item in CLAIM)
    assert f"{answered} of 44 items" in found.blocks[1].caption  # type: ignore[union-attr]
    tripod = guideline("t", "T", "S.", items=TRIPOD_AI, sections=there)
    assert f"of {len(TRIPOD_AI)} parts of 27 items" in tripod.blocks[1].caption  # type: ignore[union-attr]
