"""The border lines of the project, kept by machine."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ONLY_IN = {
    "pydicom": {"dicom.py", "synthetic.py"},
    "optuna": {"search.py", "samplers.py", "journal.py"},
    "ray": {"ray_runner.py", "jobs.py", "probe.py"},
    "captum": {"gradcam.py"},
    "shap": {"shapley.py"},
}
TORCH_FREE = ("mmstudy.results", "mmstudy.paper", "mmstudy.cli", "mmstudy.specfile")
TORCH_FREE += ("mmstudy.selection", "mmstudy.rendering", "mmstudy.explanations")
TORCH_FREE += ("mmstudy.overview", "mmstudy.filtering", "mmstudy.casework")
TORCH_FREE += ("mmcaf.metrics", "mmcaf.calibration", "mmcaf.net.registry")
TORCH_FREE += ("mmstudy.benchmark", "mmstudy.benchmark_text")


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


SOURCES = [*ROOT.glob("mmcaf/**/*.py"), *ROOT.glob("platform/**/*.py")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_vendor_has_its_one_module(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    strangers = {top for top in tops & ONLY_IN.keys() if path.name not in ONLY_IN[top]}
    assert not strangers


@pytest.mark.parametrize("path", [*ROOT.glob("mmcaf/**/*.py")], ids=lambda path: path.name)
def test_the_model_library_knows_nothing_of_studies(path: Path) -> None:
    assert not {name for name in imports(path) if name.startswith("mmstudy")}


def test_network_and_data_never_import_each_other() -> None:
    for path in ROOT.glob("mmcaf/net/**/*.py"):
        assert not {name for name in imports(path) if name.startswith("mmcaf.data")}, path
    for path in ROOT.glob("mmcaf/data/**/*.py"):
        assert not {name for name in imports(path) if name.startswith("mmcaf.net")}, path


def test_platform_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()


@pytest.mark.parametrize("module", TORCH_FREE)
def test_light_modules_load_neither_torch_nor_ray_nor_optuna(module: str) -> None:
    code = f"import sys, {module}; print(*{{'torch', 'ray', 'optuna'}} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
