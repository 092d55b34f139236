"""`study.json`: what a study is, written when it begins, compared when it goes on."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from mmcaf.data.cohort import Cohort
from mmcaf.data.node_cache import known_cohort
from mmcaf.data.splits import Split
from mmcaf.files.remote import address_of, origin, place
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.provenance import code_version, versions
from mmstudy.storage.folder import StudyFolder
from mmstudy.storage.schema import SCHEMA_VERSION, Count, Source, Text, Value

if TYPE_CHECKING:
    from mmstudy.spec.sections import TrialConfig
    from mmstudy.spec.study_spec import StudySpec

__all__ = ["About", "Searched", "check_continues", "cohort_place", "read_about", "write_about"]

# What may change while a study goes on.
_FREE = ("question", "cohort", "search.trials", "limits", "resources")
_BESIDE = re.compile(r"(\.\./){1,2}(?!\.\.?$)[^/\0]+")
_Way = Annotated[str, Meta(max_length=4096, pattern=r"^[^\x00]*$")]
_Bounds = tuple[float, float]


class _Version(msgspec.Struct, frozen=True, kw_only=True):
    schema_version: Any = None


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """`study.json`; what is not named here is for humans."""

    schema_version: Any = None
    synthetic: bool
    question: Text
    created: Annotated[str, Meta(max_length=64)] = ""
    spec: dict[str, Any]
    split: Split
    cohort: _Way | None = None
    cohort_digest: Annotated[str, Meta(max_length=128)] | None = None
    n_cases: Count | None = None
    shared: _Way | None = None
    train_positive: tuple[Count, ...] | None = None
    sources: Annotated[tuple[Source, ...], Meta(max_length=1000)] = ()


class _Search(msgspec.Struct, frozen=True, kw_only=True):
    trials: Count = 0
    enqueue: list[Any] | dict[str, Any] = msgspec.field(default_factory=list)
    warm_start: Text | None = None
    objectives: tuple[Literal["auroc", "seconds_per_epoch", "parameters"], ...] | None = None


class _Protocol(msgspec.Struct, frozen=True, kw_only=True):
    kind: Text = "kfold"


class _Train(msgspec.Struct, frozen=True, kw_only=True):
    epochs: Count = 0


class _Model(msgspec.Struct, frozen=True, kw_only=True):
    name: Text = "mmcaf_net"


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    location: Text | None = None


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """A searched dimension as it was written: a range of real or of whole numbers, or options."""

    real: _Bounds | None = msgspec.field(default=None, name="float")
    whole: _Bounds | None = msgspec.field(default=None, name="int")
    log: bool = False
    choice: Annotated[tuple[Value, ...], Meta(max_length=100_000)] = ()


class _Outline(msgspec.Struct, frozen=True, kw_only=True):
    """What readers of tables ask of a spec, typed; all of it is checked by `About.spec` alone."""

    search: _Search = _Search()
    protocol: _Protocol = _Protocol()
    train: _Train = _Train()
    model: _Model = _Model()
    data: _Data = _Data()
    space: dict[Text, Searched] = {}


@dataclass(frozen=True, kw_only=True)  # no slots: the spec is parsed at most once, when asked for
class About:
    """What `study.json` says, with defaults where an earlier version said nothing."""

    name: str  # the folder's
    schema_version: int
    synthetic: bool  # whether any patient is
    question: str
    created: str  # ISO time; empty where unknown
    split: Split
    cohort: str | None  # an address, or the way from the study's folder
    cohort_digest: str | None
    n_cases: int
    shared: str | None  # the way to earlier stages of several studies
    written: Mapping[str, Any]  # the spec with every default, as it was kept
    # Squamous ones among each fold's training cases; None: an earlier version did not say.
    train_positive: tuple[int, ...] | None = None
    sources: tuple[Source, ...] = ()  # studies that the search began from, and theirs

    @cached_property
    def spec(self) -> StudySpec:
        """The spec, checked: settings an earlier version did not know have their defaults.

        Raises:
            UsageError: this version cannot read it; lists every fault.
        """
        # Imported when asked for: pydantic takes longer than everything a reader of tables needs.
        from mmstudy.spec.study_spec import parse_spec

        return parse_spec(self.written, source=f"the spec of {self.name}", begun=True)

    def config(self, params: Mapping[str, Any]) -> TrialConfig:
        """The configs of a trial with `params` (dotted path -> value), checked.

        Raises:
            MMStudyError: this version cannot read the spec, or the params are not of it.
        """
        from mmstudy.spec.study_spec import trial_config

        try:
            return trial_config(self.spec, params, constrained=False)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise MMStudyError(
                f"The params are none of the spec of {self.name}: {error}"
            ) from error

    @property
    def asked(self) -> int:
        """Number of trials asked for."""
        return self._outline.search.trials

    @property
    def objectives(self) -> tuple[str, ...]:
        """What the search is for, `auroc` first where nothing else is said."""
        return self._outline.search.objectives or ("auroc",)

    @property
    def points(self) -> int:
        """Number of points that the spec itself gives to be tried first."""
        given = self._outline.search.enqueue
        return len(given) if isinstance(given, list) else 0

    @property
    def unrecorded(self) -> bool:
        """Whether the search began from a study of which no record was kept, as before 0.2.0."""
        search = self._outline.search
        named = search.warm_start is not None or isinstance(search.enqueue, dict)
        return named and not self.sources

    @property
    def protocol(self) -> str:
        """How cases were split: holdout, kfold or paper43."""
        return self._outline.protocol.kind

    @property
    def epochs(self) -> int:
        """Epochs planned for each fold of a trial, unless the space says otherwise."""
        return self._outline.train.epochs

    @property
    def space(self) -> Mapping[str, Searched]:
        """Dotted path -> the dimension that is searched."""
        return self._outline.space

    @property
    def network(self) -> str:
        """The name of the network that is studied."""
        return self._outline.model.name

    @property
    def oracle(self) -> bool:
        """Whether any trial looks where the annotated lesion is, which no scanner delivers."""
        if self.network == "lesion_box":  # reads nothing else
            return True
        searched = self._outline.space.get("data.location")
        options = searched.choice if searched else ()
        return "oracle" in (self._outline.data.location, *options)

    @cached_property
    def _outline(self) -> _Outline:
        """Of the spec, which was looked at when the file was read."""
        return msgspec.convert(self.written, _Outline)

    def check_cohort(self, cohort: Cohort) -> None:
        """Refuse a cohort of other content than the study was begun on.

        Raises:
            MMStudyError: names both digests.
        """
        if cohort.digest != self.cohort_digest:
            raise MMStudyError(
                f"The study was begun on cohort {self.cohort_digest}, the one in {cohort.folder} "
                f"is {cohort.digest}. Give the original one with --cohort, or begin a new study."
            )


def read_about(folder: StudyFolder) -> About:
    """What the study in `folder` is.

    Raises:
        MMStudyError: no study there, half-copied, of a later version, or without what it needs.
    """
    if not folder.study.exists() and not folder.study.is_symlink():
        raise MMStudyError(
            f"No study in {folder.address}: it has no study.json. "
            "`mmstudy ls` lists the studies of a root."
        )
    try:
        found = folder.json(folder.study, _File)
    except MMStudyError:
        _known(folder.name, folder.json(folder.study, _Version).schema_version)
        raise
    version = _known(folder.name, found.schema_version)
    try:
        msgspec.convert(found.spec, _Outline)
    except (msgspec.ValidationError, RecursionError) as error:
        raise MMStudyError(
            f"{folder.study} is damaged: in its spec, {error}. Copy it again from where it was "
            "made."
        ) from error
    if faulty := _faulty_counts(found):
        raise MMStudyError(
            f"{folder.study} is damaged: {faulty}. Copy it again from where it was made."
        )
    return _about(folder.name, version, found)


def _known(name: str, version: object) -> int:
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise MMStudyError(
            f"The study {name} has version {version!s:.40}, this program reads 1 to "
            f"{SCHEMA_VERSION}; use the version of the program that wrote it, or a later one."
        )
    return version


def _faulty_counts(found: _File) -> str:
    """Why the numbers of squamous training cases are not of these folds; empty where they are."""
    counts, sizes = found.train_positive, [len(fold.train) for fold in found.split.folds]
    if counts is None:
        return ""
    if len(counts) != len(sizes):
        return f"train_positive has {len(counts)} numbers, the split {len(sizes)} folds"
    for fold, (count, size) in enumerate(zip(counts, sizes, strict=True)):
        if count > size:
            return f"train_positive has {count} of {size} training cases of fold {fold}"
    return ""


def _about(name: str, version: int, found: _File) -> About:
    split = found.split
    cases = {case for fold in split.folds for case in (*fold.train, *fold.val)}
    return About(
        name=name,
        schema_version=version,
        synthetic=found.synthetic,
        question=found.question,
        created=found.created,
        split=split,
        cohort=found.cohort,
        cohort_digest=found.cohort_digest,
        n_cases=found.n_cases or len(cases) + len(split.test),
        shared=found.shared,
        train_positive=found.train_positive,
        written=found.spec,
        sources=found.sources,
    )


def write_about(
    folder: StudyFolder,
    spec: StudySpec,
    cohort: Cohort,
    split: Split,
    shared: Path | None = None,
    sources: Sequence[Source] = (),
) -> None:
    """Write the file, keeping when the study was begun.

    `shared` is where earlier stages and features are kept, if other studies have them too;
    `sources` are the studies that the search began from.
    """
    from mmstudy.spec.study_spec import resolved

    rows = cohort.patients
    created = read_about(folder).created if folder.study.exists() else ""
    value = {
        "schema_version": SCHEMA_VERSION,
        "name": folder.name,
        "synthetic": cohort.synthetic,
        "question": spec.question,
        "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
        "spec": resolved(spec),
        "space_digest": spec.digest(),
        "shared": _shared_link(folder.root, shared),
        "cohort": _link(folder.root, cohort.folder),
        "cohort_digest": cohort.digest,
        "n_cases": rows.height,
        "n_positive": int(rows["label"].sum()),
        "split": split.to_json(),
        "train_positive": _train_positive(cohort, split),
        **({"sources": msgspec.to_builtins(sources)} if sources else {}),
        "versions": versions(),
        "code_version": code_version(),
    }
    folder.put_json(folder.study, value)


def _train_positive(cohort: Cohort, split: Split) -> list[int]:
    squamous = set(cohort.patients.filter(label=1)["case"])
    return [len(squamous & set(fold.train)) for fold in split.folds]


def check_continues(folder: StudyFolder, spec: StudySpec, cohort_digest: str, split: Split) -> None:
    """Refuse to go on with a study whose space, protocol or cohort was another.

    A study of an earlier version is read as this one would have written it: settings it did not
    know have their defaults.

    Raises:
        UsageError: says what changed.
    """
    from mmstudy.spec.study_spec import resolved

    if not folder.study.exists():
        return
    known = read_about(folder)
    faults = []
    if known.cohort_digest != cohort_digest:
        faults.append(
            f"the cohort is {cohort_digest}, the study was begun on {known.cohort_digest}"
        )
    before = known.spec
    if before.digest() != spec.digest():
        faults += _differences(resolved(before), resolved(spec)) or ["the spec differs"]
    if not faults and known.split != split:
        faults.append(
            "the folds are of other case names: the cohort was ingested anew, under another key; "
            "give the folder the study was begun on, with its cohort.key"
        )
    if faults:
        raise UsageError(
            *faults,
            heading=f"{folder.root} holds a study that cannot go on with this spec; "
            "choose another --name, or undo the change:",
        )


def cohort_place(about: About, folder: StudyFolder) -> Path:
    """Where the cohort of a study lies; fetched later if at an address.

    A study in a folder leads no further than beside itself or its root, and through no link.
    Elsewhere its cohort is found if the user has named it before.

    Raises:
        MMStudyError: the study does not say, or its word does not count.
    """
    if about.cohort is None:
        raise MMStudyError(f"{about.name} does not say where its cohort is; give --cohort.")
    if "://" in about.cohort:
        if not _one_store(about.cohort, folder.address):
            raise MMStudyError(
                f"{about.name} says that its cohort lies at {about.cohort}. A file of a study does "
                f"not decide where this program connects: if you trust it, give it with --cohort."
            )
        return place(about.cohort, "cohort")
    beside = None if folder.stored else _beside(folder.root.resolve(), about.cohort)
    if beside is not None and beside.is_dir():
        return beside
    if about.cohort_digest and (known := known_cohort(about.cohort_digest)):
        return known
    if beside is None:
        raise MMStudyError(
            f"{about.name} says that its cohort lies in {about.cohort!r}. A file of a study does "
            "not decide what is read: if you have the cohort, give it with --cohort."
        )
    return beside


def _beside(root: Path, way: str) -> Path | None:
    """The folder beside a study, or beside its root, that `way` leads to; None elsewhere."""
    found = Path(os.path.normpath(root / way))
    return found if _BESIDE.fullmatch(way) and not found.is_symlink() else None


def _one_store(address: str, of_study: str) -> bool:
    """Whether two addresses are of one bucket, asked under the same options."""
    ours, theirs = urlsplit(of_study), urlsplit(address)
    return "://" in of_study and (ours.scheme, ours.netloc, ours.query) == (
        theirs.scheme,
        theirs.netloc,
        theirs.query,
    )


def _link(study: Path, cohort: Path) -> str | None:
    """How a study says where its cohort is: by address, or by the way from one to the other."""
    if origin(cohort) is not None:
        return address_of(cohort)
    if origin(study) is not None:
        return None  # there is no way from a store to a folder
    return os.path.relpath(cohort.resolve(), study.resolve())


def _shared_link(study: Path, shared: Path | None) -> str | None:
    """The way to earlier stages of several studies; a study in a store keeps its own."""
    if shared is None or origin(study) is not None:
        return None
    return os.path.relpath(shared.resolve(), study.resolve())


def _differences(old: Any, new: Any, path: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        found = [_differences(old.get(k), new.get(k), f"{path}.{k}".strip(".")) for k in keys]
        return [line for lines in found for line in lines]
    free = path.startswith(_FREE) and path != "resources.cpu"
    if free or json.dumps(old) == json.dumps(new):
        return []
    return [f"{path} was {old!r}, is {new!r}"]
