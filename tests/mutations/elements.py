"""The elements of a small file, little endian, byte for byte: values that no writer would write."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR, tag_for_keyword

__all__ = ["Elements", "Value", "tag_of", "vr_of"]

Value = list[str | int]  # its parts; none for an empty element

_LONG = ("OB", "OW", "SQ", "UN", "UT")  # two reserved bytes, then four of length
_META = 0x0002
_PIXELS = 0x7FE00010
_IMPLICIT = "1.2.840.10008.1.2"


def tag_of(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    return int(tag)


def vr_of(keyword: str) -> str:
    """Value representation; of those that go by the sign of the pixels, the unsigned."""
    return dictionary_VR(tag_of(keyword)).split(" or ")[0]


@dataclass
class Elements:
    """Tag -> value representation and content."""

    of: dict[int, tuple[str, bytes]]
    implicit: bool

    @classmethod
    def read(cls, content: bytes) -> Elements:
        """Those of a file without sequences."""
        meta, end = {}, 132
        for tag, vr, value, after in _explicit(content, end):
            if tag >> 16 != _META:
                break
            meta[tag], end = (vr, value), after
        syntax = meta[tag_of("TransferSyntaxUID")][1].rstrip(b"\0").decode()
        parse = _implicit if syntax == _IMPLICIT else _explicit
        rest = {tag: (vr, value) for tag, vr, value, _ in parse(content, end)}
        return cls(meta | rest, syntax == _IMPLICIT)

    def value(self, keyword: str) -> Value | None:
        """Parts of a value as text, or numbers where they are stored as such; None if absent."""
        if (found := self.of.get(tag_of(keyword))) is None:
            return None
        content = found[1]
        if vr_of(keyword) == "US":
            return [*struct.unpack(f"<{len(content) // 2}H", content)]
        text = content.rstrip(b" \0").decode("latin-1")
        return [*text.split("\\")] if text else []

    def set(self, keyword: str, value: Value | bytes | None) -> None:
        """Put another value, or none, in its place."""
        tag, vr = tag_of(keyword), vr_of(keyword)
        if value is None:
            self.of.pop(tag, None)
        else:
            content = value if isinstance(value, bytes) else _encoded(value, vr)
            self.of[tag] = (vr, content)

    def written(self) -> bytes:
        """The file."""
        meta = b"".join(
            _element(tag, *self.of[tag], implicit=False)
            for tag in sorted(self.of)
            if tag >> 16 == _META and tag != 0x00020000
        )
        length = _element(0x00020000, "UL", struct.pack("<I", len(meta)), implicit=False)
        body = b"".join(
            _element(tag, *self.of[tag], implicit=self.implicit)
            for tag in sorted(self.of)
            if tag >> 16 != _META
        )
        return bytes(128) + b"DICM" + length + meta + body

    def sequence(self, items: dict[str, Value]) -> bytes:
        """The content of a sequence of one item."""
        inside = b"".join(
            _element(tag_of(k), vr_of(k), _encoded(v, vr_of(k)), implicit=self.implicit)
            for k, v in sorted(items.items(), key=lambda item: tag_of(item[0]))
        )
        return struct.pack("<HHI", 0xFFFE, 0xE000, len(inside)) + inside


def _encoded(value: Value, vr: str) -> bytes:
    if vr in ("US", "OW") and all(isinstance(part, int) for part in value):
        return b"".join(struct.pack("<H", int(part) % 2**16) for part in value)
    text = "\\".join(map(str, value)).encode("latin-1", "replace")
    return text + (b"\0" if vr == "UI" else b" ") * (len(text) % 2)


def _element(tag: int, vr: str, content: bytes, *, implicit: bool) -> bytes:
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack("<I", len(content)) + content
    if vr in _LONG:
        return head + vr.encode() + b"\0\0" + struct.pack("<I", len(content)) + content
    return head + vr.encode() + struct.pack("<H", len(content)) + content


def _explicit(content: bytes, at: int) -> Iterator[tuple[int, str, bytes, int]]:
    while at < len(content):
        group, element, vr, length = struct.unpack_from("<HH2sH", content, at)
        at += 8
        if vr.decode("latin-1") in _LONG:
            (length,) = struct.unpack_from("<I", content, at)
            at += 4
        yield group << 16 | element, vr.decode("latin-1"), content[at : at + length], at + length
        at += length


def _implicit(content: bytes, at: int) -> Iterator[tuple[int, str, bytes, int]]:
    while at < len(content):
        group, element, length = struct.unpack_from("<HHI", content, at)
        tag = group << 16 | element
        vr = "OW" if tag == _PIXELS else dictionary_VR(tag).split(" or ")[0]
        yield tag, vr, content[at + 8 : at + 8 + length], at + 8 + length
        at += 8 + length
