"""Which stages of training lead to what a network reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mmcaf.config import Part, TrainConfig
from mmcaf.config.settings import Fault
from mmcaf.net.registry import network_of

__all__ = ["stage_faults"]

_OWN_STAGES: tuple[tuple[Part, ...], ...] = (
    ("end_to_end",),
    ("trunk", "end_to_end"),
    ("trunk", "image", "end_to_end"),
    ("trunk", "image", "fusion"),
)


_STAGES: dict[str, tuple[tuple[Part, ...], ...]] = {
    "none": (("end_to_end",),),
    "window": (("end_to_end",), ("trunk", "end_to_end")),
    "pooled": (("trunk", "fusion"),),
    "middle": (("trunk", "fusion"),),
    "deepest": (("trunk", "fusion"),),
    "embedding": (("trunk", "image", "fusion"),),
}
"""What a comparator reads -> the stages that lead to it."""


def stage_faults(config: Any, train: TrainConfig) -> Iterator[Fault]:
    """What of `train` does not fit the network: stages that do not lead to what it reads, epochs
    where nothing is learnt in epochs, a patient twice in a batch whose patients are compared."""
    network = network_of(config)
    reads = network.image_of(config)
    allowed = _OWN_STAGES if reads is None else _STAGES[reads]
    if train.parts not in allowed:
        options = "; ".join(", ".join(parts) for parts in allowed)
        why = "" if reads is None else f", since {network.name} reads {reads}"
        yield Fault(("stages",), f"need one of: {options}; got {', '.join(train.parts)}{why}")
    if not network.earlier:
        words = f"{network.name} has no steps of its own before its last; leave it out"
        yield from (Fault((f"step_{name}",), words) for name in train.of_steps)
    if network.is_solved(config) and train.epochs != 1:
        words = f"need 1, since {network.name} is solved at once, got {train.epochs}"
        yield Fault(("epochs",), words)
    if network.unique and train.oversample:
        yield Fault(
            ("oversample",),
            f"need false, since {network.name} compares the patients of a batch and none may come "
            "twice, got True",
        )
