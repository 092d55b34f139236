"""Ways in which one file or folder can be damaged, whatever it is."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

__all__ = ["DAMAGES", "OUTSIDE_USER", "Outside"]

OUTSIDE_USER = 12_345
_HUGE = 10**30


@dataclass(frozen=True)
class Outside:
    """A folder that nobody may look into, and the address of a server that nobody may call."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        """Of the server, as a study could name it."""
        return f"s3://bucket/x?endpoint_override=127.0.0.1:{self.port}&scheme=http"

    def keep(self, path: Path) -> Path:
        """A copy of a file or folder there, which would do if it were used."""
        there = self.folder / f"kept-{path.name}"
        if path.is_dir():
            shutil.copytree(path, there)
        elif path.exists():
            shutil.copy2(path, there)
        else:
            there.write_text("do not lose this")
        return there


Damage = Callable[[Path, Outside], bool | None]  # False: there is no such damage of this file


def _gone(path: Path) -> Path:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _empty(path: Path, _: Outside) -> None:
    if path.is_dir():
        _gone(path).mkdir()
    else:
        path.write_bytes(b"")


def _missing(path: Path, _: Outside) -> bool | None:
    if not path.exists():
        return False
    _gone(path)
    return None


def _half(path: Path, _: Outside) -> bool | None:
    if not path.is_file() or not path.stat().st_size:
        return False
    os.truncate(path, path.stat().st_size // 2)
    return None


def _folder(path: Path, _: Outside) -> None:
    if path.is_dir():
        _gone(path).write_text("a file")
    else:
        _gone(path).mkdir()
        (path / "inside").write_text("a file")


def _other_kind(path: Path, _: Outside) -> bool | None:
    """A list where an object belongs; noise elsewhere."""
    if path.is_dir():
        return False
    path.write_bytes(b"[1, 2]" if path.suffix == ".json" else b"\xff\x00noise\n" * 40)
    return None


def _schema(path: Path, _: Outside) -> bool | None:
    """Well-formed, and something else than belongs there; of arrays, one that would unpickle."""
    match path.suffix:
        case ".json":
            path.write_text(json.dumps({"a": 1, "spec": 5, "number": "x", "cases": 3}))
        case ".parquet":
            pl.DataFrame({"number": ["x"], "a": [[1]]}).write_parquet(path)
        case ".npy":
            np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
        case ".journal":
            path.write_text('{"op_code": 99, "worker_id": "x", "a": []}\n' * 3)
        case ".safetensors":
            path.write_bytes((8).to_bytes(8, "little") + b"{      }")
        case _:
            return False
    return None


def _fifo(path: Path, _: Outside) -> None:
    os.mkfifo(_gone(path))


def _link(path: Path, outside: Outside) -> None:
    kept = outside.keep(path)
    _gone(path).symlink_to(kept)


def _loose_link(path: Path, outside: Outside) -> None:
    """To where nothing is: whoever follows it makes a file there."""
    _gone(path).symlink_to(outside.folder / "nothing")


def _huge_number(path: Path, _: Outside) -> bool | None:
    match path.suffix:
        case ".json":
            text = re.sub(r"(?<=[ :\[])\d+(?=[,\s\]}])", str(_HUGE), path.read_text())
            text = text.replace(f"{_HUGE}", "10000000000") if path.name == "manifest.json" else text
            path.write_text(text)
        case ".journal":
            path.write_text(re.sub(r'"trial_id": ?\d+', f'"trial_id": {_HUGE}', path.read_text()))
        case ".parquet":
            _raise_numbers(path)
        case ".npy":
            content = path.read_bytes()
            path.write_bytes(re.sub(rb"\((\d+),", rb"(1" + b"0" * 12 + b",", content, count=1))
        case ".safetensors":
            path.write_bytes((2**62).to_bytes(8, "little") + path.read_bytes()[8:])
        case _:
            return False
    return None


def _raise_numbers(path: Path) -> None:
    table = pl.read_parquet(path)
    largest: dict[Any, int] = {pl.Int32: 2**31 - 1, pl.Int64: 2**62, pl.Int8: 127}
    changes = [
        pl.lit(largest[kind], kind).alias(name)
        for name, kind in table.schema.items()
        if kind in largest
    ]
    table.with_columns(changes).write_parquet(path)


def _huge_file(path: Path, _: Outside) -> bool | None:
    if path.is_dir():
        return False
    with path.open("ab") as file:
        file.truncate(1 << 40)
    return None


def _strangers(path: Path, _: Outside) -> bool | None:
    if not path.exists():
        return False
    if os.geteuid() == 0:
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.chown(path, OUTSIDE_USER, OUTSIDE_USER)
    else:
        path.chmod(0)  # as little can be done with it
    return None


def _address(path: Path, outside: Outside) -> bool | None:
    if path.name == ".address":
        path.write_text(outside.address)
    elif path.suffix == ".json":
        content = json.loads(path.read_text())
        for name in ("cohort", "shared", "address", "folder", "file"):
            content[name] = outside.address
        path.write_text(json.dumps(content))
    else:
        return False
    return None


DAMAGES: dict[str, Damage] = {
    "missing": _missing,
    "empty": _empty,
    "half": _half,
    "a folder": _folder,
    "another kind": _other_kind,
    "another schema": _schema,
    "a FIFO": _fifo,
    "a link out": _link,
    "a link to nothing": _loose_link,
    "a huge number": _huge_number,
    "a huge file": _huge_file,
    "another user's": _strangers,
    "an address": _address,
}
