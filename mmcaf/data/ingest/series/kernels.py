"""How sharp a reconstruction kernel is, told by the name its vendor gave it.

A soft kernel shows the mediastinum and a lesion's inside, a sharp one lung and bone, with noise. A
medium one lies between. What no vendor's naming explains is unknown, never guessed. Names are read
whatever their case and blanks are. Of several values of one header ("Br40d" and "3") those that are
names count, and names that contradict each other are unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

__all__ = ["NAMES", "SHARPNESS", "Names", "Sharpness", "plain_name", "sharpness_of"]

Sharpness = Literal["soft", "medium", "unknown", "sharp"]
SHARPNESS: tuple[Sharpness, ...] = ("soft", "medium", "unknown", "sharp")
"""The order in which kernels are preferred."""

_MEDIUM_FROM, _SHARP_FROM = 50, 60  # Siemens' numbers
_SPLIT = re.compile(r"[\\/,\[\]'\"]")  # values of one header, also as Python prints a list of them
_WITHIN = re.compile(r"[\s_.-]")
_PLAIN = re.compile(r"(?=.*[A-Z])[A-Z0-9+_. -]{1,16}")
_FC_TENS: dict[int, Sharpness] = {0: "soft", 1: "soft", 2: "soft", 3: "sharp", 5: "sharp"}
_FC_TENS |= {6: "soft", 8: "sharp"}


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one vendor that are read alike."""

    vendor: str
    pattern: str  # of the whole name: capitals, without blanks, `_`, `.` and `-`
    sharpness: Sharpness | Callable[[re.Match[str]], Sharpness]
    remark: str  # what the names mean, and where that is said


def _by_siemens_number(found: re.Match[str]) -> Sharpness:
    number = int(found["number"])
    if found["family"].endswith("L") or number >= _SHARP_FROM:  # Bl: for lungs, whatever its number
        return "sharp"
    return "medium" if number >= _MEDIUM_FROM else "soft"


def _by_fc_number(found: re.Match[str]) -> Sharpness:
    return _FC_TENS.get(int(found["number"]) // 10, "unknown")


NAMES: tuple[Names, ...] = (
    Names(
        "Siemens",
        r"(?P<family>[BCDHIJQSU]|[BHPQSU][A-Z])(?P<number>\d\d)[A-Z]{0,2}\d?",
        _by_siemens_number,
        "the number is the sharpness: B30 and B40 standard for tissue, from B50 on sharper, as for "
        "lungs; Bl for lungs (SOMATOM Sensation Cardiac A60, operating instructions; T. Zhou, "
        "Physics Pulse 2025: Siemens reconstruction kernels)",
    ),
    Names(
        "Canon, Toshiba",
        r"FC(?P<number>\d{1,2})[A-Z]*",
        _by_fc_number,
        "FC01 to FC19 body, FC20s and FC60s brain, FC30s bone, FC50s lung, FC80s lung and bone "
        "(FC13 tissue, FC55 lung: synapse.koreamed.org/articles/1099806; the rest as public "
        "programs sort series)",
    ),
    Names(
        "GE",
        r"(?:HD)?(?:SOFT|STANDARD|STND)(?:PLUS|HD)?\d?",
        "soft",
        "the words say it (soft, standard, lung, bone, bone plus measured by T. Matsumoto, SPIE "
        "2007); Detail and Chest lie between Standard and Lung",
    ),
    Names("GE", r"(?:HD)?(?:DETAIL|CHST|CHEST)(?:PLUS|HD)?\d?", "medium", "as above"),
    Names("GE", r"(?:HD)?(?:LUNG|BONE|EDGE|ULTRA)(?:PLUS|HD)*\d?", "sharp", "as above"),
    Names(
        "Philips",
        r"[AB]|[CU][AB]|SMOOTH|(?:BODY)?ROUTINE",
        "soft",
        "A smooth, B standard, C sharp, D detail, E edge, L lung enhanced (B, C, D, E, L measured "
        "by T. Matsumoto, SPIE 2007); before such a letter C hearts, U brains, E and Y bone, lung",
    ),
    Names("Philips", r"C|[CU]C", "medium", "as above"),
    Names(
        "Philips",
        r"[DEL]|[CU]D|E[A-C]|Y[A-F]|YSHARP|YDETAIL|LUNGENHANCED|(?:BODY)?SHARPPLUS",
        "sharp",
        "as above",
    ),
    Names(
        "United Imaging",
        r"[BCHL]V?SOFT[A-D]",
        "soft",
        "body part, word, variant: B_SOFT_B, B_SHARP_C, H_VSHARP_C (headers of public collections)",
    ),
    Names("United Imaging", r"[BCHL]V?SHARP[A-D]", "sharp", "as above"),
    Names("any", r"(?:BODY)?SOFTTISSUE|MEDIASTINUM", "soft", "the words say it"),
    Names("any", r"(?:BODY|VERY|ULTRA)?SHARP", "sharp", "the words say it"),
)
"""Every name that is known, with its source. Hitachi's and Neusoft's numbers have none: unknown."""


def sharpness_of(kernel: str | None) -> Sharpness:
    """How sharp the kernel of this header value is.

    >>> sharpness_of("B31f"), sharpness_of("boneplus"), sharpness_of(r"Br40d\\3"), sharpness_of("7")
    ('soft', 'sharp', 'soft', 'unknown')
    """
    read = {_known(value) for value in _SPLIT.split(kernel or "")} - {"unknown"}
    return read.pop() if len(read) == 1 else "unknown"


def plain_name(kernel: str | None) -> str | None:
    """The name as it may be shown: its first value that looks like one; None for any other text."""
    values = [value.strip() for value in _SPLIT.split(kernel or "")]
    return next((value for value in values if _PLAIN.fullmatch(value.upper())), None)


def _known(value: str) -> Sharpness:
    """Of one value, read as a whole or by its first word ("B31f medium smooth")."""
    text = value.upper().replace("+", "PLUS")
    for part in (text, *text.split()[:1]):
        name = _WITHIN.sub("", part)
        for names in NAMES:
            if found := re.fullmatch(names.pattern, name):
                return (
                    names.sharpness if isinstance(names.sharpness, str) else names.sharpness(found)
                )
    return "unknown"
