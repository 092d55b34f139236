"""The dashboard in a real browser: one server, one Chromium, a fresh context per test.

Every test also asserts that nothing was asked of another host and nothing was complained about.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from mmstudy.storage.folder import StudyFolder
from mmstudy.study import open_study
from support.dashboard_server import chromium_path, served, settled
from support.dashboard_studies import write_about

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        chromium_path() is None,
        reason="no Chromium on the PATH nor in $CHROMIUM: the dashboard is not looked at",
    ),
]
# Of a page with a path Streamlit asks there, too, where its server is, and is told 404.
_PROBE = re.compile(r"404 .*/_stcore/(health|host-config)$")
WIDE, NARROW = (1280, 800), (390, 844)


@pytest.fixture(scope="module")
def address(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(studies, tmp_path_factory.mktemp("server") / "log") as found:
        yield found.address


@pytest.fixture
def page(chromium: Browser, address: str) -> Iterator[Page]:
    yield from watched(chromium, address, size=WIDE)


def watched(
    chromium: Browser, address: str, *, size: tuple[int, int], **more: Any
) -> Iterator[Page]:
    """A page whose requests and complaints are collected, and judged at the end."""
    context = chromium.new_context(viewport={"width": size[0], "height": size[1]}, **more)
    found = context.new_page()
    found.set_default_timeout(120_000)
    asked: list[str] = []
    complaints: list[str] = []
    found.on("request", lambda request: asked.append(request.url))
    found.on("pageerror", lambda error: complaints.append(str(error)))
    found.on(
        "console", lambda said: complaints.append(_said(said)) if said.type == "error" else None
    )
    yield found
    context.close()
    host = address.removeprefix("http://")
    own = re.compile(rf"^((http|ws)://{re.escape(host)}/|data:|blob:)")
    assert asked
    assert [url for url in asked if not own.match(url)] == []
    assert [one for one in complaints if not _PROBE.search(one)] == []


def _said(message: ConsoleMessage) -> str:
    return f"{message.text} {message.location['url']}"


def opened(page: Page, address: str, path: str) -> None:
    page.goto(f"{address}/{path}")
    page.get_by_test_id("stHeading").first.wait_for()
    settled(page)


def where(page: Page) -> str:
    return str(page.evaluate("decodeURIComponent(location.href)"))


def click_row(page: Page, row: int, table: int = 0) -> None:
    """Tick a row of a data grid, which is one canvas."""
    grid = page.get_by_test_id("stDataFrame").nth(table).locator("canvas").first
    grid.click(position={"x": 16, "y": 35 + 35 * row + 17}, force=True)
    settled(page)


def test_a_link_opens_filters_and_selection(page: Page, address: str) -> None:
    opened(page, address, "trials?study=twelve&state=complete&state=pruned&chosen=3,+7&has=softmax")
    main = page.get_by_test_id("stMain")
    expect(main).to_contain_text("6 of 12 trials")
    expect(page.get_by_label("Selected trials")).to_have_value("3, 7")
    expect(page.get_by_role("button", name="Compare 2")).to_be_enabled()


def test_a_filter_is_kept_in_the_address(page: Page, address: str) -> None:
    opened(page, address, "trials?study=twelve")
    page.get_by_role("textbox", name="Contains").fill("kan")
    page.get_by_role("textbox", name="Contains").press("Enter")
    settled(page)
    page.wait_for_function("location.href.includes('has=kan')")
    assert "study=twelve" in where(page)
    page.reload()
    page.get_by_test_id("stHeading").first.wait_for()
    settled(page)
    expect(page.get_by_role("textbox", name="Contains")).to_have_value("kan")


def test_a_study_is_opened_by_its_row(page: Page, address: str) -> None:
    opened(page, address, "")
    click_row(page, 0)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.wait_for_function("location.pathname === '/study'")


def test_a_trial_is_selected_and_opened(page: Page, address: str) -> None:
    opened(page, address, "trials?study=twelve")
    click_row(page, 1)
    expect(page.get_by_label("Selected trials")).to_have_value(re.compile(r"^\d+$"))
    chosen = page.get_by_label("Selected trials").input_value()
    page.get_by_role("button", name=f"Open trial {chosen}").click()
    expect(page.get_by_role("heading", name="One trial")).to_be_visible()
    settled(page)
    expect(page.get_by_label("Trial", exact=True)).to_have_value(chosen)
    page.wait_for_function("location.pathname === '/trial'")


def test_a_range_takes_lines_from_the_parallel_coordinates(page: Page, address: str) -> None:
    opened(page, address, "parameters?study=large")
    main = page.get_by_test_id("stMain")
    expect(main).to_contain_text("8800 complete trials of 10000 are drawn")
    page.get_by_text("Settings", exact=True).first.click()
    handle = page.get_by_role("slider", name="log10 train.lr").first
    for _ in range(10):
        handle.press("ArrowRight")
    settled(page)
    expect(main).not_to_contain_text("8800 complete trials of")
    assert "s.train.lr=" in where(page)
    expect(page.get_by_test_id("stEChartsChart").first).to_be_visible()


def test_a_running_study_grows_before_ones_eyes_and_keeps_the_selection(
    page: Page, tmp_path: Path, address: str, studies: Path
) -> None:
    write_about(studies, "alive", trials=6, epochs=5)
    driver = multiprocessing.get_context("spawn").Process(target=drive, args=(studies / "alive",))
    driver.start()
    try:
        paths = StudyFolder(studies / "alive")
        while not [*paths.trials.glob("0*.parquet")]:
            page.wait_for_timeout(200)
        opened(page, address, "trials?study=alive")
        click_row(page, 0)
        chosen = page.get_by_label("Selected trials")
        expect(chosen).to_have_value("0")
        expect(page.get_by_test_id("stMain")).to_contain_text("9 of 9 trials", timeout=60_000)
        expect(chosen).to_have_value("0")
    finally:
        driver.join(timeout=60)
    assert driver.exitcode == 0
    assert open_study(studies / "alive").counts()["complete"] >= 4
    shutil.rmtree(studies / "alive")  # other tests count the studies


def drive(folder: Path) -> None:
    """A real driver: lock, conductor, search, inline runner. Trials 3, 5 and 7 fail on purpose, so
    that nine are needed for six that count."""
    from bench_engine import conductor_of

    from mmstudy.driver.inline import InlineRunner
    from mmstudy.storage.ledger import FolderLedger
    from mmstudy.storage.lock import driver_lock
    from support.cheap_trial import run_cheap

    paths = StudyFolder(folder)
    spec = open_study(folder).about.spec
    with driver_lock(paths), InlineRunner() as runner:
        conductor = conductor_of(
            spec, FolderLedger(paths), paths.journal, folds=2, study=str(folder)
        )
        runner.run(conductor, run_cheap, spec.resources)


def saved(page: Page, label: str) -> bytes:
    page.get_by_role("button", name="Save").first.click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name=label, exact=True).click()
    return Path(waiting.value.path()).read_bytes()


def test_figures_are_saved_as_files_that_open(page: Page, address: str) -> None:
    opened(page, address, "study?study=twelve")
    pdf = saved(page, "PDF")
    assert pdf.startswith(b"%PDF-")
    assert pdf.rstrip().endswith(b"%%EOF")
    opened(page, address, "study?study=twelve")
    svg = ET.fromstring(saved(page, "SVG"))  # noqa: S314 - our own
    text = " ".join("".join(node.itertext()) for node in svg.iter() if node.tag.endswith("text"))
    assert "validation AUROC" in text
    assert "SYNTHETIC" in text
    opened(page, address, "study?study=twelve")
    rows = list(csv.DictReader(io.StringIO(saved(page, "CSV").decode())))
    assert sum(row["layer"] == "trial" for row in rows) == 11


def test_the_papers_tables_are_saved(page: Page, address: str) -> None:
    opened(page, address, "paper?study=twelve")
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Save as LaTeX").click()
    latex = Path(waiting.value.path()).read_text()
    assert r"\begin{tabular}" in latex
    assert latex.count(r"\toprule") == 1
    assert "MMCAF-Net" in latex


def test_why_a_row_is_marked_is_a_click_away(page: Page, address: str) -> None:
    opened(page, address, "paper?study=twelve")
    box = page.get_by_test_id("stExpander").filter(has_text="not tested: DrFuse")
    box.locator("summary").click()
    expect(box.get_by_test_id("stText")).to_contain_text("34")


def test_dark_mode_reaches_page_and_charts(chromium: Browser, address: str) -> None:
    for page in watched(chromium, address, size=WIDE, color_scheme="dark"):
        opened(page, address, "study?study=twelve")
        colour = "el => getComputedStyle(el).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
        ground = page.get_by_test_id("stApp").evaluate(colour)
        assert max(ground) < 60
        label = page.locator("[data-testid=stEChartsChart] svg text").first
        ink = label.evaluate(
            "el => getComputedStyle(el).fill.match(/\\d+/g).slice(0, 3).map(Number)"
        )
        assert min(ink) > 100


def test_all_of_it_is_reached_by_keyboard(page: Page, address: str) -> None:
    opened(page, address, "study?study=twelve")
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "(document.activeElement.innerText || document.activeElement.ariaLabel || "
                "document.activeElement.getAttribute('role') || '').trim().split('\\n')[0]"
            )
        )
    for wanted in ("Trials", "The paper", "Save"):
        assert wanted in reached, reached
    page.get_by_role("link", name="Trials").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Trials", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    "name", ["", "study", "trials", "parameters", "trial", "compare", "cases", "confirm", "paper"]
)
def test_nothing_is_wider_than_a_narrow_screen(chromium: Browser, address: str, name: str) -> None:
    for page in watched(chromium, address, size=NARROW):
        opened(page, address, f"{name}?study=twelve&chosen=0,+3")
        wide = page.evaluate(
            "[...document.querySelectorAll('[data-testid=stMain] *')].filter("
            "el => el.getBoundingClientRect().right > innerWidth + 1 && "
            "!el.closest('[data-testid=stDataFrame]') && !el.closest('svg') "
            "&& !el.closest('pre') && el.type !== 'range' && el.offsetParent)"
            ".map(el => el.outerHTML.slice(0, 200))"
        )
        assert wide == []


def test_a_page_for_a_broken_study(page: Page, address: str) -> None:
    opened(page, address, "study?study=later")
    expect(page.get_by_test_id("stAlert")).to_contain_text("has version 99")


def test_names_and_questions_are_never_markup(page: Page, address: str) -> None:
    opened(page, address, "study?study=large")
    expect(page.get_by_test_id("stText").first).to_have_text("<b>Does</b> it *show* :red[$all$]?")
    expect(page.get_by_test_id("stMain").locator("b, i")).to_have_count(0)
