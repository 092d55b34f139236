"""Damaged and hostile study folders: every command that looks answers with a sentence.

A seeded sample of single changes, each under every command; `MMSTUDY_ALL_HOSTILE=1` does them all.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from math import inf, nan
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer import Exit

from mmcaf.errors import DataError
from mmcaf.files.atomic import StorageError
from mmstudy.cli import main  # noqa: F401 - has every command in the app
from mmstudy.cli.shared import app
from mmstudy.errors import MMStudyError
from support.made_probe import PROBE

OLD = Path(__file__).parents[1] / "fixtures" / "study_v1"
Change = Callable[[Path], None]

BAD: list[Any] = [None, 5, "x", [], {}, [[]], {"a": 1}, 10**30, "a\0b", "\ud800"]
FIELDS = (
    *("synthetic", "question", "created", "spec", "spec.search", "spec.search.trials"),
    *("spec.search.objectives", "spec.space", "spec.model", "spec.data", "spec.model.name"),
    *("spec.protocol", "split", "split.folds", "split.test", "cohort", "cohort_digest"),
    *("versions", "shared", "n_cases", "schema_version", "sources"),
    *("spec.search.enqueue", "spec.search.warm_start"),
)
TRIAL: list[dict[str, Any]] = [
    *({"params": text} for text in ("{", "[1]", "null", "[" * 100_000, '{"=cmd|x": 1}')),
    *({"params": f'{{"train.lr": {text}}}'} for text in ('{"a": 1}', '"high"', "NaN", "1e999")),
    {"params": '{"train.lr": 99999999999999999999999999}'},
    {"params": '{"number": 1, "state": 2, "value": 3}'},
    *({"value": value} for value in (nan, inf, None)),
    *({"best_epoch": epoch} for epoch in (None, 2**31 - 1, -5)),
    *({"number": number} for number in (-1, 3)),
    *({"seconds": seconds} for seconds in (nan, -1e300)),
    {"state": "zombie"},
    {"ended": datetime(1970, 1, 1, tzinfo=UTC)},
    {"reason": "x" * 5_000_000},
]
PREDICTIONS: list[dict[str, Any]] = [
    *({"label": label} for label in (7, -1, 1)),
    *({"probability": probability} for probability in (nan, 5.0)),
    {"case": "<img src=x onerror=alert(1)>"},
]
COMMANDS = (
    ["ls", "--root", "ROOT"],
    *([name, "STUDY"] for name in ("status", "trials", "best", "importance", "compact", "compare")),
    ["show", "STUDY", "0"],
    ["export", "STUDY", "--out", "OUT"],
)


def changes() -> Iterator[tuple[str, Change]]:
    """Every change, with what it is."""
    for field in FIELDS:
        for value in BAD:
            yield f"study.json {field} = {value!r}", partial(set_field, field, value)
        yield f"study.json without {field}", partial(set_field, field, KeyError)
    for value in BAD:
        entry = {"file": "x.parquet", "numbers": value}
        told: list[tuple[str, Any]] = [
            ("importance.json", value),
            ("importance.json", {"rows": value, "complete": value, "fault": value}),
            ("probe.json", value),
            ("probe.json", msgspec.to_builtins(PROBE) | {"rows": value, "base": value}),
            ("segments/manifest.json", value),
            ("segments/manifest.json", {"trials": value}),
            ("segments/manifest.json", {"trials": [value]}),
            ("segments/manifest.json", {"trials": [entry]}),
        ]
        yield from ((f"{n} = {v!r}", partial(put, n, json.dumps(v).encode())) for n, v in told)
    bomb = b'{"trials": [{"file": "trials.parquet", "numbers": [[0, 10000000000]]}]}'
    yield "manifest of too many trials", partial(put, "segments/manifest.json", bomb)
    yield "study.json nested", partial(put, "study.json", b"[" * 100_000)
    yield "study.json of a huge number", partial(put, "study.json", b'{"n_cases":' + b"9" * 6000)
    for number in TRIAL:
        yield f"trial {str(number)[:60]}", partial(rewrite, "trials/00000.parquet", number)
    for row in PREDICTIONS:
        yield f"prediction {row}", partial(rewrite, "predictions/00001.val.parquet", row)
    for name in ("trials/00000", "metrics/00001", "predictions/00001.val", "evaluations"):
        for content in (b"", b"PAR1" + b"\xff" * 400 + b"PAR1"):
            yield f"{name} = {content[:8]!r}", partial(put, f"{name}.parquet", content)
    yield "a table of other columns", partial(put_table, pa.table({"a": [1]}))
    yield "a number that is text", partial(put_table, pa.table({"number": ["a"]}))
    for name in ("trials", "metrics", "predictions"):
        yield f"no {name}", lambda study, name=name: shutil.rmtree(study / name)
        yield f"{name} is a file", partial(file_for_folder, name)
        yield f"{name} is a link", partial(link_for_folder, name)
    for name in ("study.json", "importance.json", "trials/00000.parquet", "driver.lock"):
        yield f"{name} is a pipe", partial(pipe, name)
        yield f"{name} is a folder", partial(folder_for_file, name)


def set_field(field: str, value: Any, study: Path) -> None:
    raw = json.loads((study / "study.json").read_text())
    *above, last = field.split(".")
    inner = raw
    for part in above:
        inner = inner[part]
    if value is KeyError:
        inner.pop(last, None)
    else:
        inner[last] = copy.deepcopy(value)
    (study / "study.json").write_text(json.dumps(raw))


def put(name: str, content: bytes, study: Path) -> None:
    (study / name).parent.mkdir(exist_ok=True)
    (study / name).write_bytes(content)


def put_table(table: pa.Table, study: Path) -> None:
    pq.write_table(table, study / "trials" / "00000.parquet")


def rewrite(name: str, values: dict[str, Any], study: Path) -> None:
    table = pq.read_table(study / name)
    schema = pa.schema([field.with_nullable(True) for field in table.schema])
    rows = [row | values for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), study / name)


def file_for_folder(name: str, study: Path) -> None:
    shutil.rmtree(study / name)
    (study / name).write_text("x")


def link_for_folder(name: str, study: Path) -> None:
    (study / name).rename(study.parent / f".{name}")
    (study / name).symlink_to(study.parent / f".{name}")


def _away(path: Path) -> None:
    path.unlink(missing_ok=True)


def pipe(name: str, study: Path) -> None:
    _away(study / name)
    os.mkfifo(study / name)


def folder_for_file(name: str, study: Path) -> None:
    _away(study / name)
    (study / name).mkdir()


ALL = [*changes()]
_CHOSEN = np.random.default_rng(16).choice(len(ALL), 45, replace=False)
SAMPLE = ALL if os.environ.get("MMSTUDY_ALL_HOSTILE") else [ALL[i] for i in sorted(_CHOSEN)]


@pytest.mark.parametrize(("_what", "change"), SAMPLE, ids=[what[:60] for what, _ in SAMPLE])
def test_every_command_answers_with_a_sentence(tmp_path: Path, _what: str, change: Change) -> None:
    root = tmp_path / "root"
    study = shutil.copytree(OLD, root / "old")
    change(study)
    for command in COMMANDS:
        places = {"ROOT": root, "STUDY": study, "OUT": tmp_path / "out"}
        given = [str(places.get(part, part)) for part in command]
        told = "done"
        try:
            app(given, standalone_mode=False)
        except (MMStudyError, DataError, StorageError) as error:
            told = str(error)
        except (Exit, SystemExit):
            continue
        assert told.strip(), command
