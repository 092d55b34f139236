"""Odd, broken and hostile files: a valid row or a reason code, quickly and in little memory."""

from __future__ import annotations

import os
import shutil
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.data import get_testdata_file

from mmcaf.data.ingest import decode
from mmcaf.data.ingest.decode import read_hu_apart
from mmcaf.data.ingest.dicom import read_header, read_hu
from mmcaf.data.ingest.rules import CODES
from mmcaf.data.synthetic.write import edit_slice
from mmcaf.errors import DataError

MUTATIONS = 500
MAX_SECONDS, MAX_BYTES = 2.0, 256 * 2**20

ODD_FILES = {  # bundled with pydicom
    "MR_truncated.dcm": "E_SOP_CLASS",
    "MR_small_padded.dcm": "E_SOP_CLASS",
    "image_dfl.dcm": "E_TS_UNSUPPORTED",
    "693_J2KI.dcm": "E_PATIENT_ID",
    "J2K_pixelrep_mismatch.dcm": "E_PATIENT_ID",
    "JPEG2000-embedded-sequence-delimiter.dcm": "E_SOP_CLASS",
    "JPEG-lossy.dcm": "E_TS_UNSUPPORTED",
    "MR_small_jpeg_ls_lossless.dcm": "E_SOP_CLASS",
    "MR_small_RLE.dcm": "E_SOP_CLASS",
    "SC_rgb_rle_32bit_2frame.dcm": "E_SOP_CLASS",
    "SC_rgb_small_odd.dcm": "E_SOP_CLASS",
    "MR_small_bigendian.dcm": "E_SOP_CLASS",
    "ExplVR_BigEnd.dcm": "E_SOP_CLASS",
    "no_meta.dcm": "E_NOT_DICOM",
    "ExplVR_BigEndNoMeta.dcm": "E_NOT_DICOM",
    "rtstruct.dcm": "E_NOT_DICOM",
    "zipMR.gz": "E_NOT_DICOM",
    "README.txt": "E_NOT_DICOM",
    "meta_missing_tsyntax.dcm": "E_SOP_CLASS",
    "badVR.dcm": "E_SOP_CLASS",
    "nested_priv_SQ.dcm": "E_SOP_CLASS",
    "UN_sequence.dcm": "E_TS_UNSUPPORTED",
    "rtplan_truncated.dcm": "E_SOP_CLASS",
    "rtdose.dcm": "E_SOP_CLASS",
    "liver_1frame.dcm": "E_SOP_CLASS",
    "CT_small.dcm": "E_PATIENT_ID",
}


def bundled(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    assert isinstance(found, str)
    return Path(found)


@pytest.fixture
def a_slice(dicom_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(next(dicom_folder.rglob("*.dcm")), tmp_path / "slice.dcm"))


def altered(path: Path, change: Callable[[Any], None]) -> Path:
    edit_slice(path, change)
    return path


def shape_of(path: Path) -> tuple[int, int]:
    header = dcmread(path, stop_before_pixels=True)
    return header.Rows, header.Columns


@pytest.mark.parametrize(("name", "reason"), ODD_FILES.items())
def test_odd_files_become_rows_with_a_reason(name: str, reason: str) -> None:
    assert read_header(bundled(name), name)["reason"] == reason


def test_a_whole_folder_of_odd_files_raises_nothing() -> None:
    files = [path for path in bundled("CT_small.dcm").parent.rglob("*") if path.is_file()]
    assert len(files) > 150
    assert {read_header(path, path.name)["reason"] for path in files} <= set(CODES)


def test_a_good_slice_has_no_reason(a_slice: Path) -> None:
    assert read_header(a_slice, "x")["reason"] is None


@pytest.mark.parametrize("stored", [12, 16])
def test_hounsfield_units_are_rescaled_rounded_and_clipped(a_slice: Path, stored: int) -> None:
    raw = np.zeros(shape_of(a_slice), dtype="<u2")
    raw[0, :4] = (0, 100, 1101, 4095)

    def change(slice_: Any) -> None:
        slice_.PixelData, slice_.BitsStored, slice_.HighBit = raw.tobytes(), stored, stored - 1
        slice_.PixelRepresentation, slice_.RescaleSlope, slice_.RescaleIntercept = 0, 1.5, -1024

    altered(a_slice, change)
    assert read_hu(a_slice, raw.shape)[0, :4].tolist() == [-1024, -874, 628, 3071]


def test_bits_beyond_the_stored_ones_are_dropped(a_slice: Path) -> None:
    raw = np.full(shape_of(a_slice), 0xF000 | 1024, dtype="<u2")  # an overlay in the high bits

    def change(slice_: Any) -> None:
        slice_.PixelData, slice_.BitsStored, slice_.HighBit = raw.tobytes(), 12, 11
        slice_.PixelRepresentation, slice_.RescaleSlope, slice_.RescaleIntercept = 0, 1, -1024

    altered(a_slice, change)
    assert (read_hu(a_slice, raw.shape) == 0).all()


@pytest.mark.parametrize("written", [-500, 2**16 - 500])
def test_declared_padding_is_air_however_its_sign_is_written(a_slice: Path, written: int) -> None:
    hu = np.full(shape_of(a_slice), -500, dtype="<i2")
    hu[0, 0] = 7

    def change(slice_: Any) -> None:
        slice_.PixelData, slice_.BitsStored, slice_.HighBit = hu.tobytes(), 16, 15
        slice_.PixelRepresentation, slice_.RescaleSlope, slice_.RescaleIntercept = 1, 1, 0
        slice_.add_new("PixelPaddingValue", "SS" if written < 0 else "US", written)

    altered(a_slice, change)
    found = read_hu(a_slice, hu.shape)
    assert found[0, 0] == 7
    assert (found.ravel()[1:] == -1024).all()


@pytest.mark.parametrize("name", ["693_J2KI.dcm", "JPEG2000-embedded-sequence-delimiter.dcm"])
def test_compressed_pixels_are_decoded_in_a_child_or_not_at_all(name: str) -> None:
    path = bundled(name)
    (found,) = read_hu_apart([path], shape_of(path))
    if found is not None:  # pydicom in this process is the reference
        assert np.array_equal(found, read_hu(path, shape_of(path)))
    else:
        with pytest.raises(DataError):
            read_hu(path, shape_of(path))


def test_a_slice_that_cannot_be_decoded_does_not_take_others_along() -> None:
    good, bad = bundled("693_J2KI.dcm"), bundled("MR_truncated.dcm")
    first, middle, last = read_hu_apart([good, bad, good], shape_of(good))
    assert middle is None
    assert first is not None
    assert last is not None
    assert np.array_equal(first, last)


@pytest.mark.slow
def test_a_child_that_hangs_is_ended_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "_START_SECONDS", 8.0)
    good, pipe = bundled("693_J2KI.dcm"), tmp_path / "pipe"
    os.mkfifo(pipe)  # reading it never ends
    first, middle, last = read_hu_apart([good, pipe, good], shape_of(good))
    assert middle is None
    assert first is not None
    assert np.array_equal(first, last if last is not None else 0)


def test_an_rle_bomb_ends_in_the_child(a_slice: Path) -> None:
    def garble(slice_: Any) -> None:
        uid = type(slice_.SOPInstanceUID)
        slice_.file_meta.TransferSyntaxUID = uid("1.2.840.10008.1.2.5")
        slice_.Rows = slice_.Columns = 2**15  # a gigabyte of pixels from a few bytes
        header = np.array([1, 64] + [0] * 14, "<u4").tobytes()
        content = header + b"\x81\x00" * 10_000
        slice_.PixelData = b"\xfe\xff\x00\xe0" + bytes(4) + b"\xfe\xff\x00\xe0"
        slice_.PixelData += len(content).to_bytes(4, "little") + content
        slice_.PixelData += b"\xfe\xff\xdd\xe0" + bytes(4)
        slice_["PixelData"].is_undefined_length = True

    altered(a_slice, garble)
    assert read_header(a_slice, "x")["reason"] == "E_SIZE"  # refused before that
    assert list(read_hu_apart([a_slice], (2**15, 2**15))) == [None]


def test_a_deflated_bomb_is_refused_unopened(a_slice: Path) -> None:
    content = a_slice.read_bytes()
    meta_end = 132 + 12 + int.from_bytes(content[140:144], "little")
    meta, _, rest = content[:meta_end].rpartition(b"1.2.840.10008.1.2")
    del rest
    body = zlib.compressobj(9, wbits=-15)
    bomb = body.compress(bytes(200 * 2**20)) + body.flush()
    uid = b"1.2.840.10008.1.2.1.99"
    start = meta[:-2] + len(uid).to_bytes(2, "little") + uid
    group_length = len(start) - 144
    start = start[:140] + group_length.to_bytes(4, "little") + start[144:]
    a_slice.write_bytes(start + bomb)
    assert a_slice.stat().st_size < 300_000
    tracemalloc.start()
    assert read_header(a_slice, "x")["reason"] == "E_TS_UNSUPPORTED"
    assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("depth", [400, 20_000])
def test_a_sequence_nested_too_deep_is_a_reason(a_slice: Path, depth: int) -> None:
    item, end = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x0d\xe0\0\0\0\0"
    start, stop = b"\x08\0\x40\x11", b"\xfe\xff\xdd\xe0\0\0\0\0"
    content = a_slice.read_bytes()
    explicit = b"1.2.840.10008.1.2.1\0" in content[:500]
    opening = start + (b"SQ\0\0" if explicit else b"") + b"\xff\xff\xff\xff"
    at = content.index(b"\x10\0\x10\0")  # before PatientName
    nested = (opening + item) * depth + (end + stop) * depth
    a_slice.write_bytes(content[:at] + nested + content[at:])
    assert read_header(a_slice, "x")["reason"] == "E_UNREADABLE"
    with pytest.raises(DataError, match="recursion"):
        read_hu(a_slice, (48, 48))


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """A byte flipped, bytes inserted, the end cut off, or a length that lies."""
    at = int(random.integers(132, len(content)))
    if random.random() < 0.7:  # the header is where it matters
        at = int(random.integers(132, min(1600, len(content))))
    kind = random.integers(4)
    if kind == 0:
        return content[:at] + bytes([content[at] ^ 1 << random.integers(8)]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + random.bytes(int(random.integers(1, 64))) + content[at:]
    if kind == 2:
        return content[:at]
    lie = int(random.choice([0, 1, 2**16 - 1, 2**31, 2**32 - 2, 2**32 - 1]))
    return content[:at] + lie.to_bytes(4, "little") + content[at + 4 :]


def outcome(path: Path) -> NDArray[np.int16] | str:
    """What ingestion would make of the file: its slice, or a reason code."""
    row = read_header(path, path.name)
    if row["reason"] is not None:
        return str(row["reason"])
    try:
        return read_hu(path, (row["rows"], row["columns"]))
    except DataError:
        return "E_DECODE"


@pytest.mark.parametrize("source", ["synthetic", "CT_small.dcm"])
def test_a_mutated_slice_is_a_slice_or_a_reason(source: str, a_slice: Path, tmp_path: Path) -> None:
    if source == "CT_small.dcm":
        edit_slice(bundled(source), lambda s: setattr(s, "PatientID", "Lung_Dx-A0001"), a_slice)
    content, random = a_slice.read_bytes(), np.random.default_rng(20)
    slices, reasons = 0, set()
    path = tmp_path / "mutated.dcm"
    for number in range(MUTATIONS // 2):
        path.write_bytes(mutated(content, random))
        tracemalloc.start()
        begun = time.perf_counter()
        found = outcome(path)
        seconds, (_, peak) = time.perf_counter() - begun, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert seconds < MAX_SECONDS, number
        assert peak < MAX_BYTES, number
        if isinstance(found, str):
            assert found in CODES, number
            reasons.add(found)
        else:
            assert -1024 <= found.min() <= found.max() <= 3071, number
            slices += 1
    assert 50 < slices < MUTATIONS // 2  # both ends are reached
    assert len(reasons) >= 5
