"""The only cache: a study is read again when a file of it was added or changed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import streamlit as st

from mmstudy.results import Study, list_studies, open_study
from mmstudy.segments import table_files

__all__ = ["comparison", "fingerprint", "studies", "tables"]


def studies(root: Path) -> list[Study]:
    """Readable studies, the newest first."""
    return sorted(list_studies(root), key=lambda s: str(s.about.get("created", "")), reverse=True)


def fingerprint(study: Study) -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every table file: what a cached result depends on."""
    files = [*table_files(study.paths, "trials"), *table_files(study.paths, "metrics")]
    with suppress(FileNotFoundError):  # compacted at this moment; the next look sees it
        return tuple((p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in files)
    return ()


@st.cache_data(max_entries=8, show_spinner=False)
def tables(folder: str, seen: tuple[tuple[str, int, int], ...]) -> tuple[object, object]:
    """Trials and epochs of a study as frames."""
    study = open_study(Path(folder))
    return study.trials(), study.epochs()


@st.cache_data(max_entries=8, show_spinner=False)
def comparison(folder: str, seen: tuple[tuple[str, int, int], ...]) -> object:
    """The best trial beside the paper's rows."""
    from mmstudy.paper import compare

    return compare(open_study(Path(folder)))
