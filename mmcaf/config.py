"""What a trial is built from, besides the network: the windows it sees and how it is trained.

Frozen values that refuse a wrong combination when built, so that a study can be checked whole
before anything runs. No torch here: a spec is validated, and a dashboard opened, without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal, cast, get_args

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
    image alone, `fusion` the clinical encoder, the attention and the final head; `end_to_end` is
    everything. The last stage takes epochs and learning rate from the `TrainConfig`.
    """

    part: Part
    epochs: int | None = None
    lr: float | None = None

    def __post_init__(self) -> None:
        _one_of("part", self.part, Part)
        if self.epochs is not None:
            _within("epochs", self.epochs, 1, 10_000)
        if self.lr is not None:
            _within("lr", self.lr, 1e-9, 10.0)


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
        last = self.stages[-1]
        if last.epochs is not None or last.lr is not None:
            raise ValueError(
                f"The last stage, {last.part!r}, takes train.epochs and train.lr; "
                "give no others there."
            )

    def of(self, stage: Stage) -> TrainConfig:
        """The config of one stage alone, as if it were the only one."""
        epochs = self.epochs if stage.epochs is None else stage.epochs
        return replace(
            self,
            stages=(Stage(part="end_to_end"),),
            epochs=epochs,
            lr=self.lr if stage.lr is None else stage.lr,
            warmup_epochs=min(self.warmup_epochs, epochs),
        )


_STAGES = (
    ["end_to_end"],
    ["trunk", "end_to_end"],
    ["trunk", "image", "end_to_end"],
    ["trunk", "image", "fusion"],
)
