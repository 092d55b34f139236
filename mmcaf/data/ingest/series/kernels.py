"""How sharp a reconstruction kernel is, told by the name its vendor gave it.

A soft kernel shows the mediastinum and a lesion's inside, a sharp one lung and bone, with noise. A
medium one lies between. What no vendor's naming explains is unknown, never guessed. Names are read
whatever their case and blanks are. Of several values of one header ("Br40d" and "3") those that are
names count, and names that contradict each other are unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["NAMES", "SHARPNESS", "Names", "Sharpness", "plain_name", "sharpness_of"]

Sharpness = Literal["soft", "medium", "unknown", "sharp"]
SHARPNESS: tuple[Sharpness, ...] = ("soft", "medium", "unknown", "sharp")
"""The order in which kernels are preferred."""

_SPLIT = re.compile(r"[\\/,\[\]'\"]")  # values of one header, also as Python prints a list of them
_WITHIN = re.compile(r"[\s_.-]")
_PLAIN = re.compile(r"(?=.*[A-Z])[A-Z0-9+_. -]{1,24}")
_SIEMENS = r"(?:[BCDHIJQSU]|[BHPQSU][A-Z])"  # body, head, ...; of newer scanners with its variant
_END = r"[A-Z]{0,2}\d?"
_SOFT_WORD = r"\b(?:SOFT|SMOOTH|STANDARD|MEDIASTINUM)\b"
_SHARP_WORD = r"\b(?:LUNG|BONE|SHARP|EDGE)(?:PLUS)?\b"


@dataclass(frozen=True, slots=True)
class Names:
    """Names of one vendor that are read alike."""

    vendor: str
    sharpness: Sharpness
    pattern: str  # of the whole name: capitals, without blanks, `_`, `.` and `-`, or words of it
    examples: str
    remark: str = "as above"  # what the names mean, and where that is said


NAMES: tuple[Names, ...] = (
    Names(
        "Siemens",
        "sharp",
        rf"BL\d\d{_END}",
        "Bl57d, Bl64",
        "Bl is for lungs (T. Zhou, Physics Pulse 2025: Siemens reconstruction kernels)",
    ),
    Names(
        "Siemens",
        "soft",
        rf"{_SIEMENS}[0-4]\d{_END}",
        "B30f, B31f, B45f, I31f, Br40d, Qr40",
        "the number is the sharpness: 30 and 40 are for tissue, from 50 on for lungs too (SOMATOM "
        "Sensation Cardiac A60, operating instructions, body kernels)",
    ),
    Names("Siemens", "medium", rf"{_SIEMENS}5\d{_END}", "B50f, Br59"),
    Names("Siemens", "sharp", rf"{_SIEMENS}[6-9]\d{_END}", "B60f, B70s, I70f, Br64d, Ur77"),
    Names(
        "Canon, Toshiba",
        "soft",
        r"FC[0126]?\d[A-Z]*",
        "FC03, FC08, FC13, FC18-H",
        "FC01 to FC19 body, FC20s and FC60s brain, FC30s bone, FC50s lung, FC80s lung and bone "
        "(FC13 tissue, FC55 lung: synapse.koreamed.org/articles/1099806; the rest as public "
        "programs sort series)",
    ),
    Names("Canon, Toshiba", "sharp", r"FC[358]\d[A-Z]*", "FC30, FC51, FC52, FC81, FC86"),
    Names(
        "GE",
        "soft",
        r"(?:HD)?(?:SOFT|STANDARD|STND)(?:PLUS|HD)?\d?",
        "SOFT, STANDARD",
        "the words say it (soft, standard, lung, bone, bone plus measured by T. Matsumoto, SPIE "
        "2007); Detail and Chest lie between Standard and Lung",
    ),
    Names("GE", "medium", r"(?:HD)?(?:DETAIL|CHST|CHEST)(?:PLUS|HD)?\d?", "DETAIL, CHST"),
    Names(
        "GE",
        "sharp",
        r"(?:HD)?(?:LUNG|BONE|EDGE|ULTRA)(?:PLUS|HD)*\d?",
        "LUNG, BONE, BONEPLUS, EDGE, ULTRA",
    ),
    Names(
        "Philips",
        "soft",
        r"[AB]|[CU][AB]",
        "A, B, CB, UB",
        "A smooth, B standard, C sharp, D detail, E edge, L lung enhanced (B, C, D, E, L measured "
        "by T. Matsumoto, SPIE 2007); before such a letter C hearts, U brains, E and Y bone, lung",
    ),
    Names("Philips", "medium", r"C|[CU]C", "C, UC"),
    Names(
        "Philips",
        "sharp",
        r"[DEL]|[CU]D|E[A-C]|Y[A-F]|YSHARP|YDETAIL|LUNGENHANCED",
        "D, E, L, EC, YA, YB, YC, YD, Y-Sharp, Lung Enhanced",
    ),
    Names(
        "United Imaging",
        "soft",
        r"[BCHL]V?SOFT[A-D]",
        "B_SOFT_B, B_VSOFT_C",
        "body part, word, variant (headers of public collections)",
    ),
    Names("United Imaging", "sharp", r"[BCHL]V?SHARP[A-D]", "B_SHARP_C, B_VSHARP_B"),
    Names(
        "any",
        "sharp",
        rf"(?!.*{_SOFT_WORD}).*{_SHARP_WORD}.*",
        "Body Sharp, FIRST LUNG, IMR Sharp+",
        "a word of the name says it, and none says else",
    ),
    Names(
        "any", "soft", rf"(?!.*{_SHARP_WORD}).*{_SOFT_WORD}.*", "Soft Tissue, IMR Soft, Body Smooth"
    ),
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
    """The name as it may be shown: a known one, or a text that can be nothing else, or None."""
    values = [value.strip() for value in _SPLIT.split(kernel or "")]
    known = [value for value in values if _known(value) != "unknown"]
    first = (kernel or "").split("\\")[0].strip()
    return next((of for of in (*known, first) if _PLAIN.fullmatch(of.upper())), None)


def _known(value: str) -> Sharpness:
    """Of one value, read as a whole, by its first word ("B31f medium smooth") and by its words."""
    words = [word for word in _WITHIN.split(value.upper().replace("+", "PLUS")) if word]
    first = [word for word in words[:1] if re.search(r"\d", word)]  # a word alone may be a part
    for name in ("".join(words), *first, " ".join(words)):
        for names in NAMES:
            if re.fullmatch(names.pattern, name):
                return names.sharpness
    return "unknown"
