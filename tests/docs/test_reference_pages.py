"""The reference pages say what the program says; each page is asked anew, not its generator."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from typer.main import get_command

import mmstudy
from mmcaf.config import DataConfig, Stage, TrainConfig
from mmcaf.data.ingest import rules
from mmcaf.data.synthetic.write import Variant
from mmcaf.net.registry import NETWORKS
from mmstudy import errors
from mmstudy.benchmark.rows import ROWS
from mmstudy.cli.main import app
from mmstudy.spec.reading import json_schema
from mmstudy.storage import schema
from mmstudy.storage.paths import StudyPaths
from support.documents import ROOT

DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))
import generate  # noqa: E402  # a script, found by its folder


def text(name: str) -> str:
    return (DOCS / "reference" / f"{name}.md").read_text(encoding="utf-8")


def section(name: str, title: str) -> str:
    """What stands below a heading of the second level."""
    parts = re.split(r"^## ", text(name), flags=re.MULTILINE)
    found = [part for part in parts if part.split("\n", 1)[0] == title]
    assert found, f"docs/reference/{name}.md has no section {title!r}"
    return found[0]


def test_no_page_is_stale() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, f"Run `python docs/generate.py`.\n{done.stdout}{done.stderr}"


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The generated pages in a folder of their own, fresh."""
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    for name in (*generate.PAGES, *generate.PARTS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((DOCS / name).read_bytes())
    return tmp_path


def test_a_command_that_was_taken_off_its_page_is_noticed(copied: Path) -> None:
    page = copied / "reference" / "commands.md"
    page.write_text(page.read_text("utf-8").replace("## mmstudy predict", "## mmstudy"), "utf-8")
    assert generate.stale() == ["reference/commands.md"]


def test_another_sentence_of_a_reason_code_is_noticed(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(rules.CODES, "E_DECODE", "the pixels are upside down")
    assert generate.stale() == ["reference/reason-codes.md"]


def test_text_by_hand_around_generated_parts_is_kept(copied: Path) -> None:
    page = copied / "architecture.md"
    page.write_text(page.read_text("utf-8").replace("# Architecture", "# The house"), "utf-8")
    assert generate.written("architecture.md") == page.read_text("utf-8")
    page.write_text(page.read_text("utf-8").replace("<!-- end of layers of mmcaf -->", ""), "utf-8")
    with pytest.raises(ValueError, match="no marks around 'layers of mmcaf'"):
        generate.written("architecture.md")


def commands(command: Any, words: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    if not below:
        yield words, command
    for name, one in below.items():
        yield from commands(one, f"{words} {name}")


COMMANDS = dict(commands(get_command(app), "mmstudy"))


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_stands_there_with_all_its_options(words: str) -> None:
    found = section("commands", words)
    for one in COMMANDS[words].params:
        names = one.opts if one.param_type_name == "option" else [one.name.upper()]
        row = next(line for line in found.splitlines() if f"`{names[0]}`" in line)
        assert all(f"`{name}`" in row for name in names)
        assert one.help, f"{words} {names[0]} has no help text"
        assert row.rstrip(" |").endswith(one.help) or one.envvar


def test_there_are_commands_to_look_for() -> None:
    assert {"mmstudy run", "mmstudy data ingest", "mmstudy compare"} <= COMMANDS.keys()


@pytest.mark.parametrize("name", [*json_schema()["properties"]])
def test_every_section_and_setting_of_a_spec_stands_there(name: str) -> None:
    assert f"`{name}`" in text("spec")


@pytest.mark.parametrize(
    ("title", "owner"),
    [("`data`", DataConfig), ("`train`", TrainConfig), ("`train.stages`", Stage)],
)
def test_every_setting_of_a_config_stands_in_its_section(title: str, owner: Any) -> None:
    for name in owner.__dataclass_fields__:
        assert f"\n| `{name}` |" in section("spec", title)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_stands_there_with_its_settings(name: str) -> None:
    for field in NETWORKS[name].config.__dataclass_fields__:
        assert f"\n| `{field}` |" in section("networks", f"`{name}`")


@pytest.mark.parametrize("key", ROWS)
def test_every_row_of_the_benchmark_stands_there(key: str) -> None:
    assert f"\n| `{key}` | {ROWS[key].title} |" in section("networks", "Rows of the benchmark")


@pytest.mark.parametrize("code", rules.CODES)
def test_every_reason_code_stands_there_with_its_sentence(code: str) -> None:
    assert f"\n| `{code}` | {rules.CODES[code]} |" in text("reason-codes")


def test_every_code_that_ingestion_gives_is_in_the_table() -> None:
    folder = ROOT / "mmcaf" / "data" / "ingest"
    sources = "".join(file.read_text(encoding="utf-8") for file in folder.glob("*.py"))
    assert set(re.findall(r'"([EW]_[A-Z_]+[A-Z])"', sources)) == set(rules.CODES)


@pytest.mark.parametrize("name", [n for n, of in vars(StudyPaths).items() if type(of) is property])
def test_every_place_of_a_study_folder_stands_there(name: str) -> None:
    place = getattr(StudyPaths(Path("x")), name)
    if isinstance(place, Path) and place != Path("x"):
        assert re.search(
            rf"\| `{re.escape(str(place.relative_to('x')))}/?` \|", text("study-folder")
        )


@pytest.mark.parametrize(
    "table", ["TRIALS", "METRICS", "PREDICTIONS", "CONFIRMATIONS", "EVALUATIONS"]
)
def test_every_column_of_a_table_stands_there(table: str) -> None:
    titles = re.findall(r"^## (.+)$", text("tables"), re.MULTILINE)
    title = next(one for one in titles if one.startswith(table.capitalize()))
    for column in getattr(schema, table).names:
        assert f"\n| `{column}` |" in section("tables", title)


def test_every_exit_code_stands_there() -> None:
    family = [one for one in vars(errors).values() if getattr(one, "exit_code", 0)]
    assert len(family) == 5
    for one in family:
        assert f"| {one.exit_code} | `{one.__name__}` |" in text("exit-codes")


def test_an_error_that_a_module_keeps_to_itself_has_no_row() -> None:
    class Private(errors.MMStudyError):
        """Of one module alone."""

    assert "Private" not in generate.written("reference/exit-codes.md")
    del Private


@pytest.mark.parametrize("name", [*mmstudy.__all__, *mmstudy.plots.__all__])
def test_every_public_name_stands_there(name: str) -> None:
    assert re.search(rf"^\| `{re.escape(name)}[(`]", text("python"), re.MULTILINE)


def test_every_variant_of_a_synthetic_cohort_is_named() -> None:
    for variant in get_args(Variant):
        assert variant in section("commands", "mmstudy data synth")
