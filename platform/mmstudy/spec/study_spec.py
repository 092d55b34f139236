"""The study spec: what a human writes, checked whole before anything runs.

Every fault is found at once and named by the path of its field, with the value got, what is
allowed and, for a misspelt name, the nearest right one. The sections `model`, `train` and `data`
and every value of the space are checked by building the real config classes from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, ValidationError

from mmcaf.config.settings import Fault, faults_of
from mmstudy.errors import UsageError
from mmstudy.spec.constraints import Constraint
from mmstudy.spec.faults import config_faults
from mmstudy.spec.sections import SECTIONS, TrialConfig, build
from mmstudy.spec.space import Dimension
from mmstudy.spec.written import Written

__all__ = [
    "FromStudy",
    "ResourceSpec",
    "StudySpec",
    "TrialConfig",
    "parse_spec",
    "resolved",
    "trial_config",
]

Objective = Literal["auroc", "seconds_per_epoch", "parameters"]
Seed = Annotated[int, Field(ge=-(2**53), le=2**53)]
MOST_TRIALS: Final = 100_000


class TestSpec(Written):
    """Patients set aside before the search begins."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    fraction: float = Field(gt=0, lt=0.9)  # share of the patients
    seed: Seed = 0  # decides who they are


class ProtocolSpec(Written):
    """How cases are split into training and validation."""

    kind: Literal["holdout", "kfold", "paper43"] = "kfold"  # paper43: the paper's test set
    folds: int = Field(default=5, ge=2, le=20)  # parts that validate in turn
    repeats: int = Field(default=1, ge=1, le=100)  # of all folds, dealt anew each time
    fraction: float = Field(default=0.25, gt=0, lt=1)  # validation share of a hold-out
    seed: Seed = 0  # decides who validates where
    test: TestSpec | None = None  # none: nobody is set aside


class FromStudy(Written):
    """The best trials of another study, whose params are tried first."""

    folder: str = Field(alias="from", min_length=1)  # of that study
    top: int = Field(default=1, ge=1, le=1000)  # how many of its best that fit this space


def _way(written: Any) -> Literal["points", "study"]:
    return "study" if isinstance(written, dict | FromStudy) else "points"


Enqueued = Annotated[
    Annotated[tuple[dict[str, Any], ...], Tag("points")] | Annotated[FromStudy, Tag("study")],
    Discriminator(_way),
]


class SearchSpec(Written):
    """Who proposes trials, how many, and what for.

    `objectives`: `auroc` is to be high, the others low. `warm_start` is another study's folder,
    whose complete trials the sampler knows from the start where they fit this study exactly.
    `enqueue` is a list of points, or `{from: FOLDER, top: 3}`, the best trials of another study.
    Either source is recorded, and refused if its search saw test patients of this study.
    """

    sampler: Literal["tpe", "gp", "cmaes", "nsga2", "qmc", "random", "grid"] = "tpe"  # who proposes
    objectives: tuple[Objective, ...] = Field(default=("auroc",), min_length=1)  # what is judged
    trials: int = Field(default=50, ge=1, le=MOST_TRIALS)  # may grow while a study goes on
    seed: int = Field(default=0, ge=0, lt=2**32 - MOST_TRIALS)  # of the sampler and of training
    # Drawn at random before the sampler learns.
    startup_trials: int = Field(default=8, ge=1, le=MOST_TRIALS)
    enqueue: Enqueued = ()  # points that are tried first
    warm_start: str | None = None  # folder of a study whose trials are known from the start

    @property
    def points(self) -> tuple[dict[str, Any], ...]:
        """The points that are tried first, as far as they are known here."""
        return () if isinstance(self.enqueue, FromStudy) else self.enqueue


class PruningSpec(Written):
    """Successive halving by epoch inside the first fold; across folds, what cannot win is stopped.

    `wilcoxon_p` is used where a trial has ten or more folds: with fewer the test decides nothing.
    """

    grace_epochs: int = Field(default=5, ge=1, le=10_000)  # before any trial is stopped
    reduction: int = Field(default=3, ge=2, le=100)  # one of so many goes on at each rung
    wilcoxon_p: float = Field(default=0.1, gt=0, lt=0.5)  # below it, a trial is behind


class ResourceSpec(Written):
    """What one trial gets, and how many run at once."""

    # A fraction is a share of one GPU's memory, enforced.
    gpu: float = Field(default=0.0, ge=0, le=1024)
    cpu: int = Field(default=1, ge=1, le=1024)  # threads of one trial
    # Trials at once; auto: as many as fit.
    concurrent: Annotated[int, Field(ge=1, le=10_000)] | Literal["auto"] = "auto"


class LimitSpec(Written):
    """When to give up."""

    # Above it, the study ends with exit code 3.
    failed_trials: int = Field(default=10, ge=0, le=MOST_TRIALS)
    hours: float | None = Field(default=None, gt=0, le=100_000)  # of one run of the driver
    # A trial that takes longer for one hangs.
    epoch_minutes: float = Field(default=120.0, gt=0, le=100_000)


class StudySpec(Written):
    """One study; `model`, `train` and `data` hold what stays fixed, `space` what is varied."""

    question: str = Field(min_length=1)  # in words, shown with every result
    cohort: str | None = None  # folder or address; `--cohort` wins
    protocol: ProtocolSpec = ProtocolSpec()
    data: dict[str, Any] = {}
    model: dict[str, Any] = {}
    train: dict[str, Any] = {}
    space: dict[str, Dimension] = {}  # dotted path -> what it may be
    constraints: tuple[str, ...] = ()  # such as `train.warmup_epochs < train.epochs`
    search: SearchSpec = SearchSpec()
    pruning: PruningSpec | None = None  # none: every trial runs to its end
    resources: ResourceSpec = ResourceSpec()
    limits: LimitSpec = LimitSpec()

    @cached_property
    def parsed_constraints(self) -> tuple[Constraint, ...]:
        """The constraints, read."""
        return tuple(map(Constraint.parse, self.constraints))

    def digest(self, *, epochs: bool = True) -> str:
        """Identity of everything that decides what a trial computes or which trial comes next.

        The number of trials, resources and limits may change while a study goes on; with `epochs`
        false, `train.epochs` too.
        """
        kept = resolved(self)
        if not epochs:
            kept["train"].pop("epochs")
        for name in ("question", "cohort", "resources", "limits"):
            kept.pop(name, None)
        kept["search"].pop("trials")
        kept["cpu"] = self.resources.cpu  # sums depend on the number of threads
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def parse_spec(raw: Mapping[str, Any], *, source: str = "spec", begun: bool = False) -> StudySpec:
    """Check a spec that is already a mapping.

    Args:
        raw: what a human wrote, or a study kept.
        source: names it in the heading of its faults.
        begun: whether it is of a study that has begun; it then may search what has no effect.

    Raises:
        UsageError: lists every fault.
    """
    faults: list[Fault] = []
    spec = None
    try:
        spec = StudySpec.model_validate(raw)
    except ValidationError as error:
        faults += map(_untagged, faults_of(error))
    faults += config_faults(raw, begun=begun)
    if faults or spec is None:
        count = f"{len(faults)} fault{'s' * (len(faults) != 1)}"
        in_order = sorted(faults, key=lambda fault: _place(fault.path[0]))
        raise UsageError(*map(str, in_order), heading=f"{source} has {count}:")
    return spec


def trial_config(
    spec: StudySpec, params: Mapping[str, Any], *, constrained: bool = True
) -> TrialConfig:
    """The configs of a trial with `params` (dotted path -> value).

    Settings without a value in `params` keep what the spec fixes: such a config need not keep the
    constraints, which are for trials; `constrained` says whether it must.

    Raises:
        ValueError: a combination of params that the config classes or a constraint refuse.
    """
    sections = {name: dict(getattr(spec, name)) for name in SECTIONS}
    for path, value in params.items():
        section, _, field = path.partition(".")
        sections[section][field] = value
    config = TrialConfig(**{name: build(name, values) for name, values in sections.items()})
    for constraint in spec.parsed_constraints if constrained else ():
        if not constraint.holds(config.setting):
            raise ValueError(f"the constraint {constraint.text!r} does not hold")
    return config


def resolved(spec: StudySpec) -> dict[str, Any]:
    """The spec with every default written out, as kept in `study.json`."""
    whole = spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    for section in SECTIONS:
        whole[section] = asdict(build(section, getattr(spec, section)))
    return whole


def _untagged(fault: Fault) -> Fault:
    """Without the kind of a dimension, which pydantic puts behind the dimension's path, and that
    of what is enqueued."""
    section, *rest = fault.path
    if rest[:2] in (["enqueue", "points"], ["enqueue", "study"]):
        del rest[1]
    if section == "space" and rest[1:2] in (["float"], ["int"], ["choice"]):
        del rest[1]
    return Fault((section, *rest), fault.words)


def _place(section: str | int) -> int:
    """Faults are told in the order of the spec; what is no section of it comes last."""
    return [*StudySpec.model_fields, section].index(section)
