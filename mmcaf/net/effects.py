"""Which settings of a trial change nothing, whatever value they have, and why.

A config class knows this of its own fields (`without_effect`). Here is what only all three sections
together tell: a stage of training, the windows and the network decide what a setting can reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from mmcaf.config import DataConfig, TrainConfig
from mmcaf.net.config import ModelConfig
from mmcaf.net.registry import network_of, reads_image

__all__ = ["map_cells", "without_effect"]

_BY_STEPS: tuple[str, ...] = (
    "batch_size",
    "accumulate",
    "optimizer",
    "lr",
    "schedule",
    "warmup_epochs",
)
_BY_STEPS += ("weight_decay", "momentum", "dampening", "loss", "oversample")
_HALVED = (3, 4, 4)  # how often the trunk halves depth, height and width, rounding up


def without_effect(model: Any, train: TrainConfig, data: DataConfig) -> dict[str, str]:
    """Settings by dotted path that change no number of this trial, each with the reason.

    A setting counts where its value does nothing: `train.warmup_epochs` of 1 under a constant
    rate, which is the rate itself. Where this cannot be told without building the network, as of
    the own steps of a comparator, a setting is taken to have an effect.
    """
    found = {f"model.{name}": why for name, why in model.without_effect().items()}
    found |= {f"train.{name}": why for name, why in _of_training(model, train)}
    found |= {f"data.{name}": why for name, why in _of_windows(model, data)}
    if isinstance(model, ModelConfig) and model.tokens == "grid":
        cells = map_cells(data)
        if any(grid > cell for grid, cell in zip(model.token_grid, cells, strict=True)):
            shown = " x ".join(map(str, cells))
            found["model.token_grid"] = (
                f"the map it pools has {shown} cells in a window of {list(data.window)}, and a "
                "finer grid only repeats them"
            )
    return found


def map_cells(data: DataConfig) -> tuple[int, ...]:
    """Cells of the coarsest map along depth, height and width, which the token grid pools.

    >>> map_cells(DataConfig())
    (2, 12, 12)
    """
    return tuple(-(-side // 2**n) for side, n in zip(data.window, _HALVED, strict=True))


def _of_windows(model: Any, data: DataConfig) -> Iterator[tuple[str, str]]:
    if not reads_image(model):
        why = f"{model.name} reads the table alone"
        yield from ((field.name, why) for field in fields(data))
    elif data.location == "oracle":
        yield "tile_stride", "with location oracle a case has one window; set location: tiling"


def _of_training(model: Any, train: TrainConfig) -> Iterator[tuple[str, str]]:
    network = network_of(model)
    if train.parts[-1] != "fusion":
        yield "frozen_draws", "no stage of train.stages leaves the image side frozen"
    elif not train.oversample and train.frozen_draws >= train.epochs and not network.earlier:
        words = f"a case is drawn once an epoch, of {train.epochs}, so no more draws are made"
        yield "frozen_draws", words
    if network.earlier:
        return  # steps of its own may read what the last one does not
    parts = [(stage.recipe, train.of(stage)) for stage in train.stages[:-1]]
    reasons = [{k: why for k, why in _idle(of).items() if k not in own} for own, of in parts]
    owned = [{*own} for own, _ in parts]
    owned.append(set())
    if network.is_solved(model):
        reasons.append(dict.fromkeys(_BY_STEPS, f"{model.name} is solved at once, without steps"))
    else:
        reasons.append(_idle(train))
    for name, why in reasons[-1].items():
        if all(name in of or name in own for of, own in zip(reasons, owned, strict=True)):
            yield name, why


def _idle(train: TrainConfig) -> dict[str, str]:
    """Fields that change nothing in a stage trained by `train`, each with the reason."""
    falling = train.epochs - train.warmup_epochs
    flat = train.schedule == "constant" or train.epochs == 1
    rules = (
        (train.momentum == 0, ("dampening",), "momentum is 0, which leaves nothing to dampen"),
        (
            train.optimizer == "adamw",
            ("momentum", "dampening"),
            "adamw has no such setting; set optimizer: sgd",
        ),
        (
            falling <= 1,
            ("schedule",),
            f"{max(falling, 0)} epochs after the warm-up leave nothing to fall; raise epochs",
        ),
        (
            train.warmup_epochs <= 1 and flat,
            ("warmup_epochs",),
            "a rise over one epoch begins at the learning rate itself",
        ),
    )
    return {name: why for applies, names, why in rules if applies for name in names}
