"""What can be done about a patient that was left out: a sentence for each code that has one."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["REMEDIES", "remedy"]

_BY_CODECS = ("JPEG Lossless", "JPEG-LS", "JPEG 2000")
_CODECS = "`pip install mmcaf-study[codecs]`"
_ELSE = f"export them uncompressed; {_CODECS} reads {', '.join(_BY_CODECS)}."
_AGAIN = "Download or copy the files again."
REMEDIES: dict[str, str] = {
    "E_NO_ACCESS": "Have the rights changed, or copy the files there as your own.",
    "E_EMPTY": _AGAIN,
    "E_COMPANION": "Copy the files that these belong to.",
    "E_SYMLINK": "Put the files themselves in the place of the links.",
    "E_NOT_DICOM": "Give the folder that the DICOM files lie in.",
    "E_UNREADABLE": _AGAIN,
    "E_PIXEL_LEN": _AGAIN,
    "E_DECODE": _AGAIN,
    "E_TS_UNSUPPORTED": f"{_ELSE[0].upper()}{_ELSE[1:]}",
    "E_PATIENT_ID": "Write the collection's ids (Lung_Dx-A0002) back into PatientID.",
    "E_PID_FOLDER_MISMATCH": "Move the files to the patient that PatientID names, or correct it.",
    "E_NO_UID": "Export the files again, with their UIDs.",
    "E_NO_IPP": "Export the files again, with position, orientation and spacing.",
    "E_DUP_SOP_CONFLICT": "Keep the copy that is right: give one of the sources only.",
    "E_FEW_SLICES": "Look whether the download is complete.",
    "E_NO_IMAGES": "Give the folder of the patient's images too, if they are to be used.",
}
"""Code -> what to do; `remedy` knows more of `E_TS_UNSUPPORTED`."""
_SYNTAXES = {
    "1.2.840.10008.1.2.1.99": "deflated",
    "1.2.840.10008.1.2.5": "RLE",
    "1.2.840.10008.1.2.4.50": "JPEG Baseline",
    "1.2.840.10008.1.2.4.51": "JPEG Extended",
    "1.2.840.10008.1.2.4.57": "JPEG Lossless",
    "1.2.840.10008.1.2.4.70": "JPEG Lossless",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
}


def remedy(code: str, files: int, syntaxes: Mapping[str, int]) -> str | None:
    """What to do about a patient with that reason, or None where nothing can be done.

    Args:
        code: the patient's reason.
        files: how many of the patient's files have it.
        syntaxes: transfer syntax -> files that were refused for it; "" where it is not known.

    >>> remedy("E_TS_UNSUPPORTED", 24, {"1.2.840.10008.1.2.4.70": 24})
    '24 files are JPEG Lossless: `pip install mmcaf-study[codecs]` reads them.'
    """
    if code != "E_TS_UNSUPPORTED":
        return REMEDIES.get(code)
    counts: dict[str, int] = {}
    for uid, count in syntaxes.items():
        name = _SYNTAXES.get(uid, "compressed in another way")
        counts[name] = counts.get(name, 0) + count
    return (
        " ".join(
            f"{count} {'file is' if count == 1 else 'files are'} {name}: {_reader(name)}"
            for name, count in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
            if count
        )
        or f"{files} files are compressed: {_reader('')}"
    )


def _reader(name: str) -> str:
    if name in _BY_CODECS:
        return f"{_CODECS} reads them."
    return _ELSE
