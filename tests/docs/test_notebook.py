"""The notebook of the documents runs, and the stored one is what its script writes."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from support.dashboard_studies import large_study

SCRIPT = Path(__file__).parents[2] / "docs" / "notebook.py"
STORED = SCRIPT.with_suffix(".ipynb")
PICTURES = ["history", "learning_curves", "setting", "roc", "forest"]


def cells(path: Path, kind: str) -> list[Any]:
    found = nbformat.read(path, as_version=4)
    nbformat.validate(found)
    return [cell for cell in found.cells if cell.cell_type == kind]


def shown(cell: Any) -> str:
    """All that a cell shows, as one text."""
    parts = [[out.get("text", ""), *out.get("data", {}).values()] for out in cell.outputs]
    return "\n".join(str(part) for one in parts for part in one)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook, executed on a made study of the demo's name."""
    folder = tmp_path_factory.mktemp("reader")
    large_study(folder / "demo" / "studies", "demo", trials=12, epochs=5, folds=2)
    command = [sys.executable, str(SCRIPT), str(folder), "--out", str(folder / "out.ipynb")]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return folder


def test_every_cell_runs_and_the_figure_is_there(run: Path) -> None:
    code = cells(run / "out.ipynb", "code")
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    assert not [out for cell in code for out in cell.outputs if out.output_type == "error"]
    assert (run / "roc.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("which", ["run", "stored"])
def test_each_chart_is_a_picture_that_says_what_is_synthetic(run: Path, which: str) -> None:
    code = cells(STORED if which == "stored" else run / "out.ipynb", "code")
    drawn = [cell for cell in code if cell.source.startswith("plots.") and cell.outputs]
    assert [re.findall(r"plots\.(\w+)", cell.source) for cell in drawn] == [[n] for n in PICTURES]
    for cell in drawn:
        assert "<svg" in shown(cell)
        assert "SYNTHETIC" in shown(cell)


def test_the_stored_notebook_has_the_cells_of_its_script() -> None:
    made, stored = runpy.run_path(str(SCRIPT))["notebook"](), nbformat.read(STORED, as_version=4)
    assert [(c.cell_type, c.id, c.source) for c in stored.cells] == [
        (c.cell_type, c.id, c.source) for c in made.cells
    ]
    assert stored.metadata == made.metadata


def test_the_stored_notebook_was_run_and_tells_nothing_of_the_machine() -> None:
    code = cells(STORED, "code")
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    text = "\n".join(map(shown, code))
    assert not re.search(r"Traceback|Warning|/(home|root|tmp|work|Users)/|20\d\d-\d\d-\d\d", text)
    assert STORED.stat().st_size < 300_000
