"""Every file of a study and its cohort, damaged in every way, opened by every command.

Each cell must end in success, or with a documented exit code and a sentence that names the file and
a remedy: without a traceback, within seconds, nothing beyond the study touched, nobody called.
MATRIX=full looks at all cells, else at a seeded sample; MATRIX_SEED chooses others.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

import pytest

from matrix.cells import COMMANDS, Bench, Cell
from matrix.damage import DAMAGES
from mmcaf.data.cohort import Cohort
from mmcaf.data.ingest.run import ingest
from mmcaf.data.synthetic.write import SyntheticSpec, write
from support.keyed import keyed

pytestmark = pytest.mark.slow

FULL = os.environ.get("MATRIX") == "full"
SEED = int(os.environ.get("MATRIX_SEED", "16"))
SAMPLE = 60


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other")
    write(folder / "dicom", SyntheticSpec(patients=6, size=48, slices=12, seed=6))
    return ingest([folder / "dicom"], keyed(folder / "cohort"), in_plane_px=48).folder


@pytest.fixture(scope="module")
def benches(
    dicom_folder: Path, cohort: Cohort, other: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Bench]]:
    folder = tmp_path_factory.mktemp("matrix")
    with ExitStack() as stack:
        found = []
        for number in range((os.cpu_count() or 1) if FULL else 1):
            place = folder / str(number)
            place.mkdir()
            found.append(stack.enter_context(Bench(place, dicom_folder, cohort.folder, other)))
        yield found
    shutil.rmtree(folder)


def test_every_cell_holds(benches: list[Bench]) -> None:
    cells = benches[0].cells()
    random.Random(SEED).shuffle(cells)  # noqa: S311 - no secret
    parts = [cells[start :: len(benches)] for start in range(len(benches))]
    most = None if FULL else SAMPLE
    with ThreadPoolExecutor(len(benches)) as pool:
        looks = pool.map(lambda bench, part: look(bench, part, most), benches, parts)
        found = dict(chain.from_iterable(looks))
    wrong = {cell: faults for cell, faults in found.items() if faults}
    sys.stdout.write(f"\n{len(found)} cells, seed {SEED}: {len(wrong)} do not hold\n")
    sys.stdout.write(f"{Counter(cell.damage for cell in found)}\n")
    assert not wrong, "\n".join(f"{cell}: {faults}" for cell, faults in wrong.items())
    assert len(found) >= (most or 5000)


def look(bench: Bench, cells: list[Cell], most: int | None) -> list[tuple[Cell, list[str]]]:
    """What does not hold of the first cells that there are."""
    found: list[tuple[Cell, list[str]]] = []
    for cell in cells:
        if most is not None and len(found) >= most:
            break
        if (faults := bench.faults(cell)) is not None:
            found.append((cell, faults))
    return found


def test_every_file_of_a_study_and_a_cohort_is_among_them(benches: list[Bench]) -> None:
    names = " ".join(benches[0].things())
    for part in ("study.json", "optuna.journal", "driver.lock", "driver.stop", "manifest.json"):
        assert f"root/s/{part}" in names or f"root/s/segments/{part}" in names
    for part in ("claim.json", "last.safetensors", "fold-1.safetensors", "index.json"):
        assert part in names
    for part in (
        "importance.json",
        "probe.json",
        "evaluations.parquet",
        ".test.parquet",
        "confirmations/",
    ):
        assert part in names
    for part in ("cohort.json", "cohort.parquet", "cohort.key", "ingest_report.json", ".npy"):
        assert part in names


class TestTheGuard:
    """The matrix itself can fail: each kind of wrong is noticed."""

    @pytest.mark.parametrize(
        ("what", "seen"),
        [
            ("open", "open "),
            ("write", "open "),
            ("remove", "os.remove"),
            ("connect", "socket.connect"),
            ("start", "subprocess.Popen"),
            ("unpickle", "pickle.find_class"),
            ("follow", "-> "),
            ("raise", "traceback: "),
        ],
    )
    def test_it_sees(self, benches: list[Bench], what: str, seen: str) -> None:
        told = benches[0].ask(f"wrong|{what}|{benches[0].prepared() / 'canary'}")
        assert seen in " ".join(told["faults"])

    def test_the_file_tells_what_python_did_not_see(self, benches: list[Bench]) -> None:
        table = "root/s/trials/00004.parquet"
        assert benches[0].faults(Cell(table, "a link out", "trials")) == []
        told = benches[0].faults(Cell(table, "a link out", f"wrong|natively|{table}"))
        assert told is not None
        assert [one for one in told if one.startswith("outside was touched")]


def test_the_matrix_has_all_that_was_asked_for() -> None:
    asked = {"empty", "half", "a folder", "another kind", "another schema", "a FIFO", "a link out"}
    assert asked | {"a huge number", "another user's"} <= DAMAGES.keys()
    assert {
        "ls",
        "run",
        "explain",
        "rm",
        "check",
        "repair",
        "pages",
        "data show",
    } <= COMMANDS.keys()
