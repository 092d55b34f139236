"""What this library raises when it is the input that is wrong, not the code."""

from __future__ import annotations

__all__ = ["CohortError", "DataError"]


class DataError(Exception):
    """Data a user gave cannot be used: says what was wrong, what was found and what to do."""


class CohortError(DataError):
    """A cohort cannot be read, or is not what was ingested: no trial on it would mean anything."""
