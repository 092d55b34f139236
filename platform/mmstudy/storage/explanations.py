"""Explanations of a trial as they lie in its artifacts: their format, and how to read it.

`<study>/artifacts/<trial>/explanations/` holds `index.json`, the content of an `Explanations`, and
for every explained case

    <case>.png       strip of CT slices, and below it the same under their Grad-CAM
    <case>.map.npy   the whole map, uint8 [slices, rows, columns]; times `cam.scale` it is in logits
    <case>.json      its entry of the index, for a run that goes on

A network that reads no image has no map and no picture, one that reads no table no SHAP values.
The index is written last, so what it names is there. No torch here; the dashboard reads this.

A study folder may come from anywhere: all is checked when it is read, and file names are made of
case names, never taken from the file. Pictures are of patients, whatever the case is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from mmcaf.errors import DataError
from mmcaf.files.untrusted import checked, open_array, open_regular
from mmstudy.errors import MMStudyError
from mmstudy.storage.folder import StudyFolder

__all__ = [
    "FORMAT",
    "Agreement",
    "Attribute",
    "Cam",
    "Chosen",
    "Curve",
    "ExplainedCase",
    "Explanations",
    "Shap",
    "Step",
    "case_of",
    "load",
    "save_case",
    "save_index",
]

T = TypeVar("T")

FORMAT: Final = 1
_PNG = b"\x89PNG\r\n\x1a\n"

Chosen = Literal["most wrong", "least sure", "most sure", "least wrong", "asked for"]
Class = Literal["squamous", "adenocarcinoma"]
_Case = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")]
_Word = Annotated[str, Meta(max_length=80)]
_Real = float  # JSON has neither NaN nor infinity
_Share = Annotated[float, Meta(ge=0, le=1)]
_Rank = Annotated[float, Meta(ge=-1, le=1)]
_Count = Annotated[int, Meta(ge=0)]
_Span = tuple[_Count, _Count]


@dataclass(frozen=True, slots=True)
class Cam:
    """Grad-CAM of a case, for the class the network says."""

    n_slices: _Count
    n_windows: _Count
    side: _Count  # rows and columns of the map, which are those of a window
    shown: tuple[_Count, ...]  # slices of the picture, counted from 0 at the feet
    shown_hu: tuple[_Real, _Real]
    scale: Annotated[float, Meta(ge=0)]  # 0: nothing speaks for the class
    profile: tuple[_Real | None, ...]  # mean of the map on each slice; None where no window lies
    lesion: tuple[_Span, _Span, _Span] | None  # z (last included), x, y in pixels of the map
    inside: _Share | None  # share of the map within the lesion's box
    by_chance: _Share | None  # the box's share of what the windows cover


@dataclass(frozen=True, slots=True)
class Attribute:
    """What one clinical value adds to the logit of squamous carcinoma."""

    name: _Word
    value: _Word  # the patient's, in bands of 5 years and 10 kg
    shap: _Real
    curve: tuple[_Real, ...]  # the case's logit as this value alone moves along the `Curve.x`


@dataclass(frozen=True, slots=True)
class Shap:
    """Exact SHAP values: `base` and all attributes add up to `logit`, but for `error`."""

    base: _Real  # mean logit of this image with the background's clinical rows
    logit: _Real  # mean over the case's windows
    error: _Real
    n_background: _Count  # training rows
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """Rank correlation with the original after a part, and all above it, was randomised."""

    part: _Word
    cam: _Rank | None  # None: undefined, or no such explanation
    shap: _Rank | None


@dataclass(frozen=True, slots=True)
class ExplainedCase:
    """What one fold's network, which did not train on the case, says of it and why."""

    case: _Case
    chosen: Chosen
    fold: _Count
    label: Class
    says: Class  # and this is what is explained by the map
    probability: _Share  # of squamous carcinoma
    stored_probability: _Share  # what the trial had recorded for it
    cam: Cam | None
    shap: Shap | None
    sanity: tuple[Step, ...]  # from the logit's part to all weights
    cells: _Count  # over how many the maps were compared
    made_of: _Word  # digest of weights and settings


@dataclass(frozen=True, slots=True)
class Curve:
    """One attribute's curves in one fold's network, between the 5th and 95th percentile of what it
    was trained on (wider where these would tell a patient), or over all levels if it has such."""

    fold: _Count
    attribute: _Word
    unit: _Word  # or what its levels mean
    x: tuple[_Real, ...]  # in that unit
    outputs: tuple[tuple[_Real, ...], ...]  # the KAN's: one curve for each embedding dimension,
    size: tuple[_Real, ...]  # and how far all are from where the training median puts them;
    # both empty where the network has no KAN
    logit: tuple[_Real, ...]  # mean over the explained cases as this attribute alone moves
    n_cases: _Count
    quantiles: tuple[_Real, ...]  # 5, 25, 50, 75, 95 % of n_train values; () of fewer than 20
    n_train: _Count


@dataclass(frozen=True, slots=True)
class Agreement:
    """A step of the sanity check over all explained cases: medians, with how many are defined."""

    part: _Word
    cam: _Rank | None
    n_cam: _Count
    shap: _Rank | None
    n_shap: _Count


@dataclass(frozen=True, slots=True)
class Explanations:
    """All that was explained of a trial."""

    schema_version: Literal[1]
    number: _Count
    epoch: _Count
    synthetic: bool
    oracle: bool  # windows were placed by annotations
    code_version: _Word
    cases: tuple[ExplainedCase, ...]
    curves: tuple[Curve, ...]  # empty where the network reads no table
    sanity: tuple[Agreement, ...]  # the last step has no learnt weights left

    def picture(self, folder: StudyFolder, case: str) -> Path | None:
        """The strip of a case; None where it has none, or the file is no PNG."""
        path = folder.explanations(self.number) / f"{self._known(case)}.png"
        try:
            with open_regular(checked(path, folder.root)) as file:
                return path if file.read(len(_PNG)) == _PNG else None
        except (OSError, DataError):
            return None

    def map(self, folder: StudyFolder, case: str) -> NDArray[np.uint8] | None:
        """The whole map of a case, [slices, rows, columns]; None where it has none.

        Raises:
            MMStudyError: the file is damaged, or not of the size that the index says.
        """
        cam = next(one for one in self.cases if one.case == self._known(case)).cam
        if cam is None:
            return None
        path = folder.explanations(self.number) / f"{case}.map.npy"
        try:
            found: NDArray[Any] = open_array(checked(path, folder.root))
        except (OSError, DataError) as error:
            raise MMStudyError(_damaged(path, self.number, str(error))) from error
        if found.dtype != np.uint8 or found.shape != (cam.n_slices, cam.side, cam.side):
            raise MMStudyError(_damaged(path, self.number, f"{found.dtype} {list(found.shape)}"))
        return found

    def _known(self, case: str) -> str:
        if all(case != one.case for one in self.cases):
            raise MMStudyError(f"Trial {self.number} has no explanation of case {case!r}.")
        return case


def load(folder: StudyFolder, number: int) -> Explanations | None:
    """The explanations of trial `number`; None where there are none.

    Raises:
        MMStudyError: they are damaged, or of another version; says how to make them anew.
    """
    folder.refresh_files(folder.explanations(number))
    path = folder.explanations(number) / "index.json"
    if not path.exists() and not path.is_symlink():
        return None
    found = _read(folder, path, Explanations, number)
    if found.number != number:
        raise MMStudyError(_damaged(path, number, f"they are of trial {found.number}"))
    return found


def case_of(folder: StudyFolder, number: int, case: str) -> ExplainedCase | None:
    """What an earlier run has made of a case; None where it has nothing that can be used."""
    path = folder.explanations(number) / f"{case}.json"
    try:
        return _read(folder, path, ExplainedCase, number)
    except MMStudyError:
        return None


def save_case(folder: StudyFolder, number: int, case: ExplainedCase) -> None:
    """Write the entry of a case; its map and picture must be there."""
    folder.put_text(folder.explanations(number) / f"{case.case}.json", _text(case))


def save_index(folder: StudyFolder, found: Explanations) -> None:
    """Write the index; everything it names must be there."""
    folder.put_text(folder.explanations(found.number) / "index.json", _text(found))


def _text(value: Explanations | ExplainedCase) -> str:
    """As JSON, without indents, which would double it."""
    return msgspec.json.encode(value, enc_hook=lambda number: number.item()).decode()


def _read(folder: StudyFolder, path: Path, kind: type[T], number: int) -> T:
    try:
        return folder.json(path, kind)
    except MMStudyError as error:
        raise MMStudyError(_damaged(path, number, str(error))) from error


def _damaged(path: Path, number: int, why: str) -> str:
    return (
        f"The explanations of trial {number} cannot be read ({path.name}: {why}). "
        f"`mmstudy explain` makes them anew once {path.parent.name}/ of the trial is deleted."
    )
