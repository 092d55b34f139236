"""The only cache: a table is read again when a file of it was added or changed.

Tables are shared by all sessions and never written to; nothing here imports torch, Ray or Optuna.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import polars as pl
import streamlit as st

from mmcaf.errors import DataError
from mmstudy.analysis.cases import Slices, case_slices, hard_cases
from mmstudy.analysis.looks import look_files
from mmstudy.analysis.overview import mean_curves
from mmstudy.analysis.selection import Selection, selection_of
from mmstudy.benchmark.read import Benchmark, read_benchmark
from mmstudy.benchmark.rows import ROWS, STATE_FILE, study_name
from mmstudy.comparison.comparison import Comparison, compare
from mmstudy.comparison.diagnosis import Diagnosis
from mmstudy.comparison.diagnosis import diagnosis as diagnosis_of
from mmstudy.errors import MMStudyError
from mmstudy.storage.segments import table_files
from mmstudy.study import Found, Study, found_studies, open_study

__all__ = [
    "benchmark",
    "comparison",
    "diagnosis",
    "epochs_of",
    "found",
    "hard",
    "means",
    "recomputed_importance",
    "selection",
    "slices",
    "trials",
]

Seen = tuple[tuple[str, int, int], ...]


def found(root: Path) -> list[Found]:
    """Every study folder under `root`, the newest first, those that cannot be opened last."""

    def age(one: Found) -> str:
        return one.study.about.created if one.study else ""

    return sorted(found_studies(root), key=age, reverse=True)


def trials(study: Study) -> pl.DataFrame:
    """One row per trial, best first."""
    return _trials(str(study.folder.root), _decided(study))


def means(study: Study) -> pl.DataFrame:
    """Mean AUROC over the folds by trial and epoch."""
    return _means(str(study.folder.root), _seen(study, "metrics"))


def epochs_of(study: Study, numbers: list[int]) -> pl.DataFrame:
    """The epochs of a few trials, read now."""
    none = study.metrics(-1)  # no trial has this number: the columns alone
    return pl.concat([none, *(study.metrics(number) for number in numbers)])


def diagnosis(study: Study, number: int) -> Diagnosis:
    """Rates, ROC and calibration of a complete trial."""
    return _diagnosis(str(study.folder.root), number, _seen(study, "trials"))


def hard(study: Study, numbers: tuple[int, ...]) -> pl.DataFrame:
    """Cases under some trials, the most often misjudged first."""
    return _hard(str(study.folder.root), numbers, _seen(study, "trials"))


def comparison(study: Study, *, expected: bool) -> Comparison:
    """The best trial beside the paper's rows; `expected`: with the choice resampled (BBC-CV),
    which takes seconds in a large study."""
    return _comparison(str(study.folder.root), _selected(study), expected)


def selection(study: Study) -> Selection:
    """What the best trial was chosen among."""
    return _selection(str(study.folder.root), _selected(study))


def benchmark(root: Path) -> Benchmark | None:
    """All networks on one cohort, if a benchmark was begun under `root`."""
    state = root / STATE_FILE
    if not state.is_file():
        return None
    seen = tuple(mark for key in ROWS for mark in _row_files(root / study_name(key)))
    return _benchmark(str(root), (_mark(state), *seen))


def _row_files(folder: Path) -> Seen:
    """What a row of the benchmark depends on; nothing where its study cannot be read."""
    try:
        return _decided(open_study(folder))
    except (MMStudyError, DataError, OSError):
        return ()


def slices(study: Study, case: str, window: str, count: int) -> Slices:
    """CT slices of a case."""
    return _slices(str(study.folder.root), case, window, count, str(study.about.cohort_digest))


def recomputed_importance(study: Study) -> str:
    """`mmstudy importance` in a process of its own, so that this one never loads Optuna: JSON.

    Raises:
        MMStudyError: what the command said.
    """
    folder = str(study.folder.root.resolve())
    command = [sys.executable, "-P", "-m", "mmstudy.cli.main", "importance", folder, "-f", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise MMStudyError(done.stderr.strip().removeprefix("Error: ") or "It failed.")
    return done.stdout


def _seen(study: Study, table: Literal["trials", "metrics"]) -> Seen:
    """Name, time and size of every file of a table: what a cached result depends on."""
    with suppress(FileNotFoundError):  # compacted at this moment; the next look sees it
        return tuple(map(_mark, table_files(study.folder, table)))
    return ()


def _decided(study: Study) -> Seen:
    """What the choice of the best trial and its comparison depend on."""
    others = [*study.folder.files(study.folder.confirmations, "[0-9]*"), study.folder.evaluations]
    return _seen(study, "trials") + tuple(_mark(path) for path in sorted(others) if path.exists())


def _selected(study: Study) -> Seen:
    """The same, and who else looked at its test patients."""
    return _decided(study) + tuple(map(_mark, look_files(study)))


def _mark(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return path.name, stat.st_mtime_ns, stat.st_size


@st.cache_resource(max_entries=8, show_spinner=False)
def _trials(folder: str, seen: Seen) -> pl.DataFrame:
    return open_study(Path(folder)).trials()


@st.cache_resource(max_entries=4, show_spinner=False)
def _means(folder: str, seen: Seen) -> pl.DataFrame:
    return mean_curves(open_study(Path(folder)).metrics())


@st.cache_resource(max_entries=32, show_spinner=False)
def _diagnosis(folder: str, number: int, seen: Seen) -> Diagnosis:
    return diagnosis_of(open_study(Path(folder)), number)


@st.cache_resource(max_entries=8, show_spinner=False)
def _hard(folder: str, numbers: tuple[int, ...], seen: Seen) -> pl.DataFrame:
    return hard_cases(open_study(Path(folder)), numbers)


@st.cache_resource(max_entries=8, show_spinner=False)
def _selection(folder: str, seen: Seen) -> Selection:
    return selection_of(open_study(Path(folder)))


@st.cache_resource(max_entries=8, show_spinner="Comparing")
def _comparison(folder: str, seen: Seen, expected: bool) -> Comparison:
    return compare(open_study(Path(folder)), expected=expected)


@st.cache_resource(max_entries=2, show_spinner="Comparing networks")
def _benchmark(root: str, seen: Seen) -> Benchmark | None:
    return read_benchmark(Path(root))


@st.cache_resource(max_entries=32, show_spinner=False)
def _slices(folder: str, case: str, window: str, count: int, digest: str) -> Slices:
    return case_slices(open_study(Path(folder)), case, window=window, count=count)
