"""How fast the dashboard opens a study of 10,000 trials x 50 epochs, beside optuna-dashboard.

`make bench` runs it; or: python tests/benchmarks/bench_dashboard.py
Exits 1 where a figure misses its target. Needs Chromium; says so and exits 0 where there is none.
Both servers are opened by one Chromium in one run. Times are until everything of a page stands:
the script has ended, every chart has been drawn.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from statistics import median

import psutil
from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for support

from bench_engine import told

from mmstudy.storage.folder import StudyFolder
from support.dashboard_server import (
    MMSTUDY,
    browser,
    chromium_path,
    free_port,
    served,
    settled,
    started,
)
from support.dashboard_studies import large_study

TRIALS, EPOCHS, TRIES, SESSIONS = 10_000, 50, 3, 4
FIRST_SECONDS, CHART_SECONDS, MIB = 3.0, 1.0, 500
CHARTS = "[data-testid=stEChartsChart] canvas, [data-testid=stEChartsChart] svg"


def seconds(act: Callable[[], None], until: Callable[[], None]) -> float:
    """From the act to the moment it is done."""
    begin = time.perf_counter()
    act()
    until()
    return time.perf_counter() - begin


def drawn(page: Page, charts: int) -> None:
    """As many charts, and nothing under way."""
    page.wait_for_function(
        "([charts, wanted]) => document.querySelectorAll(charts).length >= wanted",
        arg=[CHARTS, charts],
    )
    settled(page, pause_ms=0)


def ours(chromium: Browser, address: str) -> dict[str, float]:
    """Seconds of the first page, and of every page and chart from its click on."""
    page = chromium.new_page()
    link = f"{address}/study?study=large"
    found = {"first page": seconds(lambda: page.goto(link) and None, lambda: drawn(page, 3))}
    for name, charts in (("Parameters", 4), ("Overview", 3), ("One trial", 3), ("Trials", 0)):
        times = [_page(page, name, charts) for _ in range(TRIES)]
        found[f"page {name}, {charts} charts"] = median(times)
    found |= _charts(page)
    page.close()
    return found


def _page(page: Page, name: str, charts: int) -> float:
    """From another page to this one."""
    _open(page, "Cases")
    settled(page)
    return seconds(lambda: _open(page, name), lambda: drawn(page, charts))


def _open(page: Page, name: str) -> None:
    page.get_by_role("link", name=name).click()
    page.get_by_role("heading", name=name, exact=True).wait_for()


def _charts(page: Page) -> dict[str, float]:
    """One chart after another, each from the click that asks for it."""
    _open(page, "Parameters")
    drawn(page, 4)
    found = {}
    for label, options in (
        ("Setting", ("train.momentum", "model.attention", "train.lr")),
        ("Across", ("train.momentum", "train.batch_size", "train.lr")),
        ("Cost", ("trainable weights", "GPU seconds", "seconds per epoch")),
    ):
        times = []
        for option in options:
            named = page.get_by_text(label, exact=True)
            box = page.get_by_test_id("stMain").get_by_test_id("stSelectbox").filter(has=named)
            box.get_by_role("combobox").click(force=True)
            choice = page.get_by_role("option", name=option).first
            choice.wait_for()
            times.append(seconds(choice.click, lambda: _redrawn(page)))
        found[f"chart by {label}"] = median(times)
    handle = page.get_by_role("textbox", name="Contains")
    times = []
    for text in ("softmax", "kan", ""):
        handle.fill(text)
        times.append(seconds(lambda: handle.press("Enter"), lambda: _redrawn(page)))
    found["parallel coordinates by a filter"] = median(times)
    return found


def _redrawn(page: Page) -> None:
    page.wait_for_function(
        "document.querySelector('[data-testid=stApp]')"
        ".getAttribute('data-test-script-state') === 'running'"
    )
    drawn(page, 4)


def memory(chromium: Browser, address: str, pid: int) -> float:
    """MiB of the server while sessions look at its heaviest pages."""
    pages = [chromium.new_context().new_page() for _ in range(SESSIONS)]
    for name in ("study", "trials", "parameters"):
        for page in pages:
            page.goto(f"{address}/{name}?study=large")
            page.get_by_test_id("stHeading").first.wait_for()
        for page in pages:
            settled(page)
    server = psutil.Process(pid)
    total = sum(one.memory_info().rss for one in (server, *server.children(recursive=True)))
    for page in pages:
        page.context.close()
    return total / 2**20


def theirs(chromium: Browser, paths: StudyFolder, log: Path) -> float:
    """Seconds until optuna-dashboard shows its history of the same trials."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [*MMSTUDY, "optuna-dashboard", str(paths.root), "--port", str(port)]
    with started(command, f"{address}/api/studies", log):
        page = chromium.new_page()
        page.set_default_timeout(300_000)

        def shown() -> None:
            page.locator(".js-plotly-plot .main-svg .points path").first.wait_for()

        return seconds(lambda: page.goto(f"{address}/dashboard/studies/0") and None, shown)


def journal(paths: StudyFolder) -> None:
    """The same trials as Optuna keeps them."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.storages.journal import JournalFileBackend

    from mmstudy.study import open_study

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = open_study(paths.root)
    kinds = {
        "train.lr": FloatDistribution(1e-5, 1e-1, log=True),
        "train.momentum": FloatDistribution(0.0, 0.9),
        "train.batch_size": IntDistribution(2, 8),
        "model.pyramid_scales": CategoricalDistribution(("[3]", "[2, 3]", "[1, 2, 3]")),
        "model.attention": CategoricalDistribution(("softmax", "linear")),
        "model.tabular": CategoricalDistribution(("kan", "mlp")),
    }
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "fail": "FAIL"}
    curves = study.metrics().group_by("number", maintain_order=True).agg("epoch", "auroc")
    steps = {n: dict(zip(e, a, strict=True)) for n, e, a in curves.iter_rows()}
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(paths.journal)))
    number = storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "large")
    for row in study.trials().sort("number").iter_rows(named=True):
        state = optuna.trial.TrialState[states[row["state"]]]
        template = optuna.trial.create_trial(
            state=state,
            value=row["value"],
            params={path: row[f"param:{path}"] for path in kinds},
            distributions=kinds,
            intermediate_values=steps[row["number"]],
        )
        template.datetime_start = row["started"].replace(tzinfo=None)
        template.datetime_complete = template.datetime_start + timedelta(minutes=3)
        storage.create_new_trial(number, template_trial=template)


def main() -> int:
    """The exit code."""
    if chromium_path() is None:
        print("dashboard: not measured, there is no Chromium on the PATH nor in $CHROMIUM")
        return 0
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        paths = large_study(folder / "studies", "large", trials=TRIALS, epochs=EPOCHS)
        journal(paths)
        print(f"a study of {TRIALS} trials x {EPOCHS} epochs in Chromium, medians of {TRIES}")
        chromium = stack.enter_context(browser())
        chromium.new_page().close()  # it has started
        served_at = stack.enter_context(served(paths.root.parent, folder / "log"))
        found = ours(chromium, served_at.address)
        held = [
            told(
                f"seconds, {what}",
                value,
                at_most=FIRST_SECONDS if "first" in what else CHART_SECONDS,
            )
            for what, value in found.items()
        ]
        mib = memory(chromium, served_at.address, served_at.pid)
        held.append(told(f"MiB of the server with {SESSIONS} sessions", mib, at_most=MIB))
        beside = theirs(chromium, paths, folder / "optuna.log")
        ratio = beside / found["first page"]
        print(f"optuna-dashboard, same trials, first chart: {beside:.2f} s")
        held.append(told("times as long as ours until the first page", ratio, at_least=1))
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
