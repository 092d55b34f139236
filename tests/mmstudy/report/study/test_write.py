"""Reports of studies in every state: whole, self-contained, and silent on who the patients are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser

from mmcaf.data.cohort import load
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.report.study.blocks import Section, Words
from mmstudy.report.study.evidence import NO_COHORT, Evidence, gather
from mmstudy.report.study.write import SECTIONS, report_page, sections_of, write_report
from mmstudy.report.table import Table, render
from mmstudy.storage.parquet import write_rows
from mmstudy.storage.schema import TRIALS, State, TrialRow
from mmstudy.study import Study, open_study
from support.dashboard_server import browser
from support.dashboard_studies import old_study, write_about
from support.made_study import NOW, made_study
from support.reported_study import HOST, add_failure, cohort_of

LEAKS = {
    "a date": r"(?:19|20)\d\d-\d\d-\d\d|\b20260131\b|\b\d\d:\d\d:\d\d\b",
    "a path": r"(?<![\w\d)\]*])/[A-Za-z_~.]\w*|\b[A-Za-z]:\\|\w+/\w+/\w+",
    "a UID": r"\d+(?:\.\d+){4,}",
    "a host": HOST,
}


def words_of(page: str) -> str:
    """All that a reader or a screen reader gets, charts included; no tag, no style."""
    body = re.sub(r"<style>.*?</style>|<defs>.*?</defs>", " ", page, flags=re.DOTALL)
    kept = re.sub(r"<[^>]*>", " ", body)
    return unescape(kept)


def told(sections: Sequence[Section]) -> str:
    """All that sections say, without a picture drawn; a line per block."""
    lines = []
    for section in sections:
        lines += [section.title, section.absent]
        for block in section.blocks:
            if isinstance(block, Table):
                lines.append(render(block, "table") + block.caption)
            elif isinstance(block, Words):
                lines.append(block.text)
            else:
                lines += [block.title, block.text, block.picture.alt]
    return "\n".join(lines)


def test_nothing_in_it_says_who_the_patients_are(study: Study, page: str) -> None:
    cohort = load(study.folder.root.parent / "cohort")
    tokens = set(re.findall(r"[A-Za-z0-9]+", page))
    for column in ("case", "patient_id", "group_id"):
        assert not tokens & {*cohort.patients[column]}, column
    assert not {who for who in ("B0001", "E0002", "A0999") if who in tokens}  # left out
    words = words_of(page)
    found = {name: re.findall(pattern, words) for name, pattern in LEAKS.items()}
    assert not any(found.values()), found
    assert "NVIDIA RTX A4000" in words


def test_the_scan_would_find_what_was_hidden(study: Study) -> None:
    reasons = " ".join(study.trials()["reason"].drop_nulls())
    assert all(re.search(pattern, reasons) for pattern in LEAKS.values())
    assert "c003" in reasons


def test_it_has_every_section_and_every_figure_has_words(page: str) -> None:
    for name in (*SECTIONS, "tripod-ai", "claim", "signature"):
        assert page.count(f'<section id="{name}"') == 1
    figures = re.findall(r"<figure>.*?</figure>", page, re.DOTALL)
    assert len(figures) >= 6
    for figure in figures:
        caption = re.search(r"<figcaption>(.*)</figcaption>", figure, re.DOTALL)
        assert caption
        assert re.search(r"\d", caption[1])


def test_it_needs_no_script_and_nothing_from_elsewhere(page: str) -> None:
    assert "<script" not in page
    assert "http:" not in page
    assert "https:" not in page
    assert not re.findall(r'(?:src|href)="(?!#|data:image/png)', page)


def test_figures_have_n_and_interval(study: Study, page: str) -> None:
    words = re.sub(r"\s+", " ", words_of(page))
    best = study.best_trial()
    assert best is not None
    assert f"{best['value']:.3f} [" in words
    assert "54 patients" in words
    assert "judging patients" in words
    assert "Seen by the ingestion: 63 patients" in words
    assert "Left out: 3 patients (E_OTHER_CLASS: 2; E_NO_IMAGES: 1)." in words
    assert "Set aside for testing: 6 patients (3 squamous, 3 adenocarcinoma)" in words


def test_the_same_study_tells_the_same(evidence: Evidence) -> None:
    again = sections_of(gather(evidence.study))
    assert told(again) == told(sections_of(evidence))


def _empty(root: Path) -> Study:
    return open_study(write_about(root, "s", trials=3, epochs=2).root)


def _running(root: Path) -> Study:
    study = _empty(root)
    row = TrialRow(
        number=0, state=State.RUNNING, params="{}", seed=1, attempts=1, started=NOW, host=HOST
    )
    write_rows(study.folder.trial(0), TRIALS, [row.as_dict()])
    return study


def _failed(root: Path) -> Study:
    study = _empty(root)
    for number in range(3):
        add_failure(study, number)
    return study


def _oracle(root: Path) -> Study:
    return made_study(root, synthetic=True, oracle=True)


def _one_fold(root: Path) -> Study:
    return made_study(root, folds=1)


def _two_objectives(root: Path) -> Study:
    study = made_study(root)
    about = json.loads(study.folder.study.read_text())
    about["spec"]["search"]["objectives"] = ["auroc", "parameters"]
    study.folder.study.write_text(json.dumps(about))
    return open_study(study.folder.root)


def _lost(root: Path) -> Study:
    study = made_study(root)
    study.folder.trial_predictions(0).unlink()
    return study


def _old(root: Path) -> Study:
    return open_study(old_study(root).root)


STATES: dict[Callable[[Path], Study], tuple[str, ...]] = {
    _empty: ("begun: none", "no trial is complete", "no trial has begun"),
    _running: ("begun: 1 running", "1 trials had not ended when their driver ended"),
    _failed: ("Why 3 trials failed", "of [patient], [path]"),
    _oracle: ("(SYNTHETIC ORACLE)", "No trials failed."),
    _one_fold: ("1 fold (trained on", "In the search: 43 patients"),
    _two_objectives: ("Several objectives: the trials that no other beats",),
    _lost: ("has no predictions in [path]", "no trial is complete"),
    _old: ("AUROC of trial", "Calibration"),
}


@pytest.mark.parametrize("make", STATES, ids=lambda make: make.__name__.strip("_"))
def test_a_study_of_any_state_has_a_report(tmp_path: Path, make: Callable[[Path], Study]) -> None:
    evidence = gather(make(tmp_path))
    words = evidence.hide(told(sections_of(evidence)))
    for said in STATES[make]:
        assert said in words
    assert NO_COHORT in words
    assert not re.findall(LEAKS["a path"], words)


def test_another_cohort_is_refused_and_a_given_one_is_read(tmp_path: Path) -> None:
    study = _empty(tmp_path)
    cohort_of(tmp_path / "cohort", [f"c{i:03}" for i in range(40)], np.arange(40) % 2)
    state = json.loads((tmp_path / "cohort" / "cohort.json").read_text())
    path = tmp_path / "cohort" / "cohort.json"
    path.write_text(json.dumps(state | {"digest": "0123456789abcdef"}))
    assert NO_COHORT in told(sections_of(gather(study)))
    assert NO_COHORT not in told(sections_of(gather(study, tmp_path / "cohort")))
    path.write_text(json.dumps(state))
    with pytest.raises(MMStudyError, match="was begun on cohort"):
        gather(study, tmp_path / "cohort")


def test_the_file_is_written_whole_and_has_the_right_ending(tmp_path: Path) -> None:
    study = _empty(tmp_path)
    write_report(study, tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text("utf-8") == report_page(study)  # the same again
    with pytest.raises(UsageError, match=r"got 'a\.pdf'. End its name in \.html"):
        write_report(study, tmp_path / "a.pdf")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.mark.slow  # starts Chromium
def test_a_browser_shows_and_prints_it_and_asks_for_nothing(
    chromium: Browser, page: str, tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    shown = chromium.new_page(viewport={"width": 1000, "height": 800})
    asked: list[str] = []
    complaints: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: complaints.append(message.text))
    shown.goto(file.as_uri())
    assert asked == [file.as_uri()]
    assert complaints == []
    wide = "document.documentElement.scrollWidth"
    assert shown.evaluate(wide) <= 1000
    shapes = shown.locator("figure svg").evaluate_all("all => all.map(one => one.clientHeight)")
    assert len(shapes) >= 6
    assert min(shapes) > 100
    printed = shown.pdf(prefer_css_page_size=True)
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") >= len(SECTIONS)
