"""Slices written again in compressed transfer syntaxes, by encoders that lose nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

__all__ = ["SYNTAXES", "compress", "jpeg_lossless", "put_stream"]

_JPEG = "1.2.840.10008.1.2.4."
_BY_GDCM = {  # a lossless stream is valid where loss is allowed, too
    f"{_JPEG}80": gdcm.TransferSyntax.JPEGLSLossless,
    f"{_JPEG}81": gdcm.TransferSyntax.JPEGLSLossless,
    f"{_JPEG}90": gdcm.TransferSyntax.JPEG2000Lossless,
    f"{_JPEG}91": gdcm.TransferSyntax.JPEG2000Lossless,
}
SYNTAXES = (str(RLELossless), f"{_JPEG}57", f"{_JPEG}70", *_BY_GDCM)


def compress(path: Path, syntax: str) -> None:
    """Write a slice anew in a compressed syntax, with the same stored values."""
    if syntax in _BY_GDCM:
        _by_gdcm(path, syntax)
        return
    dataset = dcmread(path)
    if syntax == RLELossless:
        uid = dataset.SOPInstanceUID
        dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
        assert uid == dataset.SOPInstanceUID
        dataset.save_as(path)
        return
    predictor = 1 if syntax.endswith("70") else 5
    put_stream(path, syntax, jpeg_lossless(dataset.pixel_array, dataset.BitsStored, predictor))


def put_stream(path: Path, syntax: str, stream: bytes) -> None:
    """Put a compressed stream in the place of a slice's pixels."""
    dataset = dcmread(path)
    if dataset.is_implicit_VR:
        dataset.decode()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate([stream])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(path, implicit_vr=False, little_endian=True)


def _by_gdcm(path: Path, syntax: str) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(_BY_GDCM[syntax]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    del dataset.RescaleType  # GDCM writes that it is unspecified
    dataset.save_as(path)


def jpeg_lossless(stored: NDArray[Any], bits: int, predictor: int = 1) -> bytes:
    """A JPEG stream of process 14 (ITU-T T.81, annex H) with one fixed code for all categories."""
    values = stored.astype(np.int64) & (2**bits - 1)
    rows, columns = values.shape
    difference = (values - _predicted(values, bits, predictor)) & 0xFFFF
    words = []
    for number in np.where(difference > 2**15, difference - 2**16, difference).ravel().tolist():
        category = abs(number).bit_length()
        words.append(format(category, "05b"))
        if 0 < category < 16:  # of 2^15 the category says all
            rest = number if number > 0 else number + 2**category - 1
            words.append(format(rest, f"0{category}b"))
    text = "".join(words)
    text += "1" * (-len(text) % 8)
    coded = int(text, 2).to_bytes(len(text) // 8).replace(b"\xff", b"\xff\x00")
    sides = rows.to_bytes(2) + columns.to_bytes(2)
    frame = b"\xff\xc3\x00\x0b" + bytes([bits]) + sides + b"\x01\x01\x11\x00"
    table = b"\xff\xc4\x00\x24\x00" + bytes([0, 0, 0, 0, 17] + 11 * [0]) + bytes(range(17))
    scan = b"\xff\xda\x00\x08\x01\x01\x00" + bytes([predictor, 0, 0])
    return b"\xff\xd8" + frame + table + scan + coded + b"\xff\xd9"


def _predicted(values: NDArray[np.int64], bits: int, predictor: int) -> NDArray[np.int64]:
    left, above, corner = (np.zeros_like(values) for _ in range(3))
    left[:, 1:], above[1:], corner[1:, 1:] = values[:, :-1], values[:-1], values[:-1, :-1]
    predicted = left.copy() if predictor == 1 else left + ((above - corner) >> 1)
    predicted[0, 1:], predicted[1:, 0] = values[0, :-1], values[:-1, 0]
    predicted[0, 0] = 2 ** (bits - 1)
    return predicted
