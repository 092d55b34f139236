"""YAML 1.2 as specs are written in it: every key once, and every scalar means one thing.

    parse("train: {epochs: 3, lr: 1e-4}", source="study.yaml")
    # {'train': {'epochs': 3, 'lr': 0.0001}}

Scalars follow the core schema of YAML 1.2: `yes` and `1:30` are text, `1e-4` is a number. Readers
disagree about `010`, so it is refused. ruamel.yaml splits the text into events; the values are made
of them here, because what a text may cost is counted on the way: how deeply it is nested, and how
many values it has once its aliases are written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from mmcaf.errors import DataError
from mmcaf.files import untrusted
from mmstudy.errors import UsageError

__all__ = ["MOST_DEPTH", "parse", "read"]

MOST_BYTES: Final = 1 << 20
MOST_DEPTH: Final = 32
MOST_VALUES: Final = 100_000
_MOST_DIGITS = 300  # of a number; a float has no more

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_PADDED = re.compile(r"[-+]?0[0-9]+")
_TEXT = "tag:yaml.org,2002:str"


def read(path: Path) -> Any:
    """The value in a YAML file of at most 1 MiB.

    Raises:
        UsageError: it cannot be read, is larger, or is not valid; says where.
    """
    try:
        # The user chose the file, so it may be a link.
        content = untrusted.read_bytes(path.resolve(), most=MOST_BYTES)
        text = content.decode("utf-8-sig")
    except (OSError, DataError, UnicodeDecodeError, RuntimeError) as error:
        raise UsageError(f"Cannot read {path}: {error}") from error
    return parse(text, source=str(path))


def parse(text: str, *, source: str) -> Any:
    """The value that `text` describes: mappings, lists, text, numbers, truth, None.

    Args:
        text: one YAML document.
        source: its name in a fault.

    Raises:
        UsageError: not valid, a key given twice, or beyond a limit; says where.
    """
    if len(text) > MOST_BYTES:
        raise UsageError(f"{source} has {len(text)} characters; {MOST_BYTES} are allowed.")
    try:
        return _Document(iter(YAML(typ="safe", pure=True).parse(text))).value()
    except _Refused as error:
        raise UsageError(f"{source}, {error}") from None
    except YAMLError as error:
        raise UsageError(f"{source} is not valid YAML, {_told(error)}.") from None


def _told(error: YAMLError) -> str:
    """Where the text breaks off, and why, in one line."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:  # of a character
        return " ".join(str(error).split())
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


class _Refused(Exception):
    """Why the text is not taken, with line and column."""

    def __init__(self, event: Event, why: str) -> None:
        mark = event.start_mark
        super().__init__(f"line {mark.line + 1}, column {mark.column + 1}: {why}")


@dataclass(slots=True)
class _Document:
    """The values of one document, made of its events."""

    events: Iterator[Event]
    count: int = 0  # of values so far, those of aliases among them
    anchors: dict[str, tuple[Any, int]] = field(default_factory=dict)  # value, and its count

    def value(self) -> Any:
        """The one value; None where the text has none."""
        found: list[Any] = []
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                if found:
                    raise _Refused(event, "a second document begins; one is allowed.")
                found.append(self._node(next(self.events), 0))
        return found[0] if found else None

    def _node(self, event: Event, depth: int) -> Any:
        if isinstance(event, AliasEvent):
            return self._alias(event)
        before = self.count
        self._add(event, 1)
        if isinstance(event, ScalarEvent):
            made: Any = _scalar(event)
        elif depth >= MOST_DEPTH:
            raise _Refused(event, f"nested more than {MOST_DEPTH} deep.")
        elif isinstance(event, SequenceStartEvent):
            made = self._list(depth + 1)
        else:
            made = self._mapping(event, depth + 1)
        if isinstance(event, NodeEvent) and event.anchor is not None:
            self.anchors[event.anchor] = (made, self.count - before)
        return made

    def _alias(self, event: AliasEvent) -> Any:
        if event.anchor not in self.anchors:
            raise _Refused(event, f"*{event.anchor} stands for nothing that is whole before it.")
        value, count = self.anchors[event.anchor]
        self._add(event, count)
        return deepcopy(value)  # what is changed in one place is not changed in the other

    def _add(self, event: Event, count: int) -> None:
        self.count += count
        if self.count > MOST_VALUES:
            raise _Refused(event, f"more than {MOST_VALUES} values, aliases written out.")

    def _list(self, depth: int) -> list[Any]:
        made = []
        while not isinstance(event := next(self.events), SequenceEndEvent):
            made.append(self._node(event, depth))
        return made

    def _mapping(self, start: Event, depth: int) -> dict[Any, Any]:
        if not isinstance(start, MappingStartEvent):
            raise _Refused(start, "neither a value, a list nor a mapping.")
        made: dict[Any, Any] = {}
        while not isinstance(event := next(self.events), MappingEndEvent):
            key = self._node(event, depth)
            if isinstance(key, list | dict):
                raise _Refused(event, "a key must be a name, not a list or a mapping.")
            if key == "<<":
                raise _Refused(event, "YAML 1.2 merges no mappings (<<); write the keys out.")
            if key in made:
                raise _Refused(event, f"the key {key!r} is given twice; keep one.")
            made[key] = self._node(next(self.events), depth)
        return made


def _scalar(event: ScalarEvent) -> Any:
    text, tag = str(event.value), None if event.tag is None else str(event.tag)
    if tag not in (None, "!", _TEXT):
        raise _Refused(event, f"the tag {tag} is not known; leave it out.")
    if event.style is not None or tag is not None:  # in quotes or a block
        return text
    return _plain(event, text)


def _plain(event: ScalarEvent, text: str) -> Any:
    """What a scalar without quotes means."""
    if _PADDED.fullmatch(text):
        plain = text.lstrip("+-0") or "0"
        raise _Refused(
            event, f"{text} means different numbers to different readers; write {plain}, or quote."
        )
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        if len(text) > _MOST_DIGITS:
            raise _Refused(event, f"a number of {len(text)} digits; {_MOST_DIGITS} are allowed.")
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NO_NUMBER.fullmatch(text):
        return float(text.lower().replace(".", ""))
    return text
