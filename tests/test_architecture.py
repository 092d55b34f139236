"""The house plan as data: which room may look into which, and who may use which vendor.

Every import is read, also those inside functions and those of the dashboard.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.house import Import, imports, modules, plan
from support.shapes import CHECKED

ROOT = Path(__file__).parents[1]
MMSTUDY = (  # from the ground; a room sees only rooms of lower floors, and is no other's neighbour
    ("mmstudy.errors", "mmstudy.provenance"),
    ("mmstudy.spec", "mmstudy.ray_env"),
    ("mmstudy.storage",),
    ("mmstudy.study", "mmstudy.trial", "mmstudy.serving"),
    ("mmstudy.search", "mmstudy.analysis", "mmstudy.cluster"),
    ("mmstudy.driver", "mmstudy.comparison"),
    ("mmstudy.followup", "mmstudy.plots"),
    ("mmstudy.benchmark",),
    ("mmstudy.report",),
    ("mmstudy.cli",),
    ("mmstudy", "mmstudy.__main__"),
)
MMCAF = (
    ("mmcaf.errors", "mmcaf.config", "mmcaf.stats"),
    ("mmcaf.files",),
    ("mmcaf.net", "mmcaf.data"),
    ("mmcaf.training", "mmcaf.explain", "mmcaf.data.ingest", "mmcaf.data.synthetic"),
    ("mmcaf",),
)
READERS = (  # what only reads results; installed without torch, ray and optuna
    "mmstudy.study",
    "mmstudy.analysis",
    "mmstudy.comparison",
    "mmstudy.plots",
    "mmstudy.report",
    "mmstudy.serving",
    "mmstudy.benchmark.read",
    "mmstudy.benchmark.rows",
)
MAKERS = ("mmstudy.trial", "mmstudy.search", "mmstudy.cluster", "mmstudy.driver")
MAKERS += ("mmstudy.followup", "mmstudy.benchmark.run", "torch", "ray", "optuna")
DASHBOARDS_SEE = (
    "mmstudy.storage.origin",
    "mmstudy.study",
    "mmstudy.analysis",
    "mmstudy.comparison",
    "mmstudy.benchmark.read",
    "mmstudy.benchmark.rows",
    "mmstudy.report",
    "mmstudy.plots",
    "mmstudy.storage.segments",
    "mmstudy.storage.explanations",
    "mmstudy.storage.schema",
    "mmstudy.storage.folder",
    "mmstudy.serving",
    "mmstudy.errors",
    "mmcaf.stats",
    "mmcaf.errors",
)
ONLY_IN = {  # vendor: the modules that may import it
    "pydicom": (
        "mmcaf.data.ingest.dicom",
        "mmcaf.data.ingest.values.codecs",
        "mmcaf.data.synthetic",
    ),
    "optuna": ("mmstudy.search",),
    "ray": ("mmstudy.driver.on_ray", "mmstudy.cluster.ray_jobs", "mmstudy.cluster.probe"),
    "captum": ("mmcaf.explain.gradcam",),
    "shap": ("mmcaf.explain.shapley",),
    "typer": ("mmstudy.cli",),
    "streamlit": ("dashboards",),
    "altair": (),
}
LIGHT = (  # load neither torch nor ray nor optuna
    "mmstudy.study",
    "mmstudy.comparison.comparison",
    "mmstudy.cli.main",
    "mmstudy.spec.reading",
    "mmstudy.analysis.optimism",
    "mmstudy.analysis.overview",
    "mmstudy.analysis.filters",
    "mmstudy.analysis.cases",
    "mmstudy.report.comparison",
    "mmstudy.report.benchmark",
    "mmstudy.report.study.write",
    "mmstudy.report.table",
    "mmstudy.storage.explanations",
    "mmstudy.benchmark.read",
    "mmstudy.plots",
    "mmcaf.stats.metrics",
    "mmcaf.stats.calibration",
    "mmcaf.net.registry",
)
HEAVY = {"torch", "ray", "optuna"}
MOST_MODULES = 16


KNOWN = modules()
ALL = [one for name, file in KNOWN.items() for one in imports(name, file.read_text("utf-8"), KNOWN)]


def within(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def _any(name: str, places: tuple[str, ...]) -> bool:
    return any(within(name, place) for place in places)


def room_of(name: str, floors: tuple[tuple[str, ...], ...]) -> str | None:
    """The innermost room that holds a module."""
    rooms = [room for floor in floors for room in floor if within(name, room)]
    return max(rooms, key=len, default=None)


def arrows(floors: tuple[tuple[str, ...], ...], of: list[Import]) -> Iterator[tuple[Import, bool]]:
    """Imports from one room into another, and whether each leads down."""
    floor_of = {room: level for level, floor in enumerate(floors) for room in floor}
    for one in of:
        here, there = room_of(one.importer, floors), room_of(one.imported, floors)
        if here and there and here != there:
            yield one, floor_of[there] < floor_of[here]


def faults(of: list[Import]) -> list[str]:
    """Every import that the plan does not allow."""
    found = [str(i) for floors in (MMSTUDY, MMCAF) for i, down in arrows(floors, of) if not down]
    for one in of:
        top = one.imported.split(".")[0]
        if within(one.importer, "mmcaf") and top == "mmstudy":
            found.append(str(one))
        if _any(one.importer, READERS) and _any(one.imported, MAKERS):
            found.append(str(one))
        if within(one.importer, "dashboards"):
            ours = top in ("mmstudy", "mmcaf")
            if top in HEAVY or (ours and not _any(one.imported, DASHBOARDS_SEE)):
                found.append(str(one))
        if top in ONLY_IN and not _any(one.importer, ONLY_IN[top]):
            found.append(str(one))
    return found


def test_every_import_goes_down_the_house() -> None:
    assert faults(ALL) == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("dashboards.views.trial", "def f():\n    import torch"),
        ("dashboards.views.trial", "def f():\n    from mmstudy.driver import drive"),
        ("mmstudy.plots.search", "from mmstudy.driver.drive import run_study"),
        ("mmstudy.study", "from mmstudy.analysis import overview"),
        ("mmstudy.comparison.verdict", "def f():\n    import optuna"),
        ("mmstudy.cli.studies", "__import__('ray')"),
        ("mmcaf.net.penet", "from mmcaf.data.batches import Batch"),
        ("mmcaf.data.cohort", "from mmcaf.data.ingest import rules"),
        ("mmcaf.files.remote", "from mmstudy.errors import UsageError"),
    ],
)
def test_what_the_plan_forbids_is_found(name: str, source: str) -> None:
    assert faults([*imports(name, source, KNOWN)])


def test_every_module_has_a_room() -> None:
    packages = {"mmstudy": MMSTUDY, "mmcaf": MMCAF}
    for name in KNOWN:
        floors = packages.get(name.split(".")[0])
        if floors is None:
            continue
        top = name.count(".") == 0
        assert top or room_of(name, floors[:-1]) or name == "mmstudy.__main__", name


def folders() -> list[Path]:
    return sorted({file.parent for file in KNOWN.values()})


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_folder_holds_too_many_modules(folder: Path) -> None:
    held = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(held) <= MOST_MODULES


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_says_what_belongs_in_it(folder: Path) -> None:
    if folder.relative_to(ROOT).parts[0] == "dashboards":
        return  # a script and its pages, no package
    text = (folder / "__init__.py").read_text("utf-8")
    assert len(ast.get_docstring(ast.parse(text)) or "") > 20


@pytest.mark.parametrize(
    ("house", "rooms", "floors", "arrows"),
    [("mmstudy", 19, 11, 78), ("mmcaf", 8, 4, 18), ("mmcaf.data", 10, 4, 13)],
)
def test_the_house_grows_no_taller(house: str, rooms: int, floors: int, arrows: int) -> None:
    found = plan(house)  # refuses a cycle
    assert (found.rooms <= rooms, found.floors <= floors, found.arrows <= arrows) == (True,) * 3


def processes(tree: ast.Module) -> Iterator[list[object]]:
    """The first words of every command line that starts Python."""
    for node in ast.walk(tree):
        if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == EXECUTABLE:
            yield [getattr(word, "value", None) for word in node.elts[1:3]]


EXECUTABLE = "sys.executable"
STANDS_IN_WHAT_WAS_SENT = {"mmstudy.cluster.probe"}  # a job; its folder is the user's own code


def test_no_process_imports_from_where_it_is_typed() -> None:
    """A user may stand in a received folder; with `-m` alone, a `numpy.py` there would be run."""
    of = {name: [*processes(ast.parse(file.read_text("utf-8")))] for name, file in KNOWN.items()}
    found = {name for name, lines in of.items() for line in lines if line[0] != "-P"}
    assert found == STANDS_IN_WHAT_WAS_SENT
    assert sum(map(len, of.values())) >= 4


WRITERS = {"write_json", "write_rows", "write_table", "append_rows"}


def test_one_door_leads_to_a_studys_files() -> None:
    users = {one.importer for one in ALL if one.imported == "mmstudy.storage.mirror"}
    assert users == {"mmstudy.storage.folder"}


def test_nobody_writes_a_studys_table_past_the_door() -> None:
    may = {"mmstudy.storage.folder", "mmstudy.storage.parquet"}
    may |= {"mmstudy.benchmark.run"}  # its own state file lies beside the studies
    for name, file in KNOWN.items():
        if not within(name, "mmstudy") or name in may:
            continue
        called = {
            getattr(node.func, "attr", getattr(node.func, "id", ""))
            for node in ast.walk(ast.parse(file.read_text("utf-8")))
            if isinstance(node, ast.Call)
        }
        assert not called & WRITERS, name


def test_shapes_are_checked_in_modules_that_are_there() -> None:
    assert set(CHECKED) <= KNOWN.keys()


def test_platform_is_no_package() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_neither_torch_nor_ray_nor_optuna(module: str) -> None:
    code = f"import sys, {module}; print(*{HEAVY} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
