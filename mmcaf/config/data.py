"""How windows are cut from a volume."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import Field

from mmcaf.config.settings import Fault, Rule, Settings, settings

__all__ = ["DataConfig", "HuWindow"]

Location = Literal["tiling", "oracle"]
HuWindow = tuple[float, float]  # low, high
Pixels = Annotated[int, Field(ge=1, le=4096)]


def _windows(hu: Any) -> tuple[HuWindow, ...]:
    single = not any(isinstance(part, tuple) for part in hu)
    return cast("tuple[HuWindow, ...]", (hu,) if single else hu)


_RISING = Rule(
    "[low, high] with low < high, or three of these",
    lambda hu: all(low < high for low, high in _windows(hu)),
)


@settings
class DataConfig(Settings):
    """How windows are cut from a volume.

    `location` says where evaluation looks: `tiling` covers the whole volume without knowing where
    the lesion is; `oracle` centres on the annotated lesion, which no scanner delivers, and is
    therefore written on every result. Training windows are always drawn around the lesion.
    """

    window: tuple[Pixels, Pixels, Pixels] = (12, 192, 192)  # slices, rows, columns
    # Mapped to [0, 1], clipped outside; three windows (lung, mediastinum, wide) are three channels.
    hu: Annotated[HuWindow | tuple[HuWindow, HuWindow, HuWindow], _RISING] = (-1000.0, 400.0)
    tile_stride: Annotated[int, Field(ge=1, le=4096)] = 6  # slices between two evaluation windows
    location: Location = "tiling"  # where evaluation looks
    jitter_slices: Annotated[int, Field(ge=0, le=64)] = 2  # how far training windows move
    rotate_degrees: Annotated[float, Field(ge=0, le=180)] = 15.0  # at most, either way, in training
    flip: bool = True  # left and right, in training
    sharpen: bool = True  # at random, in training

    def conflicts(self) -> Iterator[Fault]:
        """The window is square, and no slice lies between two of them."""
        slices, rows, columns = self.window
        if rows != columns:
            yield Fault(("window",), f"need a square window, rows = columns, got {self.window!r}")
        if self.tile_stride > slices:
            words = f"need {slices} at most, the slices of a window, got {self.tile_stride!r}"
            yield Fault(("tile_stride",), words, of=("window",))

    @property
    def windows_hu(self) -> tuple[HuWindow, ...]:
        """The HU window of every channel."""
        return _windows(self.hu)

    @property
    def in_plane_px(self) -> int:
        """Side of the cached slices: 8 pixels of crop jitter on each side of the window."""
        return self.window[1] + 16
