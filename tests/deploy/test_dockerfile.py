"""The Dockerfile's steps, run in order in a clean folder where there is no engine."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "platform" / "deploy" / "Dockerfile"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FALLBACK = PROJECT["tool"]["hatch"]["version"]["fallback-version"]
STAGES = ("packages", "views", "dashboard", "study")


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage -> its instructions and their arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for line in text.replace("\\\n", " ").splitlines():
        instruction, _, argument = line.strip().partition(" ")
        if instruction == "FROM":
            name = argument.rpartition(" AS ")[2]
        if name and instruction:
            found.setdefault(name, []).append((instruction, argument))
    return found


def of(stage: str, instruction: str) -> list[str]:
    return [argument for name, argument in stages()[stage] if name == instruction]


def sent() -> list[Path]:
    """Tracked files that .dockerignore lets into the build."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    lines = Path(f"{DOCKERFILE}.dockerignore").read_text(encoding="utf-8").splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    return [
        Path(one)
        for one in listed
        if any(one == name or one.startswith(f"{name}/") for name in let_in)
        and not any(fnmatch.fnmatch(part, ".*") for part in Path(one).parts)
    ]


class Build:
    """A stage's COPY and RUN steps, its PREFIX and SOURCE below `folder`.

    What is installed in this environment is seen by pip, so it is not fetched again.
    """

    def __init__(self, folder: Path, version: str) -> None:
        self.prefix, self.source = folder / "prefix", folder / "src"
        self.source.mkdir(parents=True)
        self.environment = os.environ | {
            "PREFIX": str(self.prefix),
            "VERSION": version,  # a build argument
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": sysconfig.get_paths()["purelib"],
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def run(self, stage: str) -> None:
        for instruction, argument in stages()[stage]:
            if instruction == "COPY":
                self._copy(*shlex.split(argument)[:-1])
            elif instruction == "RUN":
                done = subprocess.run(
                    ["/bin/sh", "-c", argument],  # as an engine does it
                    cwd=self.source,
                    env=self.environment,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"{argument}\n{done.stdout}\n{done.stderr}"

    def _copy(self, *names: str) -> None:
        for path in sent():
            if "." in names or str(path) in names:
                (self.source / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, self.source / path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "told", "version"), [("packages", "9.8.7", "9.8.7"), ("views", "", FALLBACK)]
)
def test_the_steps_of_an_image_give_a_command_that_works(
    stage: str, told: str, version: str, tmp_path: Path
) -> None:
    build = Build(tmp_path, told)
    build.run(stage)
    command = [str(build.prefix / "bin" / "mmstudy"), "ls", "--root", str(tmp_path)]
    done = subprocess.run(
        command, env=build.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        [
            str(build.prefix / "bin" / "python"),
            "-P",
            "-c",
            "import mmstudy; from mmstudy.provenance import package_version\n"
            "print(*mmstudy.__path__, package_version())",
        ],
        env=build.environment | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    place, found = shown.stdout.split()
    assert found == version
    package = Path(place)  # the image's own, not this checkout's
    assert package.is_relative_to(build.prefix)
    assert (package / "_search_spaces" / "smoke.yaml").is_file()
    assert (package / "_dashboards" / "app.py").is_file()


@pytest.mark.parametrize(("stage", "extras"), [("packages", ["run"]), ("views", [])])
def test_an_image_installs_what_it_is_for(stage: str, extras: list[str], tmp_path: Path) -> None:
    (writes,) = (line for line in of(stage, "RUN") if line.endswith("> requirements.txt"))
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    subprocess.run(["/bin/sh", "-c", writes], cwd=tmp_path, check=True)
    project = PROJECT["project"]
    wanted = [*project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    assert (tmp_path / "requirements.txt").read_text("utf-8").splitlines() == wanted
    assert any("-r requirements.txt" in line for line in of(stage, "RUN"))


def test_images_do_not_run_as_root_and_look_after_their_health() -> None:
    for name in ("dashboard", "study"):
        assert of(name, "USER") == ["1000"]
        assert of(name, "HEALTHCHECK")
        order = [instruction for instruction, _ in stages()[name]]
        assert order.index("USER") > max(i for i, one in enumerate(order) if one == "RUN")
    assert "RAY_AUTH_MODE=token" in of("study", "ENV")[0]
    assert tuple(stages()) == STAGES


def test_no_data_and_no_history_get_into_an_image() -> None:
    names = {str(path) for path in sent()}
    assert "mmcaf/config/training.py" in names
    assert "platform/mmstudy/cli/main.py" in names
    assert {path.split("/")[0] for path in names} == {
        *("CITATION.cff", "LICENSE", "README.md", "constraints.txt", "pyproject.toml"),
        *("dashboards", "mmcaf", "platform", "search_spaces"),
    }
