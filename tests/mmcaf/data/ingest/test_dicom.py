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
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.data import get_testdata_file
from pydicom.datadict import tag_for_keyword
from pydicom.uid import UID

from mmcaf.data.ingest import decode
from mmcaf.data.ingest.decode import read_planes_apart
from mmcaf.data.ingest.dicom import read_header, read_hu, read_plane
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
    "UN_sequence.dcm": "E_UNREADABLE",
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


def encoded(path: Path, *, implicit: bool) -> Path:
    """The same slice with or without VRs in its file."""
    dataset = dcmread(path)
    dataset.decode()
    uid = "1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1"
    dataset.file_meta.TransferSyntaxUID = UID(uid)
    dataset.save_as(path, implicit_vr=implicit, little_endian=True)
    return path


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize(("vr", "value"), [("US", 63536), ("SS", -2000)])
def test_padding_is_read_whether_or_not_the_file_tells_its_type(
    a_slice: Path, implicit: bool, vr: str, value: int
) -> None:
    """Case 06: 12 bits stored, -2000 written in 16 outside of the circle."""
    raw = np.full(shape_of(a_slice), 1024, dtype="<u2")
    raw[:5] = 63536

    def change(slice_: Any) -> None:
        slice_.PixelData, slice_.BitsStored, slice_.HighBit = raw.tobytes(), 12, 11
        slice_.PixelRepresentation, slice_.RescaleSlope, slice_.RescaleIntercept = 0, 1, -1024
        slice_.add_new("PixelPaddingValue", vr, value)

    row = read_header(encoded(altered(a_slice, change), implicit=implicit), "x")
    assert (row["reason"], row["padding"] % 2**16) == (None, 63536)
    hu = read_hu(a_slice, raw.shape)
    assert (hu[:5] == -1024).all()
    assert (hu[5:] == 0).all()


def test_overlay_bits_that_a_header_declares_are_no_foreign_ones(a_slice: Path) -> None:
    raw = np.full(shape_of(a_slice), 1024, dtype="<u2")
    raw[4, 4:9] |= 0x4000

    def change(slice_: Any) -> None:
        slice_.PixelData, slice_.BitsStored, slice_.HighBit = raw.tobytes(), 12, 11
        slice_.PixelRepresentation, slice_.RescaleSlope, slice_.RescaleIntercept = 0, 1, -1024

    assert read_plane(altered(a_slice, change), raw.shape).foreign_bits
    edit_slice(a_slice, lambda slice_: slice_.add_new((0x6000, 0x0102), "US", 14))
    plane = read_plane(a_slice, raw.shape)
    assert not plane.foreign_bits
    assert (plane.hu == 0).all()


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("RescaleIntercept", (None, "", "x", ["0", "1"], "nan", "1e400"), "E_RESCALE"),
        ("RescaleSlope", (None, "", "1,0", ["1", "1"], "inf"), "E_RESCALE"),
        ("RescaleSlope", ("0", "-1"), "E_SLOPE"),
        ("BitsStored", (None, [12, 12], 0, 17), "E_BITS"),
        ("HighBit", (None, 0, 7), "E_BITS"),
        ("PixelRepresentation", (None, 3), "E_SIGN"),
        ("PhotometricInterpretation", (None, "", "RGB"), "E_PHOTOMETRIC"),
        ("PixelPaddingValue", ([0, 1],), "E_PADDING"),
    ],
)
@pytest.mark.parametrize("implicit", [True, False])
def test_what_gives_no_meaning_to_values_is_a_reason_and_raises_nothing(
    a_slice: Path, name: str, values: tuple[Any, ...], code: str, implicit: bool
) -> None:
    content = encoded(a_slice, implicit=implicit).read_bytes()
    for value in values:
        a_slice.write_bytes(content)
        dataset = dcmread(a_slice)
        tag = tag_for_keyword(name)
        assert tag is not None
        vr = "US" if "Pixel" in name or "Bit" in name else "LO"  # which takes any text
        dataset.pop(name, None)
        if value is not None:
            dataset.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
        dataset.save_as(a_slice)
        assert read_header(a_slice, "x")["reason"] == code, value
        if code in ("E_RESCALE", "E_SLOPE") and value != "-1":
            with pytest.raises(DataError):
                read_hu(a_slice, shape_of(a_slice))


def test_a_table_of_values_is_a_reason_with_a_slope_or_without(a_slice: Path) -> None:
    """Case 23."""

    def tabulate(slice_: Any) -> None:
        item = Dataset()
        item.ModalityLUTType = "HU"
        slice_.ModalityLUTSequence = [item]

    altered(a_slice, tabulate)
    assert read_header(a_slice, "x")["reason"] == "E_MODALITY_LUT"
    edit_slice(a_slice, lambda slice_: delattr(slice_, "RescaleSlope"))
    assert read_header(a_slice, "x")["reason"] == "E_MODALITY_LUT"


def test_all_that_changes_the_meaning_of_a_value_is_in_the_row(a_slice: Path) -> None:
    def change(slice_: Any) -> None:
        slice_.RescaleType, slice_.SliceThickness, slice_.SpacingBetweenSlices = "HU", 5, 2.5
        slice_.ReconstructionDiameter, slice_.LossyImageCompression = 350, "01"
        slice_.ConvolutionKernel, slice_.BitsStored, slice_.HighBit = ["Br64d", "3"], 16, 15
        slice_.add_new("PixelPaddingValue", "US", 7)
        slice_.add_new("PixelPaddingRangeLimit", "US", 9)

    row = read_header(altered(a_slice, change), "x")
    assert row["reason"] is None
    expected = {
        "slope": 1.0,
        "intercept": -1024.0,
        "rescale_type": "HU",
        "bits_stored": 16,
        "high_bit": 15,
        "photometric": "MONOCHROME2",
        "padding": 7,
        "padding_limit": 9,
        "modality_lut": False,
        "lossy": True,
        "thickness_mm": 5.0,
        "between_mm": 2.5,
        "diameter_mm": 350.0,
        "kernel": "Br64d\\3",
    }
    assert {name: row[name] for name in expected} == expected
    assert row["syntax"] == str(dcmread(a_slice).file_meta.TransferSyntaxUID)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (
            {"AcquisitionDate": "20070404", "AcquisitionTime": "235959.9"},
            {"AcquisitionDate": "20070405", "AcquisitionTime": "000001"},
        ),
        (
            {"ContentDate": "20070331", "ContentTime": "235959"},
            {"ContentDate": "20070401", "ContentTime": "000000.5"},
        ),
        (
            {"AcquisitionDateTime": "20071231235959.5+0100"},
            {"AcquisitionDateTime": "20080101000000"},
        ),
        ({"AcquisitionTime": "1000"}, {"AcquisitionTime": "10:00:01"}),
    ],
)
def test_times_sort_over_midnight(
    a_slice: Path, earlier: dict[str, str], later: dict[str, str]
) -> None:
    found = []
    for when in (earlier, later):
        edit_slice(a_slice, lambda slice_, when=when: slice_.update(when))  # type: ignore[misc]
        found.append(read_header(a_slice, "x")["acquired_s"])
    assert 0 < found[1] - found[0] < 5


def test_an_odd_time_is_none(a_slice: Path) -> None:
    for odd in ("noon", "1", "12:", "120000.1234567"):
        altered(a_slice, lambda slice_, odd=odd: setattr(slice_, "AcquisitionTime", odd))  # type: ignore[misc]
        assert read_header(a_slice, "x")["acquired_s"] is None


@pytest.mark.parametrize("name", ["693_J2KI.dcm", "JPEG2000-embedded-sequence-delimiter.dcm"])
def test_compressed_pixels_are_decoded_in_a_child_or_not_at_all(name: str) -> None:
    path = bundled(name)
    (found,) = read_planes_apart([path], shape_of(path))
    if found is not None:  # pydicom in this process is the reference
        assert np.array_equal(found.hu, read_hu(path, shape_of(path)))
    else:
        with pytest.raises(DataError):
            read_hu(path, shape_of(path))


def test_a_slice_that_cannot_be_decoded_does_not_take_others_along() -> None:
    good, bad = bundled("693_J2KI.dcm"), bundled("MR_truncated.dcm")
    first, middle, last = read_planes_apart([good, bad, good], shape_of(good))
    assert middle is None
    assert first is not None
    assert last is not None
    assert np.array_equal(first.hu, last.hu)


@pytest.mark.slow
def test_a_child_that_hangs_is_ended_and_the_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "_START_SECONDS", 8.0)
    good, pipe = bundled("693_J2KI.dcm"), tmp_path / "pipe"
    os.mkfifo(pipe)  # reading it never ends
    first, middle, last = read_planes_apart([good, pipe, good], shape_of(good))
    assert middle is None
    assert first is not None
    assert last is not None
    assert np.array_equal(first.hu, last.hu)


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
    assert list(read_planes_apart([a_slice], (2**15, 2**15))) == [None]


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
        begun = time.process_time()
        found = outcome(path)
        seconds, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
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
