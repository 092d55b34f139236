"""Which stages of training lead to what a network reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mmcaf.config import Part, TrainConfig

if TYPE_CHECKING:
    pass
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


def stage_faults(config: Any, train: TrainConfig) -> Iterator[str]:
    """What of `train` does not fit the network: stages that do not lead to what it reads, epochs
    where nothing is learnt in epochs, a patient twice in a batch whose patients are compared."""
    network = network_of(config)
    allowed = _OWN_STAGES if network.reads is None else _STAGES[network.reads(config)]
    if train.parts not in allowed:
        options = "; ".join(", ".join(parts) for parts in allowed)
        yield (
            f"Need stages of {network.name} to be one of: {options}; got {', '.join(train.parts)}"
            + ("." if network.reads is None else f", since it reads {network.reads(config)}.")
        )
    if train.of_steps and not network.earlier:
        given = ", ".join(f"step_{name}" for name in train.of_steps)
        yield f"{network.name} has no steps of its own before its last; leave out {given}."
    if network.solved(config) and train.epochs != 1:
        yield f"Need epochs to be 1, since {network.name} is solved at once, got {train.epochs}."
    if network.unique and train.oversample:
        yield (
            f"Need oversample to be false, since {network.name} compares the patients of a batch "
            "and none may come twice, got True."
        )
