"""The stages before the last: what they learnt, computed once per digest and shared by all trials.

A trial is its last stage. What comes before depends on fewer choices: the trunk on the width alone,
the image side on nothing of the clinical encoder, the attention or the last stage's learning rate.
Each earlier stage is therefore named by the digest of all that decides it (its seed too, which is
the study's and not the trial's), trained by whoever needs it first and read by all others. It is
trained on the training cases of its fold alone, so nothing of a validation case reaches a trial.

A killed stage goes on from the epoch it had stored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmcaf import checkpoint
from mmcaf.checkpoint import Checkpoint
from mmcaf.config import TrainConfig
from mmcaf.data.batches import FoldBatches, FoldSource
from mmcaf.features import digest_of, frozen_fold
from mmcaf.files import locked
from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.penet import PENetTrunk
from mmcaf.net.stages import IMAGE_SIDE, FusionStage, ImageStage, TrunkStage
from mmcaf.training import autocast, fit, load_model_state

__all__ = ["LastStage", "last_stage"]

_FORMAT = 1  # to be raised when the same config no longer gives the same weights
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
_NOT_OF_A_STAGE = ("stages", "frozen_draws", "accumulate")  # nothing that a stage learns


@dataclass(frozen=True, slots=True)
class LastStage:
    """What a trial trains, ready for `fit`."""

    view: nn.Module  # what learns, as the last stage sees it
    batches: FoldSource
    net: MMCAFNet  # the whole network, which shares the view's modules


def last_stage(
    model: ModelConfig,
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
    weights: dict[str, Tensor] = {}
    # Order and augmentation, too, must not be those of the trial that happens to come first.
    shared = replace(batches, train=replace(batches.train, seed=shared_seed))
    for stage in train.stages[:-1]:
        ours = _TRUNK_FIELDS if stage.part == "trunk" else _IMAGE_FIELDS
        digest = digest_of(
            digest,
            {name: getattr(model, name) for name in ours},
            {k: v for k, v in asdict(train.of(stage)).items() if k not in _NOT_OF_A_STAGE},
            [stage.part, shared_seed, device, torch.get_num_threads()],
        )
        build = _trunk_stage if stage.part == "trunk" else _image_stage
        view = build(model, weights, shared_seed)
        path = folder / f"{stage.part}-{digest}.safetensors" if folder else None
        weights |= yield from _trained(view, shared, train.of(stage), shared_seed, path, device)
    torch.manual_seed(seed)
    net = MMCAFNet(model)
    net.load_state_dict(weights, strict=False)
    if train.stages[-1].part != "fusion":
        return LastStage(net, batches, net)
    net.to(device).eval()
    frozen = frozen_fold(
        batches,
        _encoder(net, train, device),
        draws=train.frozen_draws,
        window_seed=shared_seed,
        folder=folder,
        digest=digest_of(digest, weights),
    )
    return LastStage(FusionStage(net), frozen, net)


def _trunk_stage(model: ModelConfig, weights: dict[str, Tensor], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return TrunkStage(PENetTrunk(model), model)


def _image_stage(model: ModelConfig, weights: dict[str, Tensor], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    net = MMCAFNet(model)
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
    while not path.exists():
        with locked(path, wait=False) as mine:
            if mine and not path.exists():
                yield from _train_into(path, view, batches, config, seed, device)
        if not mine:
            yield
            time.sleep(1)
    return dict(checkpoint.load(path).tensors)


def _train_into(
    path: Path, view: nn.Module, batches: FoldBatches, config: TrainConfig, seed: int, device: str
) -> Generator[None, None, None]:
    last = path.with_name(f"{path.stem}-last.safetensors")
    resume = checkpoint.load(last) if last.exists() else None
    found: list[dict[str, Any]] = list(resume.meta["epochs"]) if resume else []
    for report in fit(view, batches, config, seed=seed, device=device, resume=resume):
        found.append({"auroc": report.rates["auroc"], "train_loss": report.train_loss})
        snapshot = report.snapshot()
        checkpoint.save(last, Checkpoint(snapshot.tensors, {**snapshot.meta, "epochs": found}))
        yield
    if resume is not None and len(found) == len(resume.meta["epochs"]):
        load_model_state(view, resume)  # killed after its last epoch, before the weights were kept
    checkpoint.save(path, Checkpoint(_image_side(view), {"epochs": found}))
    last.unlink(missing_ok=True)


def _image_side(view: nn.Module) -> dict[str, Tensor]:
    net = view.net if isinstance(view, ImageStage) else view
    return {
        name: tensor.detach().cpu().clone()
        for name, tensor in net.state_dict().items()
        if name.split(".")[0] in IMAGE_SIDE
    }


def _encoder(net: MMCAFNet, train: TrainConfig, device: str) -> Callable[[Tensor], Tensor]:
    @torch.no_grad()
    def encode(window: Tensor) -> Tensor:
        with autocast(train.precision, device):
            tokens = net.image_tokens(window.to(device))
        return tokens.float().cpu()

    return encode
