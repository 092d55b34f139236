"""What this library raises when it is the input that is wrong, not the code."""

from __future__ import annotations

__all__ = ["DataError"]


class DataError(Exception):
    """Data a user gave cannot be used: says what was wrong, what was found and what to do."""
