"""What a trial is built from, besides the network: the windows it sees and how it is trained.

Frozen values that refuse a wrong combination when built, so that a study can be checked whole
before anything runs. No torch here: a spec is validated, and a dashboard opened, without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import isfinite
from typing import Any, Literal, cast, get_args

__all__ = ["DataConfig", "HuWindow", "Part", "Precision", "Schedule", "Stage", "TrainConfig"]

Optimizer = Literal["sgd", "adamw"]
Loss = Literal["bce", "focal"]
Location = Literal["tiling", "oracle"]
HuWindow = tuple[float, float]  # low, high
Part = Literal["end_to_end", "trunk", "image", "fusion"]
Precision = Literal["fp32", "bf16"]
Schedule = Literal["constant", "cosine"]


def _one_of(name: str, value: object, allowed: object) -> None:
    options = get_args(allowed)
    if value not in options:
        raise ValueError(f"Need {name} to be one of {', '.join(options)}, got {value!r}.")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (isfinite(value) and low <= value <= high):
        raise ValueError(f"Need {low} <= {name} <= {high}, got {value!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """How windows are cut from a volume.

    `location` says where evaluation looks: `tiling` covers the whole volume without knowing where
    the lesion is; `oracle` centres on the annotated lesion, which no scanner delivers, and is
    therefore written on every result. Training windows are always drawn around the lesion.
    """

    window: tuple[int, int, int] = (12, 192, 192)  # slices, rows, columns
    # Mapped to [0, 1], clipped outside; three windows (lung, mediastinum, wide) are three channels.
    hu: HuWindow | tuple[HuWindow, HuWindow, HuWindow] = (-1000.0, 400.0)
    tile_stride: int = 6  # slices between two evaluation windows
    location: Location = "tiling"
    jitter_slices: int = 2
    rotate_degrees: float = 15.0
    flip: bool = True
    sharpen: bool = True

    def __post_init__(self) -> None:
        if len(self.window) != 3 or min(self.window) < 1:
            raise ValueError(f"Need window to be three positive sizes, got {self.window!r}.")
        if self.window[1] != self.window[2]:
            raise ValueError(f"Need a square window, rows = columns, got {self.window!r}.")
        windows = self.windows_hu
        if len(windows) not in (1, 3) or any(len(w) != 2 or not w[0] < w[1] for w in windows):
            raise ValueError(
                f"Need hu to be [low, high] with low < high, or three of these, got {self.hu!r}."
            )
        _within("tile_stride", self.tile_stride, 1, self.window[0])
        _within("jitter_slices", self.jitter_slices, 0, 64)
        _within("rotate_degrees", self.rotate_degrees, 0, 180)
        _one_of("location", self.location, Location)

    @property
    def windows_hu(self) -> tuple[HuWindow, ...]:
        """The HU window of every channel."""
        single = not any(isinstance(part, tuple) for part in self.hu)
        return cast("tuple[HuWindow, ...]", (self.hu,) if single else self.hu)

    @property
    def in_plane_px(self) -> int:
        """Side of the cached slices: 8 pixels of crop jitter on each side of the window."""
        return self.window[1] + 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of training: what learns in it, and all before it stays as it is.

    `trunk` is PENet with a head of its own, `image` the pyramid and its fusion with a head on the
    image alone, `fusion` whatever reads what these say of a window, and the table; `end_to_end` is
    everything. The last stage takes all else from the `TrainConfig`; of an earlier one, what is not
    given is as the last has it. A stage that gives all of it is the same for every network.
    """

    part: Part
    epochs: int | None = None
    lr: float | None = None
    batch_size: int | None = None
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    warmup_epochs: int | None = None
    weight_decay: float | None = None
    momentum: float | None = None
    dampening: float | None = None
    loss: Loss | None = None
    oversample: bool | None = None

    def __post_init__(self) -> None:
        _one_of("part", self.part, Part)
        if self.epochs is not None:
            _within("epochs", self.epochs, 1, 10_000)
        if self.lr is not None:
            _within("lr", self.lr, 1e-9, 10.0)

    @property
    def recipe(self) -> dict[str, Any]:
        """The fields of a `TrainConfig` that it gives."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value for name, value in given.items() if value is not None and name != "part"
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """How a network is trained, with the paper's values as defaults."""

    stages: tuple[Stage, ...] = (Stage(part="end_to_end"),)
    epochs: int = 50  # of the last stage
    batch_size: int = 4
    accumulate: int = 1  # micro-batches a step is made of, when a batch does not fit into memory
    optimizer: Optimizer = "sgd"
    lr: float = 1e-4  # of the last stage
    schedule: Schedule = "constant"  # cosine: from `lr` to 0 over a stage
    warmup_epochs: int = 0  # over which the learning rate rises to `lr`, in every stage
    weight_decay: float = 0.01
    momentum: float = 0.9
    dampening: float = 0.9
    loss: Loss = "bce"
    oversample: bool = True  # squamous cases to parity, in the training fold only
    precision: Precision = "fp32"  # bf16: autocast, on hardware that has it
    compile: bool = False  # by torch.compile, which takes minutes and needs a C++ compiler on a CPU
    frozen_draws: int = 8  # augmented windows per case where the image side is frozen
    # Of a comparator's own steps before its last; None: what the method has.
    step_epochs: int | None = None
    step_batch_size: int | None = None
    step_lr: float | None = None

    def __post_init__(self) -> None:
        _within("epochs", self.epochs, 1, 10_000)
        _within("batch_size", self.batch_size, 2, 4096)  # batch norm needs two
        _within("accumulate", self.accumulate, 1, self.batch_size // 2)
        _within("lr", self.lr, 1e-9, 10.0)
        _within("warmup_epochs", self.warmup_epochs, 0, self.epochs)
        _within("weight_decay", self.weight_decay, 0.0, 10.0)
        _within("momentum", self.momentum, 0.0, 0.9999)
        _within("dampening", self.dampening, 0.0, 1.0)
        _within("frozen_draws", self.frozen_draws, 1, 10_000)
        for name, low, high in _OF_STEPS:
            if (value := getattr(self, name)) is not None:
                _within(name, value, low, high)
        _one_of("optimizer", self.optimizer, Optimizer)
        _one_of("loss", self.loss, Loss)
        _one_of("schedule", self.schedule, Schedule)
        _one_of("precision", self.precision, Precision)
        self._check_stages()

    def _check_stages(self) -> None:
        parts = [stage.part for stage in self.stages]
        if parts not in _STAGES:
            allowed = "; ".join(", ".join(known) for known in _STAGES)
            raise ValueError(
                f"Need stages to be one of: {allowed}; got {', '.join(parts) or 'none'}. A part is "
                "trained on what the one before it has learnt, and the last stage makes the whole."
            )
        for stage in self.stages[:-1]:
            if stage.epochs is None or stage.lr is None:
                raise ValueError(f"Need epochs and lr of the stage {stage.part!r}.")
            try:
                self.of(stage)
            except ValueError as error:
                raise ValueError(f"The stage {stage.part!r}: {error}") from error
        last = self.stages[-1]
        if last.recipe:
            raise ValueError(
                f"The last stage, {last.part!r}, takes train.epochs, train.lr and all else of "
                f"train; give no {', '.join(last.recipe)} there."
            )

    @property
    def parts(self) -> tuple[Part, ...]:
        """What is trained, one after another."""
        return tuple(stage.part for stage in self.stages)

    def of(self, stage: Stage) -> TrainConfig:
        """The config of one stage alone, as if it were the only one."""
        return self.altered(stage.recipe)

    @property
    def of_steps(self) -> dict[str, Any]:
        """What is given for a comparator's own earlier steps, as fields of a `TrainConfig`."""
        given = {name: getattr(self, name) for name, *_ in _OF_STEPS}
        return {n.removeprefix("step_"): value for n, value in given.items() if value is not None}

    def altered(self, recipe: Mapping[str, Any]) -> TrainConfig:
        """The config of a single stage with the fields in `recipe`, and the others as here.

        Raises:
            ValueError: a field has a wrong value.
        """
        epochs = recipe.get("epochs", self.epochs)
        batch_size = recipe.get("batch_size", self.batch_size)
        fitting = {
            "warmup_epochs": min(self.warmup_epochs, epochs),
            "accumulate": max(1, min(self.accumulate, batch_size // 2)),
        }
        return replace(self, stages=(Stage(part="end_to_end"),), **(fitting | dict(recipe)))


_OF_STEPS = (("step_epochs", 1, 10_000), ("step_batch_size", 2, 4096), ("step_lr", 1e-9, 10.0))
_STAGES = (
    ["end_to_end"],
    ["trunk", "end_to_end"],
    ["trunk", "fusion"],
    ["trunk", "image", "end_to_end"],
    ["trunk", "image", "fusion"],
)
