"""The study record: one explicit, versioned Arrow schema per table, and the values that fill it.

Readers always pass these schemas; a later version may only add nullable columns. Rates are
fractions in [0, 1]; undefined is null, never 0. Times are UTC. No case is named by its patient id:
`case` is a keyed hash whose key stays with the cohort.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
import pyarrow as pa
from msgspec import Meta

from mmcaf.data.splits import Case
from mmcaf.files.untrusted import decode
from mmstudy.provenance import code_version

__all__ = [
    "CONFIRMATIONS",
    "EVALUATIONS",
    "INFEASIBLE",
    "LEAST_TRIALS",
    "METRICS",
    "MOST_TEXT",
    "MOST_TRIALS",
    "PREDICTIONS",
    "RATES",
    "SCHEMA_VERSION",
    "TRIALS",
    "Claim",
    "Count",
    "EpochRow",
    "Importances",
    "Params",
    "Probe",
    "ProbeRow",
    "ProbeRun",
    "Setting",
    "Source",
    "State",
    "Text",
    "TrialRow",
    "Value",
    "too_few",
]

SCHEMA_VERSION = 3
"""Version 2 adds where and with what a trial ran, GPU seconds, micro-batches, the second
objectives, and the tables of confirmations and evaluations. Version 3 adds what the seconds went
into: what comes before an epoch (loading, stages that trials share), waiting for batches, and how
busy the GPU was. Earlier versions are read as they are: there, `seconds` and `gpu_seconds` are of
epochs alone."""

MOST_TRIALS = 1_000_000
"""Of one study: their numbers are below it, whatever a file says."""

MOST_TEXT = 100_000
"""Bytes of a cell; what is longer was not written by a study."""

Count = Annotated[int, Meta(ge=0, le=2**53)]
Text = Annotated[str, Meta(max_length=MOST_TEXT, pattern=r"^[^\x00]*$")]
_Whole = Annotated[int, Meta(ge=-(2**53), le=2**53)]
_Scalar = _Whole | float | bool | Annotated[str, Meta(max_length=MOST_TEXT)] | None
Value = _Scalar | list[_Scalar]
Params = dict[str, Value]
"""The type of a trial's params: dotted path -> value. JSON has neither NaN nor infinity."""

_Name = Annotated[str, Meta(max_length=300, pattern=r"^[^\x00]*$")]
_Cases = Annotated[tuple[Case, ...], Meta(max_length=100_000)]

INFEASIBLE = "infeasible"
"""How the reason of a trial begins whose params broke a constraint: it never ran."""

# The seven metrics of the paper's tables, then three that do not depend on a threshold's luck.
RATES = (
    "auroc",
    "accuracy",
    "f1",
    "specificity",
    "sensitivity",
    "ppv",
    "npv",
    "auprc",
    "brier",
)


class State(StrEnum):
    """How far a trial came; only COMPLETE ones can be the best."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "fail"


_MOST_REASON = 10_000
_TIME = pa.timestamp("us", tz="UTC")

TRIALS = pa.schema(
    [
        pa.field("number", pa.int32(), nullable=False),  # of the trial, from 0
        pa.field("state", pa.string(), nullable=False),  # one of the states below
        pa.field("params", pa.string(), nullable=False),  # JSON object: dotted path -> value
        pa.field("value", pa.float64()),  # the objective; null unless complete
        pa.field("best_epoch", pa.int32()),  # the one epoch shared by all folds
        pa.field("seed", pa.int64(), nullable=False),  # of training
        pa.field("attempts", pa.int32(), nullable=False),  # processes that computed it
        pa.field("started", _TIME, nullable=False),  # when the first attempt began
        pa.field("ended", _TIME),  # null while it runs
        pa.field("seconds", pa.float64()),  # spent computing, over all attempts that reported
        pa.field("device", pa.string()),  # cpu or cuda
        pa.field("threads", pa.int32()),  # of one process
        pa.field("parameters", pa.int64()),  # trainable weights of the network
        pa.field("reason", pa.string()),  # why it was pruned or failed
        # since version 2
        pa.field("hardware", pa.string()),  # name of the GPU, or of the CPU where it had none
        pa.field("host", pa.string()),  # where the last attempt ran
        pa.field("versions", pa.string()),  # JSON object: package -> version
        pa.field("code_version", pa.string()),  # commit, or version of the package
        pa.field("cohort_digest", pa.string()),  # identity of the patients' data
        pa.field("gpu_seconds", pa.float64()),  # seconds times the share of a GPU it held
        pa.field("seconds_per_epoch", pa.float64()),  # median over folds and epochs
        # since version 3
        pa.field("prepare_seconds", pa.float64()),  # of `seconds`, those before epochs
        pa.field("data_wait_share", pa.float64()),  # of the epochs' seconds
        pa.field("gpu_utilisation", pa.float64()),  # of the whole device, mean over the epochs
    ]
)

METRICS = pa.schema(
    [
        pa.field("number", pa.int32(), nullable=False),  # of the trial
        pa.field("fold", pa.int32(), nullable=False),  # from 0
        pa.field("epoch", pa.int32(), nullable=False),  # from 0
        pa.field("attempt", pa.int32(), nullable=False),  # that computed it
        pa.field("n_train", pa.int32(), nullable=False),  # training cases
        pa.field("n_val", pa.int32(), nullable=False),  # validation cases
        pa.field("n_val_positive", pa.int32(), nullable=False),  # squamous ones among them
        pa.field("train_loss", pa.float64()),  # mean over training windows, in training mode
        pa.field("val_loss", pa.float64()),  # log loss of the cases' probabilities
        *(pa.field(rate, pa.float64()) for rate in RATES),
        pa.field("lr", pa.float64()),  # learning rate of the epoch
        pa.field("seconds", pa.float64(), nullable=False),  # of the epoch, validation included
        pa.field("written", _TIME, nullable=False),  # when the row was made
        # since version 2
        pa.field("gpu_seconds", pa.float64()),  # of the epoch and of what came before it
        pa.field("accumulate", pa.int32()),  # micro-batches a step was made of
        pa.field("parameters", pa.int64()),  # trainable weights of the network
        # since version 3
        pa.field("prepare_seconds", pa.float64()),  # loading and shared stages, before the epoch
        pa.field("data_seconds", pa.float64()),  # of `seconds`, those spent waiting for batches
        pa.field("gpu_utilisation", pa.float64()),  # of the whole device, in [0, 1]
    ]
)

PREDICTIONS = pa.schema(
    [
        pa.field("number", pa.int32(), nullable=False),  # of the trial
        pa.field("fold", pa.int32(), nullable=False),  # from 0; -1 for test patients
        pa.field("epoch", pa.int32(), nullable=False),  # from 0
        pa.field("case", pa.string(), nullable=False),  # keyed hash of the patient's name
        pa.field("label", pa.int8(), nullable=False),  # 1 = squamous, 0 = adenocarcinoma
        pa.field("probability", pa.float64(), nullable=False),  # of squamous
    ]
)

CONFIRMATIONS = pa.schema(
    [
        pa.field("number", pa.int32(), nullable=False),  # of the trial whose params these are
        pa.field("run", pa.int32(), nullable=False),  # decides split and training seed
        pa.field("fold", pa.int32(), nullable=False),  # from 0
        pa.field("epoch", pa.int32(), nullable=False),  # the trial's best, not chosen again
        pa.field("seed", pa.int64(), nullable=False),  # of training
        pa.field("n_train", pa.int32(), nullable=False),  # training cases
        pa.field("n_val", pa.int32(), nullable=False),  # validation cases
        *(pa.field(rate, pa.float64()) for rate in RATES),
        pa.field("seconds", pa.float64(), nullable=False),  # of the fold
        pa.field("written", _TIME, nullable=False),  # when the row was made
    ]
)

EVALUATIONS = pa.schema(
    [
        pa.field("look", pa.int32(), nullable=False),  # 1 for the first look at the test set
        pa.field("number", pa.int32(), nullable=False),  # of the trial
        pa.field("n", pa.int32(), nullable=False),  # test patients
        pa.field("n_positive", pa.int32(), nullable=False),  # squamous ones among them
        *(pa.field(rate, pa.float64()) for rate in RATES),
        pa.field("auroc_low", pa.float64()),  # of the 95 % interval
        pa.field("auroc_high", pa.float64()),  # of the 95 % interval
        pa.field("code_version", pa.string()),  # commit, or version of the package
        pa.field("written", _TIME, nullable=False),  # when the row was made
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One row of `TRIALS`."""

    number: int
    state: State
    params: str
    seed: int
    attempts: int
    started: datetime
    value: float | None = None
    best_epoch: int | None = None
    ended: datetime | None = None
    seconds: float | None = None
    device: str | None = None
    threads: int | None = None
    parameters: int | None = None
    reason: str | None = None
    hardware: str | None = None
    host: str | None = None
    versions: str | None = None
    code_version: str | None = None
    cohort_digest: str | None = None
    gpu_seconds: float | None = None
    seconds_per_epoch: float | None = None
    prepare_seconds: float | None = None
    data_wait_share: float | None = None
    gpu_utilisation: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Column -> value; a reason that is too long is cut."""
        reason = self.reason and self.reason.replace("\0", "").encode()[:_MOST_REASON]
        return asdict(self) | {"reason": reason and reason.decode(errors="ignore")}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> TrialRow:
        """The inverse of `as_dict`."""
        return cls(**{**row, "state": State(row["state"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """One row of `METRICS`: what one fold's validation cases said after one epoch."""

    number: int
    fold: int
    epoch: int
    attempt: int
    n_train: int
    n_val: int
    n_val_positive: int
    train_loss: float
    val_loss: float
    rates: dict[str, float | None]
    lr: float | None
    seconds: float
    written: datetime
    gpu_seconds: float | None = None
    accumulate: int | None = None
    parameters: int | None = None
    prepare_seconds: float | None = None
    data_seconds: float | None = None
    gpu_utilisation: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Column -> value, the rates spread over their columns."""
        row = asdict(self)
        rates = row.pop("rates")
        return row | {rate: rates.get(rate) for rate in RATES}

    def to_json(self) -> str:
        """As text, for a runner whose channel takes only flat values."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> EpochRow:
        """The inverse of `to_json`.

        Raises:
            DataError: it is none.
        """
        return decode(text, cls, source="the row of an epoch", remedy="The worker is at fault.")

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> EpochRow:
        """The inverse of `as_dict`."""
        rest = {key: value for key, value in row.items() if key not in RATES}
        return cls(**rest, rates={rate: row[rate] for rate in RATES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Which attempt owns a trial's files, and where it runs; written by the trial's process.

    `idle` counts the attempts since the trial last finished an epoch: a process that dies again
    and again at one place is no bad luck.
    """

    attempt: Count
    idle: Count = 0
    epochs: Annotated[int, Meta(ge=-1, le=2**53)] = 0  # finished when this attempt began
    launch: Text | None = None  # of the driver that began it
    pid: Count | None = None
    host: Text | None = None
    device: Text | None = None
    hardware: Text | None = None
    versions: dict[Text, Text] | None = None
    code_version: Text | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A study that another one's search began from, as it was then; a part of `study.json`.

    It is data: nothing is read where it comes from. Sources of a source are listed like those of
    the study itself, with the one they are known `through`.
    """

    study: _Name
    way: Literal["warm_start", "enqueue"]  # how it is begun from
    begun: _Name = ""  # when that study was begun
    cohort_digest: _Name | None = None  # of its patients
    trials: Count  # that were judged there: complete and pruned ones
    taken: Count = 0  # of them known, or tried first, here
    points: Annotated[tuple[Params, ...], Meta(max_length=10_000)] = ()  # that are tried first here
    searched: _Cases = ()  # cases that trained or validated there
    looked: _Cases = ()  # cases of its test set, if anybody looked at it
    through: _Name | None = None  # the source that began from this one


LEAST_TRIALS = 30
"""Complete trials below which nothing is said of importance: there, noise alone gives any share."""


def too_few(complete: int) -> str:
    """Why nothing is said of the importance of settings.

    >>> too_few(4)
    '4 complete trials: too few to say; importance takes 30.'
    """
    return f"{complete} complete trials: too few to say; importance takes {LEAST_TRIALS}."


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """How much the value depends on one searched setting."""

    setting: Text
    fanova: float | None = None  # share of how the value varies; None: unknown
    ped_anova: float | None = None  # share in what tells the best tenth of the trials
    n: Count  # trials that have it
    fanova_low: float | None = None  # 95 % interval over trials
    fanova_high: float | None = None
    ped_anova_low: float | None = None
    ped_anova_high: float | None = None
    by_chance: float | None = None  # fANOVA's share where values are dealt to trials at random
    p: float | None = None  # of no dependence, adjusted for all settings
    says: Text | None = None  # what may be claimed


class Importances(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`importance.json`: what the driver found when it ended, or why it found nothing."""

    complete: Count  # trials that were looked at
    pruned: Count | None = None  # trials that were not, since they have no value
    rows: tuple[Setting, ...] | None = None
    fault: Text | None = None


class ProbeRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One training of a probe: what it says of each held-out patient, in the fold's order."""

    params: Text  # JSON
    seed: Count  # from 0, not the number that torch gets
    logits: tuple[float, ...] | None = None  # after the last epoch
    fault: Text | None = None  # why there are none


class ProbeRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far one searched setting moves predictions, beside how far another seed does."""

    setting: Text
    low: Text  # one extreme, as JSON
    high: Text
    moved: float | None = None  # root mean square difference of logits between the extremes
    by_seed: float | None = None  # the same between two seeds
    share: float | None = None  # moved / by_seed
    share_low: float | None = None
    share_high: float | None = None
    steady: float | None = None  # the part of `share` that is the same at every seed
    steady_low: float | None = None
    steady_high: float | None = None
    seeds: Count = 0  # at which both extremes ended
    fault: Text | None = None  # why nothing is said


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """`probe.json`: what each searched setting can move, measured before or beside the search."""

    version: Annotated[int, Meta(ge=1, le=1)]
    spec: Text  # digest of the spec, the epochs of its last stage left out
    cohort_digest: Text | None
    epochs: Count  # of the base point
    n: Count  # held-out patients
    device: Text
    threads: Count
    base: Text  # params that all else is held at, as JSON
    code_version: Text = msgspec.field(default_factory=code_version)
    runs: tuple[ProbeRun, ...] = ()
    rows: tuple[ProbeRow, ...] = ()
