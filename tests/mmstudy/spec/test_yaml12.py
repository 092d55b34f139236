"""Specs are YAML 1.2: what scalars mean, what is refused, and what a text may cost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mmstudy.errors import UsageError
from mmstudy.spec import yaml12
from mmstudy.spec.reading import ready_specs


def parse(text: str) -> Any:
    return yaml12.parse(text, source="my.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        (".5", 0.5),
        ("-3", -3),
        ("+7", 7),
        ("0o10", 8),
        ("0x1F", 31),
        ("2.0", 2.0),
        ("yes", "yes"),
        ("off", "off"),
        ("1:30", "1:30"),
        ("2026-11-27", "2026-11-27"),
        ("1_000", "1_000"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("true", True),
        ("~", None),
        ("", None),
        ("-.inf", float("-inf")),
        ("|\n  010\n", "010\n"),
        ("[a, {b: 1}]", ["a", {"b": 1}]),
    ],
)
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = parse(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("name", ready_specs())
def test_a_ready_space_is_read_as_it_always_was(name: str) -> None:
    path = ready_specs()[name]
    assert yaml12.read(path) == yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("epochs: 010", "line 1, column 9: 010 means different numbers to different readers"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: the key 'a' is given twice"),
        ("a: {b: 1, b: 2}", "the key 'b' is given twice"),
        ("{a: 1", "line 1, column 6: expected"),
        ("a: @b", "line 1, column 4"),
        ("a: b\x00", "special characters are not allowed"),
        ("a: \ud800", "special characters are not allowed"),
        ("1\n---\n2", "a second document begins"),
        ("[1]: 2", "a key must be a name"),
        ("a: !!python/object:os.system ls", "the tag tag:yaml.org,2002:python/object:os.system"),
        ("<<: {a: 1}", "merges no mappings"),
        ("&a [*a]", "*a stands for nothing that is whole before it"),
        ("n: " + "9" * 400, "a number of 400 digits; 300 are allowed"),
    ],
)
def test_what_is_refused_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value).startswith("my.yaml")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_alias_is_a_value_of_its_own() -> None:
    found = parse("a: &x {b: [1]}\nc: *x")
    found["a"]["b"].append(2)
    assert found["c"] == {"b": [1]}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[" * 200_000, "nested more than 32 deep"),
        ("{a: " * 50_000, "nested more than 32 deep"),
        ("- " * 100_000, "nested more than 32 deep"),
        (
            "- &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(f"- &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)),
            "more than 100000 values, aliases written out",
        ),
        ("a" * (1 << 20) + "a", "1048577 characters; 1048576 are allowed"),
    ],
)
def test_a_bomb_is_a_sentence_at_once(text: str, told: str) -> None:
    started = time.process_time()
    with pytest.raises(UsageError, match=told):
        parse(text)
    assert time.process_time() - started < 5


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_bytes(b"a: \xff")
    with pytest.raises(UsageError, match=r"Cannot read .*my\.yaml"):
        yaml12.read(path)
    path.write_bytes(b"#" * (yaml12.MOST_BYTES + 1))
    with pytest.raises(UsageError, match=r"my\.yaml is larger than 1048576 bytes"):
        yaml12.read(path)


def test_a_file_may_begin_with_a_byte_order_mark_and_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("\ufeffa: 1", encoding="utf-8")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real.yaml")
    assert yaml12.read(tmp_path / "link.yaml") == {"a": 1}
