"""What a comparator is given: image features and a clinical row, sample by sample there or missing.

What the tensor of a missing modality holds, NaN included, has no influence: zeros replace it.

Axes: b batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["Inputs", "Modality", "filled", "presence"]

Modality = Literal["image", "table"]


@dataclass(frozen=True, slots=True)
class Inputs:
    """A batch as a network answers it: what is missing has become zeros."""

    image: Float[Tensor, "b ..."]  # what `reads` says; of no meaning where that is `none`
    table: Float[Tensor, "b 7"]  # clinical values within [-1, 1]
    has_image: Bool[Tensor, " b"]
    has_table: Bool[Tensor, " b"]


def presence(
    table: Float[Tensor, "b 7"],
    has_image: Bool[Tensor, " b"] | None,
    has_table: Bool[Tensor, " b"] | None,
    *,
    required: tuple[Modality, ...] = (),
) -> tuple[Bool[Tensor, " b"], Bool[Tensor, " b"]]:
    """Which samples have an image, and which a table.

    Raises:
        ValueError: a sample has neither, or lacks what is `required`.
    """
    everywhere = torch.ones(len(table), dtype=torch.bool, device=table.device)
    if has_image is None and has_table is None:
        return everywhere, everywhere  # nothing to check, for which a GPU would have to be awaited
    found = {
        "image": everywhere if has_image is None else has_image,
        "table": everywhere if has_table is None else has_table,
    }
    for name in required:
        if not found[name].all():
            raise ValueError(f"Need the {name} of every sample, got {_missing(found[name])}.")
    if not (found["image"] | found["table"]).all():
        both = _missing(found["image"] | found["table"])
        raise ValueError(f"Need an image or a table of every sample, got {both}.")
    return found["image"], found["table"]


def filled(x: Float[Tensor, "b ..."], has: Bool[Tensor, " b"]) -> Float[Tensor, "b ..."]:
    """`x` with zeros in place of the samples that are missing."""
    return torch.where(has.view(-1, *[1] * (x.ndim - 1)), x, torch.zeros_like(x))


def _missing(has: Bool[Tensor, " b"]) -> str:
    return f"none at position {int((~has).nonzero()[0])} of the batch"
