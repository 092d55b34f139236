"""What a trial is built from, besides the network: the windows it sees and how it is trained.

Frozen values that refuse a wrong combination when built, so that a study can be checked whole
before anything runs. No torch here: a spec is validated, and a dashboard opened, without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal, cast, get_args

__all__ = ["DataConfig", "HuWindow", "TrainConfig"]

Optimizer = Literal["sgd", "adamw"]
Loss = Literal["bce", "focal"]
Location = Literal["tiling", "oracle"]
HuWindow = tuple[float, float]  # low, high


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
class TrainConfig:
    """One stage of end-to-end training, with the paper's values as defaults."""

    epochs: int = 50
    batch_size: int = 4
    optimizer: Optimizer = "sgd"
    lr: float = 1e-4
    weight_decay: float = 0.01
    momentum: float = 0.9
    dampening: float = 0.9
    loss: Loss = "bce"
    oversample: bool = True  # squamous cases to parity, in the training fold only

    def __post_init__(self) -> None:
        _within("epochs", self.epochs, 1, 10_000)
        _within("batch_size", self.batch_size, 2, 4096)  # batch norm needs two
        _within("lr", self.lr, 1e-9, 10.0)
        _within("weight_decay", self.weight_decay, 0.0, 10.0)
        _within("momentum", self.momentum, 0.0, 0.9999)
        _within("dampening", self.dampening, 0.0, 1.0)
        _one_of("optimizer", self.optimizer, Optimizer)
        _one_of("loss", self.loss, Loss)
