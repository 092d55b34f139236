"""What may leave with a report: no patient's name or id, no date, no path, no address of a machine.

Reasons of failures, questions and names are free text and may hold any of them. So every text of a
report passes here, whoever wrote it, and what is found is replaced by the word for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

__all__ = ["Hide", "hiding"]

Hide = Callable[[str], str]

_LEAST = 2  # signs of a name; a shorter one stands in every text
_LEAST_DIGITS = 6  # of a name of digits alone; a shorter one is a number
_WORD = re.compile(r"[A-Za-z0-9]+")
_MONTH, _DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_NAMED = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
# In order: a path may hold a date, and an id. None begins anew within a run of its own signs, which
# would take hours in a long text made for it.
_PATTERNS = (
    (re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]{0,20}://[^\s'\"<>]+"), "[address]"),
    (re.compile(r"(?<![\w/.\])])(?:~|\.{1,2})?/[^\s'\"<>|,;:)\]]+"), "[path]"),
    (re.compile(r"(?<![\w])[A-Za-z]:\\[^\s'\"<>|,;)]+|\\\\[^\s'\"<>|,;)]+"), "[path]"),
    (re.compile(r"(?<![\w.-])[\w.-]+(?:/[\w.-]+){2,}"), "[path]"),
    (re.compile(r"(?<![\w.-])[\w.-]+/[\w.-]*\.[A-Za-z]\w{0,9}\b"), "[path]"),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+){3,}(?![\w])"), "[UID]"),
    (re.compile(r"\b(?:19|20)\d\d-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?"), "[date]"),
    (re.compile(rf"(?<!\d)(?:19|20)\d\d([-._]){_MONTH}\1{_DAY}(?!\d)"), "[date]"),
    (re.compile(rf"(?<![\d.]){_DAY}([-._]){_MONTH}\1(?:19|20)\d\d(?![\d.])"), "[date]"),
    (
        re.compile(rf"(?<!\d)(?:19|20)\d\d{_MONTH}{_DAY}(?:[0-2]\d(?:[0-5]\d){{1,2}})?(?!\d)"),
        "[date]",
    ),
    (re.compile(rf"(?<!\d)(?:\d\d? )?{_NAMED} (?:\d\d?,? )?(?:19|20)\d\d(?!\d)"), "[date]"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?\b"), "[time]"),
    (re.compile(r"(?:Lung_Dx-)?(?<![A-Za-z0-9])[ABEG][09]\d{3}(?![A-Za-z0-9])", re.I), "[patient]"),
)


def hiding(patients: Iterable[str], machines: Iterable[str] = ()) -> Hide:
    """A function that replaces in a text what must not leave.

    >>> hide = hiding(["4f2a9c"], ["node7"])
    >>> hide("4f2a9c of A0001 lay in /data/x.npy on node7 on 2026-01-31, 10/15 of 1.2.840.113.7")
    '[patient] of [patient] lay in [path] on [machine] on [date], 10/15 of [UID]'

    Args:
        patients: names of cases, ids and UIDs.
        machines: names of machines.
    """
    named = dict.fromkeys(machines, "[machine]") | dict.fromkeys(patients, "[patient]")
    known = {name: word for name, word in named.items() if _tells(name)}
    words = {name: word for name, word in known.items() if _WORD.fullmatch(name)}
    others = sorted((name for name in known if name not in words), key=len, reverse=True)

    def hide(text: str) -> str:
        for name in others:
            if name in text:
                text = text.replace(name, known[name])
        for pattern, word in _PATTERNS:
            text = pattern.sub(word, text)
        return _WORD.sub(lambda found: words.get(found[0], found[0]), text)

    return hide


def _tells(name: str) -> bool:
    return len(name) >= (_LEAST_DIGITS if name.isdigit() else _LEAST)
