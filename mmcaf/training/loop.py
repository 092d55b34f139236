"""Training as a generator: one report per epoch; the caller stops by not asking for more.

Every random number of an epoch follows from (seed, epoch): torch's global generators are seeded at
its start, and nothing else of the process is changed. A run resumed from a snapshot therefore
computes bit for bit what the uninterrupted one would have, on a CPU with the same number of
threads. On a GPU that also takes `torch.use_deterministic_algorithms(True)`, which is the caller's
to set because it holds for the whole process.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import cos, pi
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from mmcaf.config import Precision, TrainConfig
from mmcaf.data.batches import Batch, EvalSource, FoldSource
from mmcaf.errors import DataError
from mmcaf.files.checkpoint import Checkpoint
from mmcaf.net.comparators.base import Output
from mmcaf.net.losses import binary_loss
from mmcaf.stats.metrics import rates

__all__ = [
    "EpochReport",
    "Predictions",
    "Waiting",
    "autocast",
    "fit",
    "learning_rate",
    "load_model_state",
    "predict",
]

_Epoch = Annotated[int, msgspec.Meta(ge=0, lt=1_000_000)]
_CLAMP = 1e-7  # keeps the log loss of a saturated probability finite


class _Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot says of itself."""

    epoch: _Epoch
    optimizer: str = ""
    image_side: str | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """One probability of squamous-cell carcinoma per case; all three have shape (cases,)."""

    case: tuple[str, ...]
    label: NDArray[np.int64]
    probability: NDArray[np.float64]

    def log_loss(self) -> float:
        """Mean binary cross-entropy of the cases' probabilities."""
        p = np.clip(self.probability, _CLAMP, 1 - _CLAMP)
        return float(-np.where(self.label == 1, np.log(p), np.log1p(-p)).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """What one epoch gave; `epoch` counts from 0.

    `train_loss` is the mean of the configured loss over training windows, in training mode;
    `val_loss` is the log loss of the validation cases' probabilities, each the mean over a case's
    windows: the two are not on one footing.
    """

    epoch: int
    train_loss: float
    val_loss: float
    rates: dict[str, float | None]
    predictions: Predictions
    lr: float | None  # None where nothing is learnt by steps
    seconds: float
    data_seconds: float  # of them, spent waiting for batches of training and validation
    snapshot: Callable[[], Checkpoint] = field(repr=False)  # only before the next epoch is begun


@dataclass(slots=True)
class Waiting:
    """Seconds a loop has waited for what it goes over: on a GPU, those it had nothing to do."""

    seconds: float = 0.0

    def of(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches, each waited for."""
        source = iter(batches)
        while True:
            started = time.perf_counter()
            batch = next(source, None)
            self.seconds += time.perf_counter() - started
            if batch is None:
                return
            yield batch


def fit(
    model: nn.Module,
    batches: FoldSource,
    config: TrainConfig,
    *,
    seed: int,
    device: str = "cpu",
    resume: Checkpoint | None = None,
) -> Iterator[EpochReport]:
    """Train one stage of `model`, whose call `(volume [B,1,D,H,W], table [B,7])` gives logits [B].

    A model may answer with an `Output` instead, of which its own `loss(output, label, kind)` is
    then made small in place of the configured loss.

    Args:
        model: changed in place; its initial weights are the caller's to seed. Parameters that need
            no gradient stay as they are; where none needs one, the model is only judged.
        batches: training and validation of one fold.
        config: optimiser, loss, learning rate and its schedule, number of epochs; its `stages` are
            the caller's to take one by one (`mmcaf.training.stages`).
        seed: decides dropout and stochastic depth, together with the epoch.
        device: where to compute.
        resume: a snapshot of the same run; training goes on with the epoch after it.

    Raises:
        FloatingPointError: a loss or a probability became NaN or infinite; names the epoch.
        DataError: `resume` is of another network or optimiser.
        ValueError: bf16 is asked for where the hardware does not have it.
    """
    _check_precision(config.precision, device)
    model.to(device)
    if config.compile:
        model.compile()
    run = _Run(model, _optimizer(model, config), batches)
    first = 0
    if resume is not None:
        _check_image_side(batches, resume)
        load_model_state(model, resume)
        if run.optimizer is not None:
            _load_optimizer(run.optimizer, resume)
        first = resume.told(_Reached).epoch + 1
    for epoch in range(first, config.epochs):
        started, waited = time.perf_counter(), Waiting()
        run.epoch = epoch
        torch.manual_seed(_epoch_seed(seed, epoch))
        train_loss = _train_epoch(run, config, device, waited)
        found = predict(
            model, batches.val, device=device, precision=config.precision, waited=waited
        )
        if not np.isfinite(found.probability).all():
            raise FloatingPointError(
                f"A validation probability became NaN after epoch {epoch}; lower train.lr."
            )
        yield EpochReport(
            epoch=epoch,
            train_loss=train_loss,
            val_loss=found.log_loss(),
            rates=rates(found.label, found.probability),
            predictions=found,
            lr=None if run.optimizer is None else learning_rate(config, epoch),
            seconds=time.perf_counter() - started,
            data_seconds=waited.seconds,
            snapshot=partial(run.snapshot, epoch),
        )


@torch.no_grad()
def predict(
    model: nn.Module,
    batches: EvalSource,
    *,
    device: str = "cpu",
    precision: Precision = "fp32",
    waited: Waiting | None = None,
) -> Predictions:
    """Probability of every case: the mean over its windows, whatever their number.

    Leaves `model` on `device` and in evaluation mode. Adds to `waited` what batches took.
    """
    waited = waited or Waiting()
    model.to(device).eval()
    case, label = batches.case, batches.label
    total, count = np.zeros(len(case)), np.zeros(len(case))
    for batch in waited.of(batches):
        with autocast(precision, device):
            logits = _logits(model(batch.volume.to(device), batch.table.to(device)))
        np.add.at(total, batch.case, torch.sigmoid(logits.double()).cpu().numpy())
        np.add.at(count, batch.case, 1)
    return Predictions(case, label, total / count)


def learning_rate(config: TrainConfig, epoch: int) -> float:
    """The learning rate of `epoch`, which counts from 0.

    It rises linearly over `warmup_epochs`, then stays, or falls along half a cosine towards 0.

    >>> config = TrainConfig(epochs=10, warmup_epochs=2, lr=0.1, schedule="cosine")
    >>> [round(learning_rate(config, epoch), 3) for epoch in (0, 1, 2, 6, 9)]
    [0.05, 0.1, 0.1, 0.05, 0.004]
    """
    if epoch < config.warmup_epochs:
        return config.lr * (epoch + 1) / config.warmup_epochs
    if config.schedule == "constant":
        return config.lr
    done = (epoch - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
    return config.lr * (1 + cos(pi * done)) / 2


def load_model_state(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Give `model` the weights and running statistics of `checkpoint`.

    Raises:
        DataError: names or shapes differ; lists them.
    """
    given, wanted = checkpoint.part("model."), model.state_dict()
    faults = [f"{name} is missing" for name in wanted if name not in given]
    faults += [f"{name} is not the network's" for name in given if name not in wanted]
    faults += [
        f"{name} has shape {list(given[name].shape)} instead of {list(wanted[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    if faults:
        raise DataError(
            f"The checkpoint is of another network ({len(faults)} differences: "
            f"{'; '.join(faults)}). Build the network from the config it was trained with."
        )
    model.load_state_dict(given)


def _check_image_side(batches: FoldSource, checkpoint: Checkpoint) -> None:
    """What was learnt on the tokens of one frozen image side means nothing on another's."""
    ours, theirs = batches.fitted().get("image_side"), checkpoint.told(_Reached).image_side
    if ours != theirs:
        raise DataError(
            f"The checkpoint was trained on the image side {theirs}, the one at hand is {ours}: "
            "it was trained on other hardware or by another version. Begin the trial again."
        )


@dataclass(slots=True)
class _Run:
    """What a snapshot is taken of."""

    model: nn.Module
    optimizer: torch.optim.Optimizer | None  # None: nothing is learnt by steps
    batches: FoldSource
    epoch: int = -1  # the one last begun

    def snapshot(self, epoch: int) -> Checkpoint:
        """A copy of the state after `epoch`, untouched by further training."""
        if epoch != self.epoch:
            raise RuntimeError(
                f"The snapshot of epoch {epoch} was asked for after epoch {self.epoch} had begun; "
                "take it before asking for the next report."
            )
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        states = self.optimizer.state_dict()["state"] if self.optimizer else {}
        for index, state in states.items():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value
        copies = {name: value.detach().cpu().clone() for name, value in tensors.items()}
        kind = type(self.optimizer).__name__
        return Checkpoint(copies, {"epoch": epoch, "optimizer": kind, **self.batches.fitted()})


def _train_epoch(run: _Run, config: TrainConfig, device: str, waited: Waiting) -> float:
    """One pass over the training windows; their mean loss."""
    optimizer = run.optimizer
    run.model.train(optimizer is not None)
    total, count = 0.0, 0
    for group in optimizer.param_groups if optimizer else ():
        group["lr"] = learning_rate(config, run.epoch)
    for index, batch in enumerate(waited.of(run.batches.train.epoch(run.epoch))):
        if optimizer:
            optimizer.zero_grad(set_to_none=True)
        value = _backward(run.model, batch, config, device)
        if not np.isfinite(value):
            raise FloatingPointError(
                f"The training loss became {value} in epoch {run.epoch}, batch {index}; "
                "lower train.lr."
            )
        if optimizer:
            optimizer.step()
        total, count = total + value * len(batch.case), count + len(batch.case)
    return total / count


def _backward(model: nn.Module, batch: Batch, config: TrainConfig, device: str) -> float:
    """Add the gradients of the batch's mean loss, micro-batch by micro-batch; that loss."""
    size = len(batch.label)
    pieces = max(1, min(config.accumulate, size // 2))  # batch norm needs two
    parts = (batch.volume, batch.table, batch.label)
    total = 0.0
    for volume, table, label in zip(*(part.tensor_split(pieces) for part in parts), strict=True):
        with autocast(config.precision, device):
            answer = model(volume.to(device), table.to(device))
        loss = _loss(model, answer, label.to(device), config) * (len(label) / size)
        total += float(loss.detach())
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    return total


def _logits(answer: Tensor | Output) -> Float[Tensor, " b"]:
    return answer.logit if isinstance(answer, Output) else answer


def _loss(
    model: nn.Module, answer: Tensor | Output, label: Float[Tensor, " b"], config: TrainConfig
) -> Float[Tensor, ""]:
    if not isinstance(answer, Output):
        return binary_loss(answer, label, config.loss)
    half = (torch.bfloat16, torch.float16)
    parts = {n: part.float() if part.dtype in half else part for n, part in answer.parts.items()}
    loss: Callable[..., Tensor] = model.loss  # type: ignore[assignment]  # who answers so has one
    return loss(Output(answer.logit.float(), parts), label, config.loss)


def autocast(precision: Precision, device: str) -> torch.autocast:
    """The block within which a network computes in `precision`."""
    return torch.autocast(device.split(":")[0], torch.bfloat16, enabled=precision == "bf16")


def _check_precision(precision: Precision, device: str) -> None:
    if precision == "fp32":
        return
    if device == "cpu":
        has = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    else:
        has = torch.cuda.is_bf16_supported()
    if not has:
        raise ValueError(
            f"train.precision is bf16, which this {device} does not have; use fp32, or a "
            "processor with AVX512 or a GPU of the Ampere generation or later."
        )


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer | None:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trained:
        return None
    if config.optimizer == "adamw":
        return torch.optim.AdamW(
            trained, lr=config.lr, weight_decay=config.weight_decay, fused=True
        )
    return torch.optim.SGD(
        trained,
        lr=config.lr,
        momentum=config.momentum,
        dampening=config.dampening,
        weight_decay=config.weight_decay,
    )


def _load_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    """Momentum and moments; learning rate and the like are the config's."""
    ours, theirs = type(optimizer).__name__, checkpoint.told(_Reached).optimizer
    if ours != theirs:
        raise DataError(f"The checkpoint was trained with {theirs}, the config says {ours}.")
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in checkpoint.part("optimizer.").items():
        index, _, key = name.partition(".")
        if not index.isdecimal():
            raise DataError(f"The checkpoint is damaged: it holds optimizer.{name[:60]}.")
        state.setdefault(int(index), {})[key] = tensor
    groups: list[Mapping[str, Any]] = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _epoch_seed(seed: int, epoch: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:7], "big")
