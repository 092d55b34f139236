"""`study.json`: what a study is, written when it begins, compared when it goes on."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mmcaf.data.cohort import Cohort
from mmcaf.data.splits import Split
from mmcaf.files.atomic import write_json
from mmcaf.files.remote import address_of, origin, place
from mmstudy.errors import MMStudyError, UsageError
from mmstudy.provenance import code_version, versions
from mmstudy.spec.study_spec import StudySpec, parse_spec, resolved
from mmstudy.storage import mirror as copies
from mmstudy.storage.parquet import read_json
from mmstudy.storage.paths import StudyPaths
from mmstudy.storage.schema import SCHEMA_VERSION

__all__ = ["check_continues", "cohort_of", "write_study"]

# What may change while a study goes on.
_FREE = ("question", "cohort", "search.trials", "limits", "resources")


def write_study(
    paths: StudyPaths, spec: StudySpec, cohort: Cohort, split: Split, shared: Path | None = None
) -> None:
    """Write the file, keeping when the study was begun.

    `shared` is where earlier stages and features are kept, if other studies have them too.
    """
    rows = cohort.patients
    known = read_json(paths.study) if paths.study.exists() else {}
    write_json(
        paths.study,
        {
            "schema_version": SCHEMA_VERSION,
            "name": paths.name,
            "synthetic": cohort.synthetic,
            "question": spec.question,
            "created": known.get("created", datetime.now(UTC).isoformat(timespec="seconds")),
            "spec": resolved(spec),
            "space_digest": spec.digest(),
            "shared": _shared_link(paths.root, shared),
            "cohort": _link(paths.root, cohort.folder),
            "cohort_digest": cohort.digest,
            "n_cases": rows.height,
            "n_positive": int(rows["label"].sum()),
            "split": split.to_json(),
            "versions": versions(),
            "code_version": code_version(),
        },
    )
    copies.publish(paths, paths.study)


def check_continues(paths: StudyPaths, spec: StudySpec, cohort_digest: str, split: Split) -> None:
    """Refuse to go on with a study whose space, protocol or cohort was another.

    A study of an earlier version is read as this one would have written it: settings it did not
    know have their defaults.

    Raises:
        UsageError: says what changed.
    """
    if not paths.study.exists():
        return
    known = read_json(paths.study)
    faults = []
    if known.get("cohort_digest") != cohort_digest:
        faults.append(
            f"the cohort is {cohort_digest}, the study was begun on {known['cohort_digest']}"
        )
    before = parse_spec(known.get("spec", {}), source=f"the spec of {paths.name}")
    if before.digest() != spec.digest():
        faults += _differences(resolved(before), resolved(spec)) or ["the spec differs"]
    if not faults and known.get("split") != json.loads(json.dumps(split.to_json())):
        faults.append(
            "the folds are of other case names: the cohort was ingested anew, under another key; "
            "give the folder the study was begun on, with its cohort.key"
        )
    if faults:
        raise UsageError(
            *faults,
            heading=f"{paths.root} holds a study that cannot go on with this spec; "
            "choose another --name, or undo the change:",
        )


def cohort_of(study: Path, given: Path | None) -> Path:
    """The cohort folder of a study: `given`, or where it lay beside the study.

    Raises:
        MMStudyError: the study does not say.
    """
    if given is not None:
        return given
    link = read_json(StudyPaths(study).study).get("cohort")
    if not isinstance(link, str):
        raise MMStudyError(f"{study.name} does not say where its cohort is; give --cohort.")
    return place(link, "cohort") if "://" in link else (study / link).resolve()


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
