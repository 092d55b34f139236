"""What was planned, as it was written: every range, no path, and borders that are checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from mmcaf.files.atomic import write_json
from mmstudy.report.study import design
from mmstudy.report.study.blocks import Section, Words
from mmstudy.report.study.evidence import Evidence, gather
from mmstudy.report.table import Table, render
from mmstudy.storage.about import Searched
from mmstudy.study import Study, open_study
from support.dashboard_studies import write_about
from support.made_probe import PROBE


def text_of(section: Section) -> str:
    parts = [
        render(block, "table") if isinstance(block, Table) else getattr(block, "text", "")
        for block in section.blocks
    ]
    return "\n".join(parts)


@pytest.fixture
def begun(tmp_path: Path) -> Study:
    return open_study(write_about(tmp_path, "s", trials=3, epochs=2).root)


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (Searched(real=(1e-5, 0.1), log=True), "numbers from 1e-05 to 0.1, on a log scale"),
        (Searched(whole=(2, 8)), "whole numbers from 2 to 8"),
        (Searched(choice=("kan", [1, 2], True)), "one of kan, [1, 2], true"),
    ],
)
def test_what_a_setting_may_be(of: Searched, said: str) -> None:
    assert design.allowed(of) == said


def test_every_searched_setting_and_every_fixed_one_is_told(begun: Study) -> None:
    told = text_of(design.search(gather(begun)))
    for path in begun.about.space:
        assert told.count(path) >= 2  # what it may be, and among all settings
    assert "train.optimizer" in told
    assert "search.sampler" in told
    assert design.search(gather(begun)).absent == "no trial has begun"


def test_where_files_lie_is_not_told(begun: Study) -> None:
    about = begun.about
    spec = dict(about.written)
    spec["search"] = {**spec["search"], "warm_start": "studies/other", "seed": 0}
    spec["train"] = {**spec["train"], "weights": "home/me", "list": [{"a": None, "b": 1}]}
    changed = replace(begun, about=replace(about, written=spec))
    told = text_of(design.search(gather(changed)))
    assert "studies/other" not in told
    assert "home/me" not in told
    assert "[path]" in told
    assert '[{"b": 1}]' in told


def test_a_group_on_both_sides_of_a_border_is_told(evidence: Evidence) -> None:
    assert "none stands on both sides" in text_of(design.protocol(evidence))
    cohort, split = evidence.cohort, evidence.study.about.split
    assert cohort is not None
    rows = cohort.patients
    moved = rows.with_columns(
        group_id=rows["case"].replace_strict(
            {split.test[0]: "one", split.folds[0].train[0]: "one"}, default=rows["case"]
        )
    )
    crossed = replace(evidence, cohort=replace(cohort, patients=moved))
    assert "1 stands on both sides" in text_of(design.protocol(crossed))


def test_a_question_is_told_as_it_was_asked(begun: Study) -> None:
    first = design.question(gather(begun)).blocks[0]
    assert first == Words(begun.question)


def test_what_a_setting_can_move_is_told_where_it_was_probed(begun: Study) -> None:
    assert "No probe was made" in text_of(design.search(gather(begun)))
    write_json(begun.folder.probe, msgspec.to_builtins(PROBE))
    told = text_of(design.search(gather(open_study(begun.folder.root))))
    assert "mostly finds noise" in told
    assert "of other patients: `mmstudy probe` measures it again" in told
    begun.folder.probe.write_text("{}")
    assert "The probe is not shown." in text_of(design.search(gather(begun)))
