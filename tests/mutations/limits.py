"""Edits that nobody can know of from the files: few, and each with its reason.

They are counted apart from those that end silently, never among those that are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mutations.headers import HeaderEdit

__all__ = ["LIMITS", "Limit", "limit_of"]


@dataclass(frozen=True)
class Limit:
    """`reason` says why an edit for which `holds` is true cannot be known."""

    attribute: str
    what: str
    reason: str
    holds: Callable[[HeaderEdit], bool]


def _even(values: Sequence[float] | None, low: float, high: float) -> bool:
    """All the same, and within limits."""
    return bool(values) and max(values) - min(values) < 1e-6 and low < values[0] < high


LIMITS = (
    Limit(
        "RescaleIntercept",
        "less than 50 HU, the same on all slices",
        "air is measured between -1024 and -970 HU, fat and muscle differ by tens of HU between "
        "persons and with contrast agent: no tissue is a ruler of 50 HU",
        lambda edit: _even(edit.offsets(), -50, 50),
    ),
    Limit(
        "RescaleSlope",
        "less than 15 %, the same on all slices",
        "it moves fat by 15 HU and muscle by 8 more than air, which persons differ by",
        lambda edit: _even(edit.factors(), 1 / 1.15, 1.15),
    ),
    Limit(
        "PixelSpacing",
        "less than a factor of 1.5, the same along rows and columns of all slices",
        "chests are between 25 and 50 cm wide, and nothing else in the header is as long",
        lambda edit: _even(edit.factors(), 1 / 1.5, 1.5),
    ),
)


def limit_of(edit: HeaderEdit) -> Limit | None:
    """The limit an edit of all slices lies within."""
    if edit.scope != "all":
        return None
    return next((of for of in LIMITS if of.attribute == edit.attribute and of.holds(edit)), None)
