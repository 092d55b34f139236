"""Every module of the packages has a test of its name, or is listed with the test that covers it.

A test of its name lies in the mirrored folder: `mmcaf/data/cohort.py` has
`tests/mmcaf/data/test_cohort.py`. Names of test files are unique, so the package may stand before
the module's name: `mmstudy/cli/run.py` has `test_cli_run.py`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from support.house import ROOT, modules

TESTS = ROOT / "tests"
COVERED = {  # module: the test file that covers it
    "mmcaf.errors": "mmcaf/data/test_cohort.py",
    "mmcaf.config.data": "mmcaf/data/test_augment.py",
    "mmcaf.config.training": "mmcaf/training/test_stages.py",
    "mmcaf.data.ingest.decode": "mmcaf/data/ingest/test_dicom.py",
    "mmcaf.data.ingest.report_html": "mmcaf/data/ingest/test_writing.py",
    "mmcaf.data.ingest.sheet.opening": "mmcaf/data/ingest/sheet/test_workbook.py",
    "mmcaf.data.ingest.sheet.table": "mmcaf/data/ingest/sheet/test_workbook.py",
    "mmcaf.data.ingest.run": "mmcaf/data/ingest/test_ingest.py",
    "mmcaf.data.synthetic.faults.files": "mmcaf/data/synthetic/test_faults.py",
    "mmcaf.data.synthetic.faults.pixels": "mmcaf/data/synthetic/test_faults.py",
    "mmcaf.data.synthetic.faults.stacks": "mmcaf/data/synthetic/test_faults.py",
    "mmcaf.data.synthetic.faults.strike": "mmcaf/data/synthetic/test_faults.py",
    "mmcaf.data.synthetic.faults.tables": "mmcaf/data/synthetic/test_faults.py",
    "mmcaf.data.synthetic.faults.victim": "mmcaf/data/synthetic/test_faults.py",
    "mmcaf.data.synthetic.faults.values": "mmcaf/data/synthetic/test_faults.py",
    "mmcaf.data.synthetic.write": "mmcaf/data/synthetic/test_synthetic.py",
    "mmcaf.net.comparators.base_config": "mmcaf/net/comparators/test_configs.py",
    "mmcaf.net.comparators.inputs": "mmcaf/net/comparators/test_all_networks.py",
    "mmcaf.net.entry": "mmcaf/net/test_offered_networks.py",
    "mmcaf.net.config": "mmcaf/net/test_model_config.py",
    "mmcaf.net.stage_rules": "mmcaf/net/test_registry.py",
    "mmcaf.net.stage_views": "mmcaf/training/test_stages.py",
    "mmstudy.benchmark.read": "mmstudy/benchmark/test_benchmark.py",
    "mmstudy.benchmark.run": "mmstudy/benchmark/test_benchmark.py",
    "mmstudy.cli.benchmark": "mmstudy/benchmark/test_benchmark.py",
    "mmstudy.storage.examination": "mmstudy/driver/test_judgement.py",
    "mmstudy.trial.state": "mmstudy/driver/test_judgement.py",
    "mmstudy.cli.dashboard": "mmstudy/test_serving.py",
    "mmstudy.cli.demo": "mmstudy/cli/test_cli_run.py",
    "mmstudy.cli.explain": "mmstudy/followup/test_explain.py",
    "mmstudy.cli.followup": "mmstudy/followup/test_after.py",
    "mmstudy.cli.main": "mmstudy/conftest.py",
    "mmstudy.cli.submit": "mmstudy/cluster/test_ray_jobs.py",
    "mmstudy.cli.shared": "mmstudy/cli/test_studies.py",
    "mmstudy.comparison.published": "mmstudy/comparison/test_paper.py",
    "mmstudy.driver.conductor": "mmstudy/driver/test_contract.py",
    "mmstudy.driver.inline": "mmstudy/driver/test_contract.py",
    "mmstudy.followup.confirm": "mmstudy/followup/test_after.py",
    "mmstudy.followup.evaluate": "mmstudy/storage/test_folder.py",
    "mmstudy.followup.explain_fold": "mmstudy/followup/test_explain.py",
    "mmstudy.followup.predict": "mmstudy/storage/test_folder.py",
    "mmstudy.followup.rerun": "mmstudy/followup/test_after.py",
    "mmstudy.plots.evidence": "mmstudy/plots/test_charts.py",
    "mmstudy.plots.file": "mmstudy/plots/test_plot.py",
    "mmstudy.plots.search": "mmstudy/plots/test_charts.py",
    "mmstudy.plots.settings": "mmstudy/plots/test_charts.py",
    "mmstudy.report.benchmark": "mmstudy/benchmark/test_benchmark.py",
    "mmstudy.report.comparison": "mmstudy/report/test_rendering.py",
    "mmstudy.report.study.blocks": "mmstudy/report/study/test_page.py",
    "mmstudy.report.study.evidence": "mmstudy/report/study/test_write.py",
    "mmstudy.report.study.style": "mmstudy/report/study/test_write.py",
    "mmstudy.spec.constraints": "mmstudy/spec/test_space.py",
    "mmstudy.spec.sections": "mmstudy/spec/test_network_specs.py",
    "mmstudy.spec.written": "mmstudy/spec/test_spec_faults.py",
    "mmstudy.storage.compaction": "mmstudy/storage/test_ledger.py",
    "mmstudy.storage.explanations": "mmstudy/followup/test_explain.py",
    "mmstudy.storage.segments": "mmstudy/storage/test_ledger.py",
    "mmstudy.study": "mmstudy/analysis/test_overview.py",
    "mmstudy.trial.compute": "mmstudy/trial/test_recorder.py",
    "mmstudy.trial.run": "mmstudy/driver/test_drive.py",
    "mmstudy.trial.task": "mmstudy/driver/test_contract.py",
}
STRIKE = "mmcaf.data.synthetic.faults.strike"
THROUGH = {  # module: what its test imports, or types as a command, to reach it
    "mmcaf.data.ingest.report_html": "mmcaf.data.ingest.run",
    "mmcaf.data.synthetic.faults.files": STRIKE,
    "mmcaf.data.synthetic.faults.pixels": STRIKE,
    "mmcaf.data.synthetic.faults.stacks": STRIKE,
    "mmcaf.data.synthetic.faults.tables": STRIKE,
    "mmcaf.data.synthetic.faults.victim": STRIKE,
    "mmcaf.data.synthetic.faults.values": STRIKE,
    "mmcaf.config": "mmcaf.config",
    "mmcaf.net.comparators": "support.all_networks",
    "mmcaf.net.entry": "mmcaf.net.registry",
    "mmstudy.report": "mmstudy.report",
    "mmstudy.report.study.style": "mmstudy.report.study.write",
    "mmstudy.spec.written": "mmstudy.spec.study_spec",
    "mmstudy.cli": "Command",  # the fixture that types what a user would
    "mmstudy.cluster.submit": "submit",
    "mmstudy.driver.on_ray": "run",
    "mmstudy.plots": "mmstudy.plots",
    "mmstudy.spec.faults": "mmstudy.spec.study_spec",
    "mmstudy.trial.run": "mmstudy.driver.drive",
    "mmstudy.trial.threads": "mmstudy.trial.threads",
}
MODULES = {name: file for name, file in modules().items() if not name.startswith("dashboards")}
NETWORKS = "mmcaf.net.comparators."  # folders of one network each, all of them run by one test
OWN = [name for name, file in MODULES.items() if file.stem not in ("__init__", "__main__")]


def named_for(module: str) -> list[Path]:
    if module.startswith(NETWORKS) and module.endswith(".network"):
        return [TESTS / "mmcaf" / "net" / "comparators" / "test_all_networks.py"]
    *packages, name = module.split(".")
    folder = TESTS.joinpath(*packages)
    named = (folder / f"test_{name}.py", folder / f"test_{packages[-1]}_{name}.py")
    return [file for file in named if file.is_file()]


def imported(file: Path) -> set[str]:
    """Dotted names that a test imports, also inside functions and in code it hands to others."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def reaches(file: Path, module: str) -> bool:
    """Whether a test imports a module, or goes through what stands in `THROUGH`."""
    if module in imported(file):
        return True
    above = module.removesuffix(".network").rpartition(".")[0]
    way = THROUGH.get(module) or THROUGH.get(above)
    text = file.read_text("utf-8")
    return way is not None and re.search(rf"\b{re.escape(way)}\b", text) is not None


@pytest.mark.parametrize("module", OWN)
def test_a_module_has_a_test(module: str) -> None:
    assert named_for(module) or module in COVERED, (
        f"{module} has no test of its name: write one, or say in COVERED which file covers it."
    )


@pytest.mark.parametrize("module", [name for name in OWN if name not in COVERED])
def test_a_test_of_its_name_reaches_the_module(module: str) -> None:
    for file in named_for(module):
        assert reaches(file, module), f"{file} neither imports {module} nor goes through it."


@pytest.mark.parametrize("module", COVERED)
def test_what_is_listed_is_there_and_reaches_the_module(module: str) -> None:
    file = TESTS / COVERED[module]
    assert module in MODULES, f"{module} is gone; take it out of COVERED."
    assert file.is_file(), f"{file} is gone; say which file covers {module} now."
    assert not named_for(module), f"{module} has a test of its name; take it out."
    assert reaches(file, module), f"{file} neither imports {module} nor goes through it."


def test_a_file_that_does_not_reach_a_module_is_found() -> None:
    assert not reaches(Path(__file__), "mmcaf.data.cohort")
    assert reaches(Path(__file__), "support.house")


def test_no_two_test_files_have_one_name() -> None:
    names = Counter(file.name for file in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
