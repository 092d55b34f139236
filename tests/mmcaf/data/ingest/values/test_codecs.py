"""Compressed slices give the HU of the uncompressed ones, bit for bit, or none."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames

from mmcaf.data.ingest.decode import read_planes_apart
from mmcaf.data.ingest.dicom import read_header, read_hu
from mmcaf.data.ingest.run import ingest
from mmcaf.data.ingest.values.codecs import COMPRESSED, decoder_of
from mmcaf.data.synthetic.write import SyntheticSpec, edit_slice, write
from mmcaf.errors import DataError
from support.compressed import SYNTAXES, compress, jpeg_lossless, put_stream

SIDES = (40, 48)
LOSSLESS, FIRST_ORDER, JPEG_LS, J2K = (
    f"1.2.840.10008.1.2.4.{number}" for number in ("57", "70", "80", "90")
)
LOSSY = "1.2.840.10008.1.2.4.51"
WITHOUT_GDCM = "import sys; sys.modules['gdcm'] = None\n"


@pytest.fixture
def a_slice(dicom_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(next(dicom_folder.rglob("*.dcm")), tmp_path / "slice.dcm"))


def stored(path: Path, bits: int, *, signed: bool) -> np.ndarray[Any, Any]:
    """Make a slice whose values fill all its bits; no square, so that sides cannot be confused."""
    random = np.random.default_rng(bits + signed)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    values = np.rint(random.normal((low + high) / 2, (high - low) / 20, SIDES))
    values[3:5] = random.integers(low, high, (2, SIDES[1]))
    values[0, :3] = (low, high - 1, low)
    raw = values.astype("<i2" if signed else "<u2")

    def change(slice_: Any) -> None:
        slice_.PixelData = raw.tobytes()
        slice_.Rows, slice_.Columns = SIDES
        slice_.BitsStored, slice_.HighBit = bits, bits - 1
        slice_.PixelRepresentation = int(signed)
        slice_.RescaleIntercept = {12: -1024, 16: -32768}[bits] if not signed else 0

    edit_slice(path, change)
    return raw


def header_reason(path: Path) -> str | None:
    reason: str | None = read_header(path, "x")["reason"]
    return reason


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("bits", "signed"), [(12, False), (16, True), (12, True), (16, False)])
def test_every_syntax_gives_what_was_stored(
    a_slice: Path, syntax: str, bits: int, signed: bool
) -> None:
    stored(a_slice, bits, signed=signed)
    true = read_hu(a_slice, SIDES)
    assert len(np.unique(true)) > 100
    compress(a_slice, syntax)
    header = read_header(a_slice, "x")
    assert (header["reason"], header["syntax"]) == (None, syntax)
    assert np.array_equal(read_hu(a_slice, SIDES), true)


def test_the_child_gives_the_same_for_all_syntaxes(a_slice: Path) -> None:
    stored(a_slice, 16, signed=True)
    true = read_hu(a_slice, SIDES)
    paths = [Path(shutil.copy(a_slice, a_slice.with_name(name))) for name in SYNTAXES]
    for path, syntax in zip(paths, SYNTAXES, strict=True):
        compress(path, syntax)
    planes = list(read_planes_apart(paths, SIDES))
    assert [plane is not None and np.array_equal(plane.hu, true) for plane in planes] == 7 * [True]


def test_all_that_is_read_is_tested() -> None:
    assert set(SYNTAXES) == COMPRESSED.keys()
    assert all(decoder_of(syntax) for syntax in COMPRESSED)
    assert decoder_of(LOSSY) is None


def damaged(path: Path, syntax: str, harm: Callable[[bytes], bytes]) -> Path:
    compress(path, syntax)
    put_stream(path, syntax, harm(next(generate_frames(dcmread(path).PixelData))))
    return path


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("part", [0.5, 0.95])
def test_a_stream_that_is_cut_off_is_no_slice(a_slice: Path, syntax: str, part: float) -> None:
    stored(a_slice, 12, signed=False)
    damaged(a_slice, syntax, lambda stream: stream[: int(part * len(stream))])
    assert header_reason(a_slice) is None  # nobody can tell yet
    assert list(read_planes_apart([a_slice], SIDES)) == [None]


def test_what_a_decoder_complains_of_is_no_slice(a_slice: Path) -> None:
    """A stream out of step gives an image all the same, of half the right values."""
    stored(a_slice, 12, signed=False)
    good = Path(shutil.copy(a_slice, a_slice.with_name("good.dcm")))
    compress(good, FIRST_ORDER)
    bad = damaged(a_slice, FIRST_ORDER, lambda s: s[:900] + bytes(100) + s[900:])
    assert (read_hu(bad, SIDES) != read_hu(good, SIDES)).any()  # by itself it passes
    first, second = read_planes_apart([bad, good], SIDES)
    assert first is None
    assert second is not None


def test_a_stream_of_other_sides_is_no_slice(a_slice: Path) -> None:
    raw = stored(a_slice, 12, signed=False)
    put_stream(a_slice, FIRST_ORDER, jpeg_lossless(raw.reshape(SIDES[::-1]), 12))
    with pytest.raises(DataError, match=r"\(48, 40, 1\), the header says \(40, 48, 1\)"):
        read_hu(a_slice, SIDES)


def test_rle_of_more_rows_than_the_header_says_is_no_slice(a_slice: Path) -> None:
    stored(a_slice, 12, signed=False)
    compress(a_slice, SYNTAXES[0])
    edit_slice(a_slice, lambda slice_: setattr(slice_, "Rows", SIDES[0] - 1))
    assert header_reason(a_slice) is None
    with pytest.raises(DataError, match="RLE gives 1920 values, the header's sides need 1872"):
        read_hu(a_slice, (SIDES[0] - 1, SIDES[1]))


def test_fewer_bits_than_a_sign_needs_are_no_slice(a_slice: Path) -> None:
    raw = stored(a_slice, 16, signed=True)
    put_stream(a_slice, FIRST_ORDER, jpeg_lossless(raw, 12))
    with pytest.raises(DataError, match="12 bits of the stream cannot hold the header's sign"):
        read_hu(a_slice, SIDES)


def test_more_bits_in_the_stream_than_are_stored_change_nothing(a_slice: Path) -> None:
    raw = stored(a_slice, 12, signed=True)
    true = read_hu(a_slice, SIDES)
    put_stream(a_slice, LOSSLESS, jpeg_lossless(raw, 16))
    assert np.array_equal(read_hu(a_slice, SIDES), true)


def test_a_lossy_stream_under_a_lossless_name_is_no_slice(a_slice: Path) -> None:
    raw = stored(a_slice, 12, signed=False)
    stream = jpeg_lossless(raw, 12).replace(b"\xff\xc3", b"\xff\xc1", 1)
    put_stream(a_slice, FIRST_ORDER, stream)
    with pytest.raises(DataError, match="not lossless"):
        read_hu(a_slice, SIDES)


@pytest.mark.parametrize("stream", [b"", b"\xff\xd8", b"\xff\x4f\xff\x51\x00", b"\xff\xd8" * 99])
@pytest.mark.parametrize("syntax", [FIRST_ORDER, JPEG_LS, J2K])
def test_a_stream_of_next_to_nothing_is_no_slice(a_slice: Path, syntax: str, stream: bytes) -> None:
    put_stream(a_slice, syntax, stream + bytes(8))
    with pytest.raises(DataError):
        read_hu(a_slice, SIDES)


@pytest.mark.parametrize("syntax", [LOSSY, "1.2.840.10008.1.2.4.102", "1.2.840.113619.5.2", "1.2"])
def test_what_is_refused_says_whose_it_is(a_slice: Path, syntax: str) -> None:
    before = read_header(a_slice, "x")
    put_stream(a_slice, syntax, bytes(99) + b"1")
    after = read_header(a_slice, "x")
    names = ("patient_id", "study_uid", "series_uid", "sop_uid", "sop_class")
    assert (after["reason"], after["syntax"]) == ("E_TS_UNSUPPORTED", syntax)
    assert [after[name] for name in names] == [before[name] for name in names]
    assert all(before[name] for name in names)


def test_what_is_no_ct_says_whose_it_is(a_slice: Path) -> None:
    before = read_header(a_slice, "x")
    edit_slice(a_slice, lambda slice_: setattr(slice_, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.4"))
    after = read_header(a_slice, "x")
    assert after["reason"] == "E_SOP_CLASS"
    assert after["patient_id"] == before["patient_id"] is not None
    assert after["series_uid"] == before["series_uid"]


def test_without_the_extra_the_files_wait_for_it(tmp_path: Path) -> None:
    """Case 12: all files of a patient are JPEG Lossless. Named without a decoder, read with it."""
    tree, out = tmp_path / "tree", tmp_path / "out"
    write(tree, SyntheticSpec(patients=4, size=48, slices=12, seed=5))
    plain = ingest([tree], tmp_path / "plain", in_plane_px=48, workers=1)
    name = sorted(plain.patients["patient_id"])[-1]
    for path in tree.rglob(f"Lung_Dx-{name}/*/*/*.dcm"):
        compress(path, FIRST_ORDER)
    code = (
        f"{WITHOUT_GDCM}from pathlib import Path\nfrom mmcaf.data.ingest.run import ingest\n"
        f"ingest([Path({str(tree)!r})], Path({str(out)!r}), in_plane_px=48, workers=1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    report = json.loads((out / "ingest_report.json").read_text("utf-8"))
    assert name in {one["patient_id"] for one in report["excluded"]}
    files = pl.read_parquet(out / "instances.parquet").filter(pl.col("patient_id") == name)
    assert set(files["reason"]) == {"E_TS_UNSUPPORTED"}
    assert set(files["syntax"]) == {FIRST_ORDER}
    read = ingest([tree], out, in_plane_px=48, workers=1)  # here the decoder is there
    columns = ("patient_id", "lesion_hu", "n_slices", "qc_flags")
    assert read.patients.select(columns).equals(plain.patients.select(columns))
