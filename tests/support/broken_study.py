"""Ways in which the folder of a made study can be broken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmcaf.files.atomic import write_json

__all__ = ["BREAKS"]

Break = Callable[[Path], object]
BREAKS: dict[str, Break] = {
    "an empty table": lambda s: (s / "trials/00000.parquet").write_bytes(b""),
    "a cut table": lambda s: os.truncate(s / "trials/00000.parquet", 900),
    "a table of noise": lambda s: (s / "trials/00000.parquet").write_bytes(b"PAR1" + b"x" * 99),
    "a folder as a table": lambda s: replaced(s / "trials/00000.parquet").mkdir(),
    "a dangling link as a table": lambda s: replaced(s / "trials/00000.parquet").symlink_to("no"),
    "a FIFO as a table": lambda s: os.mkfifo(replaced(s / "trials/00000.parquet")),
    "no study.json": lambda s: (s / "study.json").unlink(),
    "an empty study.json": lambda s: (s / "study.json").write_bytes(b""),
    "a study.json of noise": lambda s: (s / "study.json").write_bytes(b"\xff\xfe{"),
    "a list": lambda s: (s / "study.json").write_text("[]"),
    "a study.json of nothing": lambda s: (s / "study.json").write_text("{}"),
    "an empty spec": lambda s: edited(s, spec=[]),
    "folds of numbers": lambda s: edited(s, split={"test": [], "folds": [1]}),
    "a folder": lambda s: replaced(s / "study.json").mkdir(),
    "a FIFO": lambda s: os.mkfifo(replaced(s / "study.json")),
    "a link in circles": lambda s: replaced(s / "study.json").symlink_to("study.json"),
    "a manifest of noise": lambda s: manifest(s, b"\xff"),
    "a huge manifest": lambda s: manifest(
        s, b'{"trials": [{"file": "trials-0.parquet", "numbers": [[0, 10000000000]]}]}'
    ),
    "a FIFO as a manifest": lambda s: os.mkfifo(replaced(s / "segments" / "manifest.json")),
    "an empty confirmation": lambda s: confirmation(s, b""),
}  # fmt: skip


def replaced(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def edited(study: Path, **changes: Any) -> None:
    write_json(study / "study.json", json.loads((study / "study.json").read_text()) | changes)


def manifest(study: Path, content: bytes) -> None:
    replaced(study / "segments" / "manifest.json").write_bytes(content)


def confirmation(study: Path, content: bytes) -> None:
    replaced(study / "confirmations" / "00001-000.parquet").write_bytes(content)
