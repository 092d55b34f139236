"""`import mmstudy`: what it offers, what it loads, and a study's tables from it."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

import mmstudy
from mmcaf.data.cohort import Cohort
from mmstudy.storage import mirror
from mmstudy.storage.schema import EpochRow
from mmstudy.study import Study
from mmstudy.trial.task import TrialTask
from support.cheap_trial import run_cheap
from support.house import modules
from support.object_store import object_store
from support.tiny_spec import TINY_SPEC

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "ray", "optuna", "polars", "streamlit", "pydantic", "numpy", "matplotlib"}
BELOW = sorted(
    {name.split(".")[1] for name in modules() if name.startswith("mmstudy.")} - {"__main__"}
)


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout.strip()


def test_all_is_sorted_and_every_name_is_there() -> None:
    assert sorted(mmstudy.__all__) == mmstudy.__all__
    assert set(mmstudy.__all__) <= set(dir(mmstudy))
    for name in mmstudy.__all__:
        assert getattr(mmstudy, name) is not None


def test_all_is_what_can_be_had_and_nothing_else() -> None:
    offered = {*mmstudy._HOMES, *mmstudy._MODULES, "__version__"}
    assert set(mmstudy.__all__) == offered
    for name, home in mmstudy._HOMES.items():
        module = importlib.import_module(f"mmstudy.{home}")
        assert name in module.__all__  # a public name of its own module too
        assert getattr(mmstudy, name) is getattr(module, name)


def test_no_name_is_that_of_another_module() -> None:
    """Importing `mmstudy.x` binds x here, over whatever x was."""
    assert set(BELOW) & set(mmstudy.__all__) == set(mmstudy._MODULES)


@pytest.mark.parametrize("first", ["names", "modules"])
def test_a_name_means_the_same_whatever_was_imported_before(first: str) -> None:
    use = "for name in mmstudy.__all__: getattr(mmstudy, name)"
    load = f"for name in {BELOW}: import_module('mmstudy.' + name)"
    steps = [use, load] if first == "names" else [load, use]
    told = "for name in mmstudy.__all__: print(name, type(getattr(mmstudy, name)).__name__)"
    code = ["from importlib import import_module", "import mmstudy", *steps, told]
    found = dict(line.split() for line in python("\n".join(code)).split("\n"))
    kinds = {"errors": "module", "plots": "module", "__version__": "str"}
    kinds |= {"Study": "type", "InlineRunner": "ABCMeta", "RayRunner": "ABCMeta"}
    assert found == {name: kinds.get(name, "function") for name in mmstudy.__all__}


def test_import_alone_loads_nothing_that_takes_time() -> None:
    assert python(f"import sys, mmstudy; print(*{HEAVY} & sys.modules.keys())") == ""


def test_reading_and_drawing_load_neither_torch_nor_ray_nor_optuna() -> None:
    code = (
        "from mmstudy import compare, list_studies, open_study, plots, read_benchmark, write_report"
    )
    heavy = {"torch", "ray", "optuna", "streamlit"}
    assert python(f"import sys; {code}; print(*{heavy} & sys.modules.keys())") == ""


def test_a_name_it_does_not_have_is_told_with_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"'open_studdy'\. Did you mean 'open_study'"):
        mmstudy.open_studdy  # noqa: B018
    with pytest.raises(AttributeError, match=r"'xyz'\. It has InlineRunner, "):
        mmstudy.xyz  # noqa: B018
    with pytest.raises(ImportError):
        from mmstudy import trials  # noqa: F401


def test_what_a_readers_install_leaves_out_is_told_with_how_to_get_it() -> None:
    lines = ["import sys, mmstudy", "sys.modules['optuna'] = None  # as if it were not installed"]
    lines += ["try: mmstudy.run_study", "except ImportError as error: print(error)"]
    assert python("\n".join(lines)) == (
        "`mmstudy.run_study` needs optuna, which an install that only reads results leaves out: "
        "pip install 'mmcaf-study[run]'."
    )


def test_a_spec_is_a_file_or_the_name_of_a_ready_space() -> None:
    found = mmstudy.load_spec("smoke", ["search.trials=3"], environment={})
    assert found.search.trials == 3
    path = ROOT / "search_spaces" / "smoke.yaml"
    assert mmstudy.load_spec(path, ["search.trials=3"], environment={}) == found
    with pytest.raises(mmstudy.errors.UsageError, match="Did you mean 'smoke'"):
        mmstudy.load_spec("smoek")


SCRIPT = """
from typing import Any, assert_type

import polars as pl

import mmstudy
from mmstudy import InlineRunner, RayRunner, Study, compare, errors, plots
from mmstudy.benchmark.read import Benchmark
from mmstudy.comparison.comparison import Comparison
from mmstudy.driver.tally import Standing
from mmstudy.plots import Plot

study = mmstudy.open_study("s3://bucket/studies/demo")
assert_type(study, Study)
assert_type(mmstudy.list_studies("studies"), list[Study])
assert_type(study.trials(), pl.DataFrame)
plan = mmstudy.plan_study(mmstudy.load_spec("smoke"), cohort="c", root="r", name="n")
assert_type(mmstudy.run_study(plan, InlineRunner()), Standing)
mmstudy.run_study(plan, RayRunner())
assert_type(compare(study), Comparison)
assert_type(mmstudy.read_benchmark("r"), Benchmark | None)
assert_type(mmstudy.importance(study), list[dict[str, Any]])
assert_type(mmstudy.confirm(study, InlineRunner()), list[dict[str, Any]])
assert_type(mmstudy.evaluate(study, 3), dict[str, Any])
assert_type(mmstudy.predict(study, 3, "other", cohort="c"), pl.DataFrame)
assert_type(plots.roc(study, 3), Plot)
plots.history(study).save("history.pdf")
mmstudy.write_report(study, "report.html", cohort="c")
assert_type(mmstudy.__version__, str)
wrong: errors.MMStudyError = errors.UsageError("no")
mmstudy.open_studdy  # the one fault
"""


@pytest.mark.slow  # mypy reads torch's types when its cache is cold
def test_a_type_checker_knows_every_name(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml"]
    done = subprocess.run(
        [*command, str(script)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    line = SCRIPT.count("\n")
    assert f'script.py:{line}: error: Module has no attribute "open_studdy"' in done.stdout
    assert "Found 1 error in 1 file" in done.stdout
    used = {name for name in mmstudy.__all__ if name in SCRIPT}
    assert used == set(mmstudy.__all__)


def two_epochs(task: TrialTask) -> Iterator[EpochRow | None]:
    params = json.loads(task.params) | {"train.epochs": 2, "seconds": 0}
    return run_cheap(replace(task, params=json.dumps(params)))


def run_here(cohort: Cohort, root: str, tmp_path: Path) -> Study:
    """As in a notebook: everything by names and text."""
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(TINY_SPEC), encoding="utf-8")
    loaded = mmstudy.load_spec(str(spec), ["search.trials=3"], environment={})
    plan = mmstudy.plan_study(loaded, cohort=str(cohort.folder), root=root, name="mine")
    standing = mmstudy.run_study(plan, mmstudy.InlineRunner(), objective=two_epochs)
    assert (standing.asked, standing.complete + standing.pruned) == (3, 3)
    head, mark, query = root.partition("?")
    return mmstudy.open_study(f"{head}/mine{mark}{query}")


@pytest.fixture(params=["folder", "store"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A folder as text, or the address of one in an object store on loopback."""
    if request.param == "folder":
        yield str(tmp_path / "studies")
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mirror, "_PULL_EVERY_SECONDS", 0.0)
    with object_store() as (address, _):
        yield address


def tables(study: Study) -> dict[str, pl.DataFrame]:
    return {
        "trials": study.trials(),
        "metrics": study.metrics(),
        "predictions": study.predictions(),
        "best": study.best(),
    }


def test_tables_become_those_of_pandas_before_and_after_compaction(
    cohort: Cohort,
    root: str,
    tmp_path: Path,
    command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = run_here(cohort, root, tmp_path)
    before = tables(study)
    assert {name: table.height for name, table in before.items()} == {
        "trials": 3, "metrics": 3 * 2 * 2, "predictions": 3 * 2 * 40, "best": 1,
    }  # fmt: skip
    drawn = mmstudy.plots.history(study)
    assert command("compact", "mine", "--root", root)[0] == 0
    monkeypatch.setenv("MMCAF_CACHE", str(tmp_path / "elsewhere"))  # of a store: another machine
    assert [one.name for one in mmstudy.list_studies(root)] == ["mine"]
    after = tables(mmstudy.list_studies(root)[0])
    assert mmstudy.plots.history(mmstudy.list_studies(root)[0]) == drawn
    for name, table in after.items():
        assert_frame_equal(table, before[name], check_row_order=name != "predictions")
        frame = table.to_pandas()
        assert list(frame.columns) == table.columns
        assert pl.from_pandas(frame)["number"].to_list() == table["number"].to_list()
    values = after["trials"].to_pandas().set_index("number")["value"]
    assert values.to_dict() == dict(before["trials"].select("number", "value").rows())


def test_the_usage_in_the_docstring_is_code_that_compiles() -> None:
    lines = [line[4:] for line in (mmstudy.__doc__ or "").splitlines() if line.startswith("    ")]
    assert len(lines) in range(8, 12)
    compile("\n".join(lines), "mmstudy", "exec")
