"""Edits that nobody can know of from the files: few, and each with its reason.

They are counted apart from those that end silently, never among those that are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from mutations.headers import HeaderEdit
from support.true_tree import Outcome

__all__ = ["LIMITS", "Limit", "limit_of", "nameless"]


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


def nameless(edit: HeaderEdit, found: Outcome) -> bool:
    """Whether all that was edited has a code, and names neither patient nor series any more.

    A header that cannot be read at all, in a folder of several patients, may be anybody's: the code
    of the file is all that can be said.
    """
    places = [path.relative_to(edit.bench.tree).as_posix() for path in edit.files]
    files = found.files.filter(pl.col("path").is_in(places))
    unknown = files["patient_id"].is_null() & files["series_uid"].is_null()
    return edit.bench.flat and bool((unknown & files["reason"].is_not_null()).all())
