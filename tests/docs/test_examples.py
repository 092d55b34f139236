"""Every example of the documents: commands are parsed by the real parser, and those on the demo's
study are run, as are the blocks of Python.

The demo's study is here one that was written by the store. A slow test makes the real one and runs
all commands on it that a reader is told to.
"""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.exceptions import TyperException
from typer.main import get_command

from mmstudy.cli.demo import main as demonstrate
from mmstudy.cli.main import app, main
from support.dashboard_studies import large_study
from support.documents import ROOT, Block, blocks, pages

READERS = ("ls", "status", "trials", "show", "best", "importance", "compare", "export")
OTHERS = ("ssh", "ray", "sbatch", "git", ".")  # whose commands are not ours to check
RUN = "demo/studies"  # what is run names it


def of(language: str) -> list[Block]:
    return [block for page in pages() for block in blocks(page) if block.language == language]


def lines(block: Block) -> Iterator[list[str]]:
    """The words of each command; values given before it, and files it writes to, left out."""
    for line in block.text.splitlines():
        words = shlex.split(line.split(" > ")[0], comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words:
            yield words


COMMANDS = [
    pytest.param(words, id=f"{block}: {' '.join(words)}")
    for block in of("sh")
    for words in lines(block)
]
DEMO = [one for one in COMMANDS if one.values[0][0] == "mmstudy" and RUN in one.values[0]]
READ = [one for one in DEMO if one.values[0][1] in READERS]


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_can_be_given_like_this(words: list[str]) -> None:
    program, *arguments = words
    if program == "mmstudy":
        parsed(arguments)
    elif program == "make":
        assert set(arguments) <= targets()
    elif program == "python":
        assert (ROOT / arguments[0]).is_file()
    elif program == "pip":
        assert extras(arguments) <= known_extras()
    else:
        assert program in OTHERS


def parsed(arguments: list[str]) -> None:
    """Go through the command's own parser; an address is a folder here, for there is no store.

    Raises:
        TyperException: no such option, a wrong value, or an argument too few.
    """
    command, name = get_command(app), "mmstudy"
    rest = [re.sub(r"^\w+://", "", one) for one in arguments]
    while hasattr(command, "commands"):
        name, *rest = rest
        assert name in command.commands, f"mmstudy has no command {name}"
        command = command.commands[name]
    command.make_context(name, rest)


def targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def extras(arguments: list[str]) -> set[str]:
    found = [re.search(r"\[(.*)\]", one) for one in arguments]
    return {extra for one in found if one for extra in one[1].split(",")}


def known_extras() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return set(project["optional-dependencies"])


@pytest.mark.parametrize("line", ["run smoke --fast", "show demo", "confirm demo --top 0"])
def test_a_command_that_cannot_be_given_is_noticed(line: str) -> None:
    with pytest.raises(TyperException):
        parsed(line.split())


@pytest.mark.parametrize("line", ["dance", "data dance x"])
def test_a_command_that_does_not_exist_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError, match="has no command dance"):
        parsed(line.split())


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where the demo's study lies, as if `make demo` had been here."""
    large_study(tmp_path / "demo" / "studies", "demo", trials=12, epochs=4, folds=3)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """Give the command; it ends well."""
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code, " ".join(words)


def run_python(block: Block) -> None:
    """Run it as a script of the working folder would be."""
    script = Path("example.py")
    script.write_text(block.text, encoding="utf-8")
    runpy.run_path(str(script))


@pytest.mark.parametrize("words", READ)
def test_a_command_on_the_demo_runs(
    words: list[str],
    demo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(monkeypatch, words)
    assert capsys.readouterr().out


def test_there_are_commands_to_run() -> None:
    assert len(READ) > 5


@pytest.mark.parametrize("block", [one for one in of("python") if one.note != "no-run"], ids=str)
def test_a_block_of_python_runs_on_the_demo(block: Block, demo: Path) -> None:
    run_python(block)


@pytest.mark.slow
def test_getting_started_from_the_demo_to_the_check_of_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["demo", "demo"])
    demonstrate()
    given = []
    for block in blocks(ROOT / "docs" / "getting-started.md"):
        if block.language == "python":
            run_python(block)
        for words in lines(block) if block.language == "sh" else ():
            if words[0] == "mmstudy" and RUN in words:
                command = [sys.executable, "-m", "mmstudy.cli.main", *words[1:]]
                subprocess.run(command, check=True)
                given.append(words[1])
    assert {"ls", "trials", "best", "compare", "rerun"} <= set(given)
