"""Whose data numbers are of: one value, whose words stand in one module."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mmstudy.storage.origin import Origin
from mmstudy.study import open_study
from support.made_study import made_study

ROOT = Path(__file__).parents[3]
WORDS = re.compile(r"SYNTHETIC|ORACLE")


@pytest.mark.parametrize(
    ("origin", "column", "warnings"),
    [
        (Origin(), "real", 0),
        (Origin(synthetic=True), "SYNTHETIC", 1),
        (Origin(oracle=True), "ORACLE", 1),
        (Origin(synthetic=True, oracle=True), "SYNTHETIC ORACLE", 2),
    ],
)
def test_column_mark_and_warnings_say_the_same(origin: Origin, column: str, warnings: int) -> None:
    assert origin.column == column
    assert origin.mark == column.replace("real", "")
    assert len(origin.warnings) == warnings
    assert WORDS.findall(origin.sentence) == origin.mark.split()
    assert WORDS.findall(origin.caution or "") == origin.mark.split()[:1]
    assert WORDS.findall(origin.named("x")) == origin.mark.split()


@pytest.mark.parametrize(("synthetic", "oracle"), [(False, False), (True, False), (False, True)])
def test_a_study_knows_its_origin(tmp_path: Path, synthetic: bool, oracle: bool) -> None:
    made = made_study(tmp_path, synthetic=synthetic, oracle=oracle)
    assert open_study(made.folder.root).origin == Origin(synthetic, oracle)


def test_the_words_stand_in_one_module() -> None:
    files = [*ROOT.glob("platform/**/*"), *ROOT.glob("dashboards/**/*")]
    texts = [file for file in files if file.suffix in (".py", ".yaml", ".html", ".css", ".js")]
    found = [file.relative_to(ROOT) for file in texts if WORDS.search(file.read_text("utf-8"))]
    assert found == [Path("platform/mmstudy/storage/origin.py")]
