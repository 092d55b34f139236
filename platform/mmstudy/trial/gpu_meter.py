"""How busy a trial's GPU is, looked at once a second; nothing where there is none to look at."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import torch

__all__ = ["GpuMeter"]

_EVERY_SECONDS = 1.0


class GpuMeter:
    """Mean utilisation of the current GPU since the last reading.

    NVML's figure: the share of time in which any process had work on the device. Trials that share
    a GPU see each other's. Without a GPU, or without NVML's Python package, there is no figure.

    Args:
        device: of the trial; only one of CUDA is looked at.
        look: gives the utilisation in percent now; torch's, unless given.
    """

    def __init__(self, device: str, look: Callable[[], int] = torch.cuda.utilization) -> None:
        self._look, self._seen = look, list[float]()
        self._ended = threading.Event()
        if device.startswith("cuda"):
            threading.Thread(target=self._watch, daemon=True).start()

    def reading(self) -> float | None:
        """The mean since the last reading, in [0, 1]; None where nothing was seen."""
        seen, self._seen = self._seen, []
        return sum(seen) / len(seen) / 100 if seen else None

    def end(self) -> None:
        """Look no more."""
        self._ended.set()

    def _watch(self) -> None:
        # ModuleNotFoundError without the package, RuntimeError and its own errors without NVML.
        with suppress(Exception):
            while not self._ended.wait(_EVERY_SECONDS):
                self._seen.append(self._look())
