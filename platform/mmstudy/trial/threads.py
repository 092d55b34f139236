"""A trial computes on the cores it was given, whichever library does the work."""

from __future__ import annotations

import os

import cv2
import pyarrow as pa
import torch

__all__ = ["pin_threads"]

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")


def pin_threads(threads: int) -> None:
    """At most `threads` threads for torch, OpenCV and Arrow, and for processes begun after this.

    Polars makes its pool when it is imported, and does next to nothing in a trial.
    """
    for name in _VARIABLES:
        os.environ[name] = str(threads)
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    pa.set_cpu_count(threads)
    pa.set_io_thread_count(threads)
