"""Tables and JSON of a study folder: whole or not at all, of exactly one schema, faults by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmstudy.errors import MMStudyError
from mmstudy.storage.parquet import (
    append_rows,
    params_of,
    read_json,
    read_rows,
    read_tables,
    write_rows,
    write_table,
)
from mmstudy.storage.schema import SCHEMA_VERSION

SCHEMA = pa.schema(
    [
        pa.field("number", pa.int32(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("note", pa.string()),
    ]
)


def rows(*numbers: int) -> list[dict[str, Any]]:
    return [{"number": n, "value": n / 2, "note": None} for n in numbers]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "t.parquet"
    write_rows(path, SCHEMA, rows(3, 1))
    assert read_rows(path, SCHEMA, limit=tmp_path) == rows(3, 1)
    assert pq.read_schema(path).metadata[b"schema_version"] == str(SCHEMA_VERSION).encode()


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    assert read_rows(tmp_path / "none.parquet", SCHEMA, limit=tmp_path) == []
    empty = read_tables([], SCHEMA, limit=tmp_path)
    assert empty.is_empty()
    assert empty.columns == SCHEMA.names


def test_rows_are_added_behind_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    for number in (1, 2):
        append_rows(path, SCHEMA, rows(number), limit=tmp_path)
    assert read_rows(path, SCHEMA, limit=tmp_path) == rows(1, 2)


def test_a_column_an_older_writer_did_not_know_is_null(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    pq.write_table(pa.table({"number": pa.array([1], pa.int32())}), path)
    assert read_rows(path, SCHEMA, limit=tmp_path) == [{"number": 1, "value": None, "note": None}]


def test_a_column_of_a_newer_writer_is_not_seen(tmp_path: Path) -> None:
    path = tmp_path / "new.parquet"
    table = pa.Table.from_pylist(rows(1), schema=SCHEMA).append_column("later", pa.array([7]))
    write_table(path, table)
    assert read_rows(path, SCHEMA, limit=tmp_path) == rows(1)


def test_rows_keep_the_order_of_their_files_whatever_these_are_large(tmp_path: Path) -> None:
    """Small files are read by another way than large ones."""
    paths, numbers = [tmp_path / f"{n}.parquet" for n in range(4)], list[int]()
    for at, path in enumerate(paths):
        held = rows(*range(at * 100_000, at * 100_000 + (40_000 if at % 2 else 2)))
        write_rows(path, SCHEMA, held)
        numbers += [row["number"] for row in held]
    assert [path.stat().st_size > 1 << 16 for path in paths] == [False, True, False, True]
    assert read_tables(paths, SCHEMA, limit=tmp_path)["number"].to_list() == numbers
    paths[2].write_bytes(b"PAR1 and no more")
    with pytest.raises(MMStudyError, match=r"Cannot read \S+/2\.parquet: "):
        read_tables(paths, SCHEMA, limit=tmp_path)


def test_several_files_are_one_table_and_one_trial_can_be_asked_for(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b.parquet", "a.parquet", "[0-9].parquet")]
    for at, path in enumerate(paths):
        write_rows(path, SCHEMA, rows(at, at + 10))
    assert read_tables(paths, SCHEMA, limit=tmp_path)["number"].to_list() == [0, 10, 1, 11, 2, 12]
    assert read_tables(paths, SCHEMA, 11, limit=tmp_path)["value"].to_list() == [5.5]
    assert read_tables(paths, SCHEMA, 99, limit=tmp_path).is_empty()


@pytest.mark.parametrize("wrong", [{"number": None}, {"number": "one"}, {"value": "high"}])
def test_a_row_of_another_kind_is_refused_and_the_old_file_stays(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    path = tmp_path / "t.parquet"
    write_rows(path, SCHEMA, rows(1))
    with pytest.raises((pa.ArrowException, TypeError, ValueError)):
        write_rows(path, SCHEMA, [rows(2)[0] | wrong])
    assert read_rows(path, SCHEMA, limit=tmp_path) == rows(1)


@pytest.mark.parametrize("content", [b"", b"no parquet", None])
def test_a_damaged_file_is_named_among_the_others(tmp_path: Path, content: bytes | None) -> None:
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    write_rows(good, SCHEMA, rows(1))
    if content is None:
        bad.write_bytes(good.read_bytes()[:-20])
    else:
        bad.write_bytes(content)
    with pytest.raises(MMStudyError, match=r"Cannot read .*/bad\.parquet: .*Copy it"):
        read_tables([good, bad], SCHEMA, limit=tmp_path)


def test_a_file_of_another_table_is_named_among_the_others(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.parquet", tmp_path / "bad.parquet"
    write_rows(good, SCHEMA, rows(1))
    pl.DataFrame({"number": ["x"]}).write_parquet(bad)
    with pytest.raises(MMStudyError, match=r"Cannot read [^,]*/bad\.parquet: .*Copy it"):
        read_tables([good, bad], SCHEMA, limit=tmp_path)


def test_a_file_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(MMStudyError, match=r"gone\.parquet"):
        read_tables([tmp_path / "gone.parquet"], SCHEMA, limit=tmp_path)


def test_polars_alone_reads_what_was_written(tmp_path: Path) -> None:
    write_rows(tmp_path / "t.parquet", SCHEMA, rows(1, 2))
    assert pl.read_parquet(tmp_path / "t.parquet")["value"].to_list() == [0.5, 1.0]


class TestJson:
    def test_an_object_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.json").write_text('{"é": [1, null]}', encoding="utf-8")
        assert read_json(tmp_path / "a.json", dict[str, Any], limit=tmp_path) == {"é": [1, None]}

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b'{"a": 1', "truncated"),
            (b"[1, 2]", "Expected `object`, got `array`"),
            (b'"text"', "Expected `object`, got `str`"),
            (b"\xff\xfe", "malformed"),
            (None, "There is no"),
        ],
    )
    def test_what_is_none_is_named_with_the_reason(
        self, tmp_path: Path, content: bytes | None, told: str
    ) -> None:
        if content is not None:
            (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(MMStudyError, match=rf"a\.json.*{told}|{told}.*a\.json"):
            read_json(tmp_path / "a.json", dict[str, Any], limit=tmp_path)


class TestParams:
    def test_plain_values_and_lists_of_them_are_read(self) -> None:
        text = '{"train.lr": 0.1, "a": [1, "b", null, true], "c": null}'
        assert params_of(text, 3) == {"train.lr": 0.1, "a": [1, "b", None, True], "c": None}

    @pytest.mark.parametrize(
        "text",
        [
            "{",
            "[1]",
            "null",
            "[" * 100_000,
            '{"train.lr": {"a": 1}}',
            '{"train.lr": [[1]]}',
            '{"train.lr": NaN}',
            '{"train.lr": Infinity}',
            '{"train.lr": 1e999}',
            '{"train.lr": 99999999999999999999999999}',
            '{"=cmd|x": 1}',
            '{"a": "\\ud800"}',
            '{"a": "\\u0000"}',
            '{"a": ' + "[" * 5000 + "]" * 5000 + "}",
        ],
        ids=lambda text: text[:30],
    )
    def test_what_no_study_writes_is_told_with_the_trial(self, text: str) -> None:
        for _ in range(60):  # a decoder that is thrown away ended the process, at times
            with pytest.raises(MMStudyError, match=r"row of trial 3, column params.*damaged"):
                params_of(text, 3)

    def test_the_field_is_named(self) -> None:
        with pytest.raises(MMStudyError, match=r"field 'train\.lr'.*Copy it again"):
            params_of('{"a": 1, "train.lr": {"b": 1}}', 3)
