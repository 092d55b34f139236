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
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "platform" / "deploy" / "Dockerfile"
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

    def __init__(self, folder: Path) -> None:
        self.prefix, self.source = folder / "prefix", folder / "src"
        self.source.mkdir(parents=True)
        self.environment = os.environ | {
            "PREFIX": str(self.prefix),
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
@pytest.mark.parametrize("stage", ["packages", "views"])
def test_the_steps_of_an_image_give_a_command_that_works(stage: str, tmp_path: Path) -> None:
    build = Build(tmp_path)
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
            "import mmstudy; print(*mmstudy.__path__)",
        ],
        env=build.environment | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    package = Path(shown.stdout.strip())  # the image's own, not this checkout's
    assert package.is_relative_to(build.prefix)
    assert (package / "_search_spaces" / "smoke.yaml").is_file()
    assert (package / "_dashboards" / "app.py").is_file()


def test_the_dashboard_s_image_has_what_the_dashboard_imports() -> None:
    (install,) = (one for one in of("views", "RUN") if "streamlit" in one)
    given = set(shlex.split(install)[5:])
    code = (
        "import sys, pathlib, importlib; sys.path[:0] = ['dashboards', 'platform']\n"
        "import mmstudy.cli.main, mmstudy.serving\n"
        "for path in pathlib.Path('dashboards').rglob('*.py'):\n"
        "    name = '.'.join(path.relative_to('dashboards').with_suffix('').parts)\n"
        "    name == 'app' or importlib.import_module(name)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"torch", "ray", "optuna", "sklearn", "cv2", "pydicom"}
    named = {"altair", "numpy", "pandas", "polars", "pyarrow", "pydantic", "scipy", "streamlit"}
    assert loaded & named <= given
    assert ("yaml" not in loaded) or "pyyaml" in given


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
    assert "mmcaf/config.py" in names
    assert "platform/mmstudy/cli/main.py" in names
    assert {path.split("/")[0] for path in names} == {
        *("CITATION.cff", "LICENSE", "README.md", "constraints.txt", "pyproject.toml"),
        *("dashboards", "mmcaf", "platform", "search_spaces"),
    }
