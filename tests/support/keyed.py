"""Cohorts under a fixed key: it names the cases, and so decides the folds and what is learnt."""

from __future__ import annotations

from pathlib import Path

__all__ = ["keyed"]


def keyed(folder: Path) -> Path:
    """The folder for a cohort, with its key; ingestion would draw another one each time."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "cohort.key"
    key.write_text("0" * 64, encoding="ascii")
    key.chmod(0o600)
    return folder
