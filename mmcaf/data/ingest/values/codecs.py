"""Compressed pixels: which transfer syntaxes are read, and by which decoder.

A decoder must refuse what is damaged. Those of `pylibjpeg` give half an image without a word where
a stream is cut off, so they are not asked; GDCM's, CharLS, Pillow's and pydicom's own are. And what
a stream says of itself is held against the header: two that disagree are read by nobody.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

__all__ = ["COMPRESSED", "INFLATES", "UNCOMPRESSED", "decoded", "decoder_of"]

UNCOMPRESSED = {
    "1.2.840.10008.1.2": "implicit VR, little endian",
    "1.2.840.10008.1.2.1": "explicit VR, little endian",
    "1.2.840.10008.1.2.2": "explicit VR, big endian",
}
COMPRESSED = {
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless, first-order",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS, near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000, lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
}
INFLATES = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
"""Deflated: reading as little as the header would inflate all of it."""

_DECODERS = ("gdcm", "pyjpegls", "pillow", "pydicom")  # in this order; see above
_RLE = "1.2.840.10008.1.2.5"
_LOSSLESS_JPEG = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_START_OF_FRAME = {0xC0 + n for n in range(16)} - {0xC4, 0xC8, 0xCC} | {0xF7}
_SURPLUS = re.compile(r"(\d+) vs\. (\d+) bytes")
_NEAR_THE_START = 4096  # bytes before a JPEG 2000 stream, where it is wrapped as JP2


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a compressed stream says of itself."""

    marker: int  # of JPEG's start of frame; 0x51 for JPEG 2000
    rows: int
    columns: int
    components: int
    bits: int


def decoder_of(syntax: str) -> str | None:
    """The installed decoder of a compressed transfer syntax, by pydicom's name; else None."""
    if syntax not in COMPRESSED:
        return None
    there = get_decoder(UID(syntax)).available_plugins
    return next((name for name in _DECODERS if name in there), None)


def decoded(dataset: Dataset) -> NDArray[Any]:
    """Stored values, [rows, columns], with whatever unused bits hold.

    Raises:
        ValueError: no decoder is installed, or the stream contradicts the header.
        Exception: of many kinds, from pydicom and decoders, where the pixels are damaged.
    """
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    options: dict[str, Any] = {"correct_unused_bits": False}
    if syntax not in UNCOMPRESSED:
        plugin = decoder_of(syntax)
        if plugin is None:
            raise ValueError(f"No decoder of {syntax} is installed.")
        if syntax != _RLE:
            _check_stream(dataset, syntax)
        options["decoding_plugin"] = plugin
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        pixels, _ = get_decoder(UID(syntax)).as_array(dataset, **options)
    if syntax == _RLE:
        _check_surplus([str(one.message) for one in said], min(pixels.shape))
    return pixels


def _check_surplus(warned: list[str], line: int) -> None:
    """RLE says nothing of sides: whatever is left over of a segment, pydicom only warns of it."""
    for found, wanted in (pair for text in warned for pair in _SURPLUS.findall(text)):
        if int(found) - int(wanted) >= line:
            raise ValueError(f"RLE gives {found} values, the header's sides need {wanted}.")


def _check_stream(dataset: Dataset, syntax: str) -> None:
    stream = _stream(next(generate_frames(dataset.PixelData, number_of_frames=1)))
    if stream is None:
        raise ValueError("The compressed stream has no header.")
    found = (stream.rows, stream.columns, stream.components)
    said = (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    if found != said:
        raise ValueError(f"The stream has rows, columns, samples {found}, the header says {said}.")
    if stream.bits > dataset.BitsAllocated:
        raise ValueError(f"The stream has {stream.bits} bits, {dataset.BitsAllocated} have room.")
    if syntax in _LOSSLESS_JPEG:
        if stream.marker != 0xC3:
            raise ValueError("The stream is not lossless, as its transfer syntax says.")
        if stream.bits < dataset.BitsStored and dataset.PixelRepresentation:
            raise ValueError(f"{stream.bits} bits of the stream cannot hold the header's sign.")


def _stream(frame: bytes) -> _Stream | None:
    """Read from the start of a JPEG, JPEG-LS or JPEG 2000 stream; None where there is none."""
    at = frame.find(b"\xff\x4f\xff\x51", 0, _NEAR_THE_START)
    if at >= 0:
        size = frame[at + 8 : at + 43]
        right, bottom, left, top = (int.from_bytes(size[i : i + 4]) for i in (0, 4, 8, 12))
        components, bits = int.from_bytes(size[32:34]), (size[34] & 0x7F) + 1
        return _Stream(0x51, bottom - top, right - left, components, bits)
    at = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while at + 10 <= len(frame) and frame[at] == 0xFF:
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4])
        if marker in _START_OF_FRAME:
            bits, rows, columns = frame[at + 4], frame[at + 5 : at + 7], frame[at + 7 : at + 9]
            sides = int.from_bytes(rows), int.from_bytes(columns)
            return _Stream(marker, *sides, frame[at + 9], bits)
        at += 1 if marker == 0xFF else 2 + length
    return None
