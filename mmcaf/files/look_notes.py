"""Who looked at which test patients of a cohort: a note in its folder for every look.

A test set that was looked at again and again is one of validation, whichever studies looked. The
notes lie with the patients, so they count for studies in any folder, and for those that were
deleted since. They name cases by their keyed hashes, and are for the cohort's own user.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from mmcaf.errors import DataError
from mmcaf.files.atomic import StorageError, write_json
from mmcaf.files.remote import origin
from mmcaf.files.untrusted import decode, read_bytes, straight

__all__ = ["Look", "looks_folder", "note_look", "noted_looks"]

_MOST_NOTES = 10_000
_MOST_BYTES = 1 << 28  # of all notes together
_Name = Annotated[str, Meta(min_length=1, max_length=300, pattern=r"^[^\x00]*$")]
_Case = Annotated[str, Meta(min_length=1, max_length=200)]
_Time = Annotated[str, Meta(pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9:.]{8,15}(\+00:00|Z)$")]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the test patients of a study with one of its trials."""

    study: _Name
    trial: Annotated[int, Meta(ge=0, le=2**31)]
    written: _Time  # when, UTC; with the trial, what tells looks apart
    cases: Annotated[tuple[_Case, ...], Meta(max_length=100_000)]

    def __post_init__(self) -> None:
        datetime.fromisoformat(self.written)  # a ValueError, which makes a note damaged


def looks_folder(folder: Path) -> Path:
    """Where the notes of the cohort in `folder` lie."""
    return folder / "looks"


def note_look(folder: Path, look: Look) -> str | None:
    """Note a look in the folder of its cohort; why it could not be noted, as a clause, or None."""
    if origin(folder) is not None:
        return "the cohort lies in a store, where nothing is written"
    when = "".join(sign for sign in look.written if sign.isdigit())
    path = looks_folder(folder) / f"{when}-{look.trial:05d}.json"
    try:
        write_json(straight(path, folder), msgspec.to_builtins(look))
    except (StorageError, DataError) as error:
        return str(error).rstrip(".")
    return None


def noted_looks(folder: Path) -> tuple[list[Look], list[str]]:
    """Every look that was noted in the cohort's folder, in order, and what cannot be read, as
    sentences: a damaged note hides no other.

    Raises:
        DataError: the folder of notes cannot be looked into, or a link lies in the way.
    """
    below = straight(looks_folder(folder) / "any", folder).parent
    try:
        with os.scandir(below) as entries:
            names = sorted(one.name for one in entries if one.name.endswith(".json"))
    except FileNotFoundError:
        return [], []
    except OSError as error:
        raise DataError(f"Cannot look into {below}: {error.strerror}. Look whose it is.") from error
    return _read(below, names)


def _read(below: Path, names: Sequence[str]) -> tuple[list[Look], list[str]]:
    found, damaged, size = list[Look](), list[str](), 0
    remedy = "Look what it is; notes are written by `mmstudy evaluate` alone."
    for count, name in enumerate(names):
        if count == _MOST_NOTES or size > _MOST_BYTES:
            damaged.append(f"{below} holds {len(names)} notes; only the first {count} are read.")
            break
        try:
            text = read_bytes(below / name)
            size += len(text)
            found.append(decode(text, Look, source=str(below / name), remedy=remedy))
        except (DataError, FileNotFoundError) as error:
            damaged.append(str(error))
    return found, damaged
