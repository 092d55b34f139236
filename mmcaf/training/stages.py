"""The stages before the last: what they learnt, computed once per digest and shared by all trials.

A trial is its last stage. What comes before depends on fewer choices: the trunk on the width alone,
the image side on nothing of the clinical encoder, the attention or the last stage's learning rate.
Each earlier stage is therefore named by the digest of all that decides it (its seed too, which is
the study's and not the trial's), trained by whoever needs it first and read by all others, whatever
network they train. It is trained on the training cases of its fold alone, so nothing of a
validation case reaches a trial.

A comparator may have steps of its own within the last stage; those before its last are the trial's,
and trained anew by every attempt: on features read from disk they take seconds.

A killed stage goes on from the epoch it had stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import torch
from torch import Tensor, nn

from mmcaf.config import TrainConfig
from mmcaf.data.batches import FoldBatches, FoldSource
from mmcaf.errors import DataError
from mmcaf.files import checkpoint
from mmcaf.files.atomic import locked
from mmcaf.files.checkpoint import Checkpoint
from mmcaf.net.comparators.base import Comparator, Step
from mmcaf.net.comparators.base_config import NetworkConfig
from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.penet import PENetTrunk
from mmcaf.net.registry import build, image_side
from mmcaf.net.stage_views import (
    IMAGE_SIDE,
    FusionStage,
    ImageStage,
    OnImageSide,
    StepStage,
    TrunkStage,
)
from mmcaf.training.frozen import FrozenFold, digest_of, frozen_fold
from mmcaf.training.loop import autocast, fit, load_model_state

__all__ = ["LastStage", "StageEpoch", "StageEpochs", "last_stage", "whole_network"]

_FORMAT = 2  # to be raised when the same config no longer gives the same weights
_TRUNK_FIELDS = ("width",)
_IMAGE_FIELDS = (
    "pyramid_scales",
    "kernel_sizes",
    "bfpu",
    "drop",
    "tokens",
    "token_grid",
    "embedding_dim",
)
# Nothing that a stage learns.
_NOT_OF_A_STAGE = (
    "stages",
    "frozen_draws",
    "step_epochs",
    "step_batch_size",
    "step_lr",
)
_TRUNK_HEAD = "penet"  # what PENet's own head is called beside the image side

Network = ModelConfig | NetworkConfig


class StageEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """What one epoch of a stage gave."""

    auroc: float | None = None
    train_loss: float | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class StageEpochs(msgspec.Struct, frozen=True, kw_only=True):
    """What a stage's checkpoint says of itself."""

    epochs: tuple[StageEpoch, ...] = ()


@dataclass(frozen=True, slots=True)
class LastStage:
    """What a trial trains, ready for `fit`."""

    view: nn.Module  # what learns, as the last stage sees it
    batches: FoldSource
    net: nn.Module  # the whole network, which shares the view's modules
    parameters: int  # weights that the last stage decides
    seconds: float = 0.0  # spent on a comparator's own steps before it


def whole_network(model: Network) -> nn.Module:
    """The network of `model`, from windows and tables to logits, with fresh weights."""
    if isinstance(model, ModelConfig):
        return MMCAFNet(model)
    return OnImageSide(build(model), image_side(model))


def last_stage(
    model: Network,
    train: TrainConfig,
    batches: FoldBatches,
    *,
    seed: int,
    shared_seed: int,
    source: str,
    folder: Path | None = None,
    device: str = "cpu",
) -> Generator[None, None, LastStage]:
    """Train or read the earlier stages, then build the last one on them.

    Yields after every epoch of an earlier stage, and every second while another process trains
    one, so that the caller knows it is alive; returns the last stage.

    Args:
        model: the network.
        train: its `stages` say what is trained one after another.
        batches: windows of one fold.
        seed: of the weights that only the last stage trains.
        shared_seed: of the earlier stages; the same for all trials that may share them.
        source: digest of the volumes and rows behind `batches`.
        folder: where earlier stages and image tokens are kept; None keeps nothing.
        device: where to compute.
    """
    cases = list(batches.train.case)
    versions = [_FORMAT, torch.__version__]
    digest = digest_of(source, batches.fitted(), cases, asdict(batches.train.config), versions)
    side, weights = image_side(model), dict[str, Tensor]()
    for stage in train.stages[:-1]:
        config = train.of(stage)
        ours = _TRUNK_FIELDS if stage.part == "trunk" else _IMAGE_FIELDS
        digest = digest_of(
            digest,
            {name: getattr(side, name) for name in ours},
            {k: v for k, v in asdict(config).items() if k not in _NOT_OF_A_STAGE},
            [stage.part, shared_seed, device, torch.get_num_threads()],
        )
        of_stage = _trunk_stage if stage.part == "trunk" else _image_stage
        view = of_stage(side, weights, shared_seed)
        path = folder / f"{stage.part}-{digest}.safetensors" if folder else None
        # Order and augmentation, too, must not be those of the trial that happens to come first.
        shared = batches.sampled(config, seed=shared_seed)
        weights |= yield from _trained(view, shared, config, shared_seed, path, device)
    torch.manual_seed(seed)
    net = whole_network(model)
    net.load_state_dict(weights, strict=False)
    found: FoldBatches | FrozenFold = batches
    if train.parts[-1] == "fusion":
        net.to(device).eval()
        found = frozen_fold(
            batches,
            _encoder(net, train, device),
            draws=train.frozen_draws,
            window_seed=shared_seed,
            folder=folder,
            digest=_features_digest(digest, weights, net),
        )
    if isinstance(net, OnImageSide):
        _adopt(net.net, side, weights)
        return (yield from _comparator(net, train, batches, found, seed, device))
    last = train.parts[-1]
    view = FusionStage(net) if isinstance(net, MMCAFNet) and last == "fusion" else net
    return LastStage(view, found, net, _learnt(view))


def _comparator(
    net: OnImageSide,
    train: TrainConfig,
    windows: FoldBatches,
    found: FoldBatches | FrozenFold,
    seed: int,
    device: str,
) -> Generator[None, None, LastStage]:
    """The steps before the network's last, trained or solved; then its last."""
    *earlier, last = net.net.steps
    started = time.perf_counter()
    for step in earlier:
        if step.solved:
            _solve(net.net, step, windows)
            continue
        config = train.altered({**step.recipe, **train.of_steps})
        view = StepStage(net.net, step)
        for _ in fit(view, found.sampled(config), config, seed=seed, device=device):
            yield
    view = StepStage(net.net, last)
    parameters = _learnt(view)
    if last.solved:
        _solve(net.net, last, windows)
        net.net.requires_grad_(False)
    return LastStage(view, found, net, parameters, time.perf_counter() - started)


def _solve(net: Comparator, step: Step, batches: FoldBatches) -> None:
    table, label = batches.train.columns()
    net.cpu().solve(step.name, table, label)


def _adopt(net: Comparator, side: ModelConfig, weights: dict[str, Tensor]) -> None:
    """Give the comparator what PENet has learnt alone, if it was trained."""
    if not any(name.startswith(f"{_TRUNK_HEAD}.") for name in weights):
        return
    penet = TrunkStage(PENetTrunk(side), side)
    names = {name: name.replace("head.", f"{_TRUNK_HEAD}.", 1) for name in penet.state_dict()}
    penet.load_state_dict({ours: weights[kept] for ours, kept in names.items()})
    net.adopt(penet.trunk, penet.head)


def _features_digest(digest: str, weights: dict[str, Tensor], net: nn.Module) -> str:
    side = {n: tensor for n, tensor in weights.items() if n.split(".")[0] in IMAGE_SIDE}
    read = net.net.reads if isinstance(net, OnImageSide) else "tokens"
    return digest_of(digest, side, read)


def _learnt(view: nn.Module) -> int:
    return sum(p.numel() for p in view.parameters() if p.requires_grad)


def _trunk_stage(side: ModelConfig, weights: dict[str, Tensor], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return TrunkStage(PENetTrunk(side), side)


def _image_stage(side: ModelConfig, weights: dict[str, Tensor], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = MMCAFNet(side)
    net.load_state_dict(weights, strict=False)
    torch.manual_seed(seed)  # the stage's head must not depend on what follows the image side
    return ImageStage(net)


def _trained(
    view: nn.Module,
    batches: FoldBatches,
    config: TrainConfig,
    seed: int,
    path: Path | None,
    device: str,
) -> Generator[None, None, dict[str, Tensor]]:
    """The image side's weights after the stage, by their names in the network."""
    if path is None:
        for _ in fit(view, batches, config, seed=seed, device=device):
            yield
        return _image_side(view)
    while (kept := _kept(path)) is None:
        with locked(path, wait=False) as mine:
            if mine and not path.exists():
                yield from _train_into(path, view, batches, config, seed, device)
        if not mine:
            yield
            time.sleep(1)
    return dict(kept.tensors)


def _kept(path: Path) -> Checkpoint | None:
    """The checkpoint in `path`; None where there is none. A damaged one is deleted."""
    if not path.exists() and not path.is_symlink():
        return None
    try:
        found = checkpoint.load(path, path.parent)
        found.told(StageEpochs)
    except DataError:
        path.unlink(missing_ok=True)
        return None
    return found


def _train_into(
    path: Path, view: nn.Module, batches: FoldBatches, config: TrainConfig, seed: int, device: str
) -> Generator[None, None, None]:
    last = path.with_name(f"{path.stem}-last.safetensors")
    resume = _kept(last)
    known = resume.told(StageEpochs).epochs if resume else ()
    found: list[dict[str, Any]] = [msgspec.structs.asdict(epoch) for epoch in known]
    for report in fit(view, batches, config, seed=seed, device=device, resume=resume):
        found.append(
            {
                "auroc": report.rates["auroc"],
                "train_loss": report.train_loss,
                "seconds": report.seconds,
            }
        )
        snapshot = report.snapshot()
        checkpoint.save(last, Checkpoint(snapshot.tensors, {**snapshot.meta, "epochs": found}))
        yield
    if resume is not None and len(found) == len(known):
        load_model_state(view, resume)  # killed after its last epoch, before the weights were kept
    checkpoint.save(path, Checkpoint(_image_side(view), {"epochs": found}))
    last.unlink(missing_ok=True)


def _image_side(view: nn.Module) -> dict[str, Tensor]:
    """What later stages know of `view`: the image side, and of the trunk's stage its head."""
    net = view.net if isinstance(view, ImageStage) else view
    kept = {name: t for name, t in net.state_dict().items() if name.split(".")[0] in IMAGE_SIDE}
    if isinstance(view, TrunkStage):
        kept |= {f"{_TRUNK_HEAD}.{name}": t for name, t in view.head.state_dict().items()}
    return {name: tensor.detach().cpu().clone() for name, tensor in kept.items()}


def _encoder(net: nn.Module, train: TrainConfig, device: str) -> Callable[[Tensor], Tensor]:
    name = "image_tokens" if isinstance(net, MMCAFNet) else "features"
    features: Callable[[Tensor], Tensor] = getattr(net, name)

    @torch.no_grad()
    def encode(window: Tensor) -> Tensor:
        with autocast(train.precision, device):
            tokens = features(window.to(device))
        return tokens.float().cpu()

    return encode
