"""Two installs: the plain one reads results, the extra `run` adds what computes them."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from mmstudy.provenance import INSTALL_RUN, RUN_IMPORTS, package_version
from support.house import imports, modules
from support.slim_site import link_site
from test_architecture import READERS, within

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests" / "fixtures" / "study_v1"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
SLIM: list[str] = PROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
SHIPPED = ("run", "explain", "sam", "optuna")  # extras that shipped code imports
FALLBACK: str = PROJECT["tool"]["hatch"]["version"]["fallback-version"]
NEXT = Version(FALLBACK).base_version
KNOWN = modules()

FILES_OF_READERS = ("mmstudy.storage", "mmstudy.spec", "mmstudy.errors", "mmstudy.provenance")
FILES_OF_READERS += ("mmcaf.stats", "mmcaf.errors", "mmcaf.files.atomic", "mmcaf.files.remote")
FILES_OF_READERS += ("dashboards", *READERS)
NOT_IMPORTED = {  # requirement: why it is one all the same
    "cmaes": "Optuna's CMA-ES sampler imports it",
    "pandas": "Polars' to_pandas gives its frames; pykan imports it",
    "scikit-learn": "pykan and Optuna's fANOVA import it",
    "sympy": "pykan imports it",
    "tqdm": "pykan imports it",
}
BROUGHT = {"pydantic-core": "pydantic"}  # its errors; always of pydantic's own version
READING = (
    "ls",
    "status study_v1",
    "trials study_v1",
    "best study_v1",
    "show study_v1 best",
    "compare study_v1",
    "compare study_v1 -f latex",
    "export study_v1 --out tables",
    "compact study_v1",
    "spec schema",
    "doctor",
)
COMPUTING = (
    "data synth dicom",
    "data ingest dicom --out cohort",
    "run smoke --cohort cohort",
    "submit smoke --cohort cohort --address http://127.0.0.1:9",
    "benchmark cohort",
    "importance study_v1",
    "rerun study_v1 best",
    "confirm study_v1",
    "evaluate study_v1 best",
    "predict study_v1 best cohort",
    "explain study_v1 best",
)


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def vendors(of: tuple[str, ...]) -> dict[str, set[str]]:
    """Requirement that brings it -> the modules below `of` that import it."""
    brings = packages_distributions()
    found: dict[str, set[str]] = {}
    for name, file in KNOWN.items():
        if not any(within(name, place) for place in of):
            continue
        for one in imports(name, file.read_text("utf-8"), KNOWN):
            top = one.imported.partition(".")[0]
            if top in sys.stdlib_module_names or _is_ours(top):
                continue
            owner = canonicalize_name(brings.get(top, [top])[0])
            found.setdefault(BROUGHT.get(owner, owner), set()).add(name)
    return found


def _is_ours(top: str) -> bool:
    return top in ("mmcaf", "mmstudy") or f"dashboards.{top}" in KNOWN


def test_what_readers_import_comes_with_the_plain_install() -> None:
    found = vendors(FILES_OF_READERS)
    assert found["polars"]  # it does find some
    assert {name: found[name] for name in found.keys() - names(SLIM)} == {}


def test_every_import_is_declared() -> None:
    declared = names([*SLIM, *(one for extra in SHIPPED for one in EXTRAS[extra])])
    assert vendors(("mmcaf", "mmstudy", "dashboards")).keys() <= declared


@pytest.mark.parametrize("extra", ["", "run", "explain", "sam"])
def test_every_requirement_is_imported(extra: str) -> None:
    declared = names(EXTRAS[extra] if extra else SLIM) - {"mmcaf-study"}
    assert declared - vendors(("mmcaf", "mmstudy", "dashboards")).keys() <= NOT_IMPORTED.keys()


def test_what_is_said_to_be_missing_is_what_the_extra_brings() -> None:
    brings = packages_distributions()
    assert {canonicalize_name(brings[name][0]) for name in RUN_IMPORTS} == names(EXTRAS["run"])


def test_extras_that_compute_bring_what_computes() -> None:
    for extra in ("bench", "explain", "sam", "test"):
        assert "mmcaf-study[run]" in EXTRAS[extra]


def test_every_requirement_has_an_exact_version() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all([s.operator for s in one.specifier] == ["=="] for one in pinned)
    wanted = [
        *SLIM,
        *PROJECT["build-system"]["requires"],
        *(one for extra in EXTRAS.values() for one in extra),
    ]
    assert names(wanted) - {"mmcaf-study"} <= {canonicalize_name(one.name) for one in pinned}


def test_the_version_without_history_is_the_one_being_written() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest, *before = re.findall(r"^## (\d+\.\d+\.\d+)", changelog, flags=re.MULTILINE)
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    assert newest == NEXT
    assert Version(FALLBACK).is_devrelease
    assert cited is not None
    assert cited[1] in (newest, *before)


def test_the_version_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmstudy.cli.main import main

    monkeypatch.setattr(sys, "argv", ["mmstudy", "--version"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().out) == (0, f"{package_version()}\n")


# The plain install, as links to what is installed here.

RUN_ALL = """
import contextlib, io, json, shlex, sys
from mmstudy.cli.main import main
for line in sys.argv[1:]:
    sys.argv, code = ["mmstudy", *shlex.split(line)], 0
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    print(json.dumps([line, code, out.getvalue(), err.getvalue()]))
"""
DRAW_ALL = """
import sys
from streamlit.testing.v1 import AppTest
app, root, *names = sys.argv[1:]
sys.argv = ["app.py", root]
for name in names:
    page = AppTest.from_file(app, default_timeout=240)
    page.session_state["_going"] = "" if name == "studies" else name
    page.run()
    print(name, page.title[0].value, *page.exception, *page.error, sep="|")
"""


@pytest.fixture(scope="module")
def slim(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs Python code where only the plain install is found; gives what it prints."""
    here = tmp_path_factory.mktemp("slim")
    link_site(here / "site", SLIM)
    shutil.copytree(OLD, here / "studies" / "study_v1")
    path = os.pathsep.join(map(str, (here / "site", ROOT, ROOT / "platform")))

    def run(code: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-S", "-c", code, *arguments],
            cwd=here,
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def ended(printed: str) -> Iterator[tuple[str, int, str, str]]:
    return (tuple(json.loads(line)) for line in printed.splitlines())


def test_the_plain_install_reads(slim: Callable[..., str]) -> None:
    for line, code, out, err in ended(slim(RUN_ALL, *READING)):
        assert (line, code, err if code else "") == (line, 0, "")
        assert out
        if line == "doctor":
            assert "reads results" in out
            assert INSTALL_RUN in err


def test_a_benchmark_is_looked_for_without_what_computes_it(slim: Callable[..., str]) -> None:
    ((_, code, _, err),) = ended(slim(RUN_ALL, "benchmark cohort --show"))
    assert (code, err) == (1, "\nNo benchmark in studies; leave out --show to begin one.\n")


def test_what_computes_says_how_to_install_it(slim: Callable[..., str]) -> None:
    for line, code, out, err in ended(slim(RUN_ALL, *COMPUTING)):
        assert (line, code, out) == (line, 2, "")
        assert re.fullmatch(r"\nThis command needs \w+, [^\n]+\.\n", err), f"{line}: {err}"
        assert f": {INSTALL_RUN}." in err


def test_another_missing_package_is_no_matter_of_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    from mmstudy.cli import main as cli

    def fails() -> None:
        raise ModuleNotFoundError("No module named 'abc.xyz'", name="abc.xyz")

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(ModuleNotFoundError, match="xyz"):
        cli.main()


def test_the_plain_install_draws_every_page(slim: Callable[..., str]) -> None:
    app = ast.parse((ROOT / "dashboards" / "app.py").read_text("utf-8"))
    calls = [node for node in ast.walk(app) if isinstance(node, ast.Call)]
    pages = [k.value.value for c in calls for k in c.keywords if k.arg == "url_path"]
    assert len(pages) >= 9
    drawn = slim(DRAW_ALL, str(ROOT / "dashboards" / "app.py"), "studies", *pages).splitlines()
    assert [line.split("|")[0] for line in drawn] == pages
    assert [line for line in drawn if len(line.split("|")) > 2] == []


# What is built, from a copy of the tracked files.

SOURCES = {"mmcaf": "mmcaf", "platform/mmstudy": "mmstudy"}
SOURCES |= {"search_spaces": "mmstudy/_search_spaces", "dashboards": "mmstudy/_dashboards"}
DIST_INFO = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    return [Path(name) for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def shipped() -> set[str]:
    """Names in the wheel, but for its metadata."""
    found = set()
    for path in tracked():
        for source, target in SOURCES.items():
            if path.is_relative_to(source) and not path.is_relative_to("dashboards/pictures"):
                found.add((target / path.relative_to(source)).as_posix())
    return found


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "tag.gpgSign=false")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """The tracked files as they are now, without history."""
    folder = tmp_path / "export"
    for path in tracked():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, folder / path)
    return folder


def python_of(folder: Path, *packages: str) -> Path:
    """The interpreter of a new environment that holds `packages`, at the tested versions."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(ROOT / "constraints.txt"), *packages], check=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs hatchling in a folder; gives what it prints."""
    needed = PROJECT["build-system"]["requires"]
    python = python_of(tmp_path_factory.mktemp("builder") / "venv", *needed)

    def build(folder: Path, *arguments: str) -> str:
        command = [str(python), "-m", "hatchling", *arguments]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return build


def built(builder: Callable[..., str], folder: Path, target: str) -> Path:
    """The wheel or the source archive (`sdist`) of a folder."""
    out = folder.with_name(f"{folder.name}-{target}")
    builder(folder, "build", "-t", target, "-d", str(out))
    (found,) = out.iterdir()
    return found


@pytest.mark.slow
def test_the_version_is_of_the_tag(builder: Callable[..., str], export: Path) -> None:
    assert builder(export, "version") == FALLBACK
    git(export, "init", "--quiet")
    git(export, "add", "--all")
    git(export, "commit", "--quiet", "-m", "all")
    assert builder(export, "version") == f"{NEXT}.dev1"
    git(export, "tag", "-a", "v7.3.0", "-m", "7.3.0")
    assert builder(export, "version") == "7.3.0"
    git(export, "commit", "--quiet", "--allow-empty", "-m", "more")
    assert builder(export, "version") == "7.3.1.dev1"


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_nothing_else(
    builder: Callable[..., str], export: Path
) -> None:
    (export / "mmcaf" / "__pycache__").mkdir()
    (export / "mmcaf" / "__pycache__" / "a.pyc").touch()
    with zipfile.ZipFile(built(builder, export, "wheel")) as wheel:
        files = set(wheel.namelist())
        (info,) = {name.split("/")[0] for name in files if ".dist-info/" in name}
        said = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert files == shipped() | {f"{info}/{name}" for name in DIST_INFO}
    assert {"mmcaf/py.typed", "mmstudy/py.typed", "mmstudy/_dashboards/app.py"} < files
    assert not any({"pictures", "tests"} & {*Path(name).parts} for name in files)
    assert (said["Version"], said["License-Expression"]) == (FALLBACK, "Apache-2.0")
    assert "Typing :: Typed" in said.get_all("Classifier", [])
    assert said.get_all("Project-URL")
    plain = [text for text in said.get_all("Requires-Dist", []) if ";" not in text]
    assert names(plain) == names(SLIM)


@pytest.mark.slow
def test_the_source_archive_builds_the_same_wheel(
    builder: Callable[..., str], export: Path, tmp_path: Path
) -> None:
    git(export, "init", "--quiet")
    git(export, "add", "--all")
    git(export, "commit", "--quiet", "-m", "all")
    with tarfile.open(built(builder, export, "sdist")) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert {"tests", "constraints.txt", "Makefile"} < {path.name for path in unpacked.iterdir()}
    wheel = built(builder, unpacked, "wheel")
    assert wheel.name.startswith(f"mmcaf_study-{NEXT}.dev1-")
    with zipfile.ZipFile(wheel) as found:
        assert shipped() < set(found.namelist())


@pytest.mark.slow
def test_a_fresh_environment_reads_results_without_what_computes(
    builder: Callable[..., str], export: Path, tmp_path: Path
) -> None:
    python = python_of(tmp_path / "venv", str(built(builder, export, "wheel")))
    shutil.copytree(OLD, tmp_path / "studies" / "study_v1")

    def run(*command: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [str(python.parent / command[0]), *command[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("mmstudy", "--version") == f"{FALLBACK}\n"
    assert all(code == 0 for _, code, _, _ in ended(run("python", "-c", RUN_ALL, *READING)))
    assert all(code == 2 for _, code, _, _ in ended(run("python", "-c", RUN_ALL, *COMPUTING)))
    listed = {one["name"].lower() for one in json.loads(run("pip", "list", "--format=json"))}
    assert not listed & names(EXTRAS["run"])
