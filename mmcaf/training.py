"""Training as a generator: one report per epoch; the caller stops by not asking for more.

Every random number of an epoch follows from (seed, epoch): a run resumed from a snapshot computes
bit for bit what the uninterrupted one would have, on the same hardware with the same number of
threads.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mmcaf.checkpoint import Checkpoint
from mmcaf.config import TrainConfig
from mmcaf.data.batches import EvalBatches, FoldBatches
from mmcaf.metrics import rates

__all__ = ["EpochReport", "Predictions", "fit", "focal_loss", "predict"]

_CLAMP = 1e-7  # keeps the log loss of a saturated probability finite


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

    `train_loss` is the mean over training windows in training mode, `val_loss` the log loss of the
    validation cases' probabilities: the two are not on one footing.
    """

    epoch: int
    train_loss: float
    val_loss: float
    rates: dict[str, float | None]
    predictions: Predictions
    lr: float
    seconds: float
    snapshot: Callable[[], Checkpoint] = field(repr=False)


def fit(
    model: nn.Module,
    batches: FoldBatches,
    config: TrainConfig,
    *,
    seed: int,
    device: str = "cpu",
    resume: Checkpoint | None = None,
) -> Iterator[EpochReport]:
    """Train `model`, whose call `(volume [B,1,D,H,W], table [B,7])` gives logits [B].

    Args:
        model: changed in place.
        batches: training and validation of one fold.
        config: optimiser, loss, number of epochs.
        seed: decides dropout and stochastic depth, together with the epoch.
        device: where to compute.
        resume: a snapshot of the same run; training goes on with the epoch after it.

    Raises:
        FloatingPointError: the loss became NaN or infinite; names epoch and batch.
    """
    model.to(device)
    optimizer = _optimizer(model, config)
    first = 0
    if resume is not None:
        model.load_state_dict(resume.part("model."))
        _load_optimizer(optimizer, resume)
        first = int(resume.meta["epoch"]) + 1
    for epoch in range(first, config.epochs):
        started = time.perf_counter()
        torch.manual_seed(_epoch_seed(seed, epoch))
        train_loss = _train_epoch(model, optimizer, batches, config, epoch, device)
        found = predict(model, batches.val, device=device)
        yield EpochReport(
            epoch=epoch,
            train_loss=train_loss,
            val_loss=found.log_loss(),
            rates=rates(found.label, found.probability),
            predictions=found,
            lr=config.lr,
            seconds=time.perf_counter() - started,
            snapshot=lambda epoch=epoch: _snapshot(  # type: ignore[misc]
                model, optimizer, epoch, batches.fitted()
            ),
        )


@torch.no_grad()
def predict(model: nn.Module, batches: EvalBatches, *, device: str = "cpu") -> Predictions:
    """Probability of every case: the mean over its windows, whatever their number."""
    model.to(device).eval()
    total, count = np.zeros(batches.rows.height), np.zeros(batches.rows.height)
    for batch in batches:
        logits = model(batch.volume.to(device), batch.table.to(device))
        np.add.at(total, batch.case, torch.sigmoid(logits.double()).cpu().numpy())
        np.add.at(count, batch.case, 1)
    return Predictions(batches.case, batches.label, total / count)


def focal_loss(
    logits: Float[Tensor, " b"], labels: Float[Tensor, " b"], gamma: float = 2.0
) -> Float[Tensor, ""]:
    """Binary focal loss (Lin et al. 2017, without class weights), mean over the batch."""
    cross_entropy = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    missed = 1 - torch.exp(-cross_entropy)  # 1 - probability of the true class
    return (missed**gamma * cross_entropy).mean()


def _train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: FoldBatches,
    config: TrainConfig,
    epoch: int,
    device: str,
) -> float:
    model.train()
    loss_of = focal_loss if config.loss == "focal" else F.binary_cross_entropy_with_logits
    total, count = 0.0, 0
    for index, batch in enumerate(batches.train.epoch(epoch)):
        logits = model(batch.volume.to(device), batch.table.to(device))
        loss = loss_of(logits, batch.label.to(device))
        value = float(loss.detach())
        if not np.isfinite(value):
            raise FloatingPointError(f"loss {value} in epoch {epoch}, batch {index}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total, count = total + value * len(batch.case), count + len(batch.case)
    return total / count


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        trained,
        lr=config.lr,
        momentum=config.momentum,
        dampening=config.dampening,
        weight_decay=config.weight_decay,
    )


def _epoch_seed(seed: int, epoch: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{epoch}".encode()).digest()[:7], "big")


def _snapshot(
    model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int, fitted: Mapping[str, Any]
) -> Checkpoint:
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
    return Checkpoint(tensors, {"epoch": epoch, **fitted})


def _load_optimizer(optimizer: torch.optim.Optimizer, checkpoint: Checkpoint) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in checkpoint.part("optimizer.").items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = tensor
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
