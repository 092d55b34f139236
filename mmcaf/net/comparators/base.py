"""What every comparator is: a network of image features and a clinical row, trained in steps.

Image features come from the trunk all of them share, so that a difference between two rows of the
comparison is not one of trunks. Where the trunk is frozen they may be computed once and kept.

Axes: b batch, c channels, d slices, h rows, w columns, e embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmcaf.net.comparators.inputs import Inputs, Modality, filled, presence
from mmcaf.net.entry import Reads
from mmcaf.net.losses import Loss, binary_loss
from mmcaf.net.penet import PENetHead, PENetTrunk

__all__ = [
    "IMAGE_ALONE",
    "TABLE_ALONE",
    "Comparator",
    "Inputs",
    "Output",
    "Reads",
    "Step",
    "filled",
    "presence",
]

IMAGE_ALONE = {"optimizer": "adamw", "lr": 3e-4, "epochs": 50, "batch_size": 4}
"""The recipe of a network that reads windows."""

TABLE_ALONE = {"optimizer": "adamw", "lr": 1e-3, "epochs": 50, "batch_size": 16}
"""The recipe of a network that learns on the table, or on features computed beforehand."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a network answers."""

    logit: Float[Tensor, " b"]  # of the probability the method reports
    parts: dict[str, Tensor] = field(default_factory=dict)  # what its losses and tests need


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a method's training.

    Of the last step, epochs and learning rate are the `TrainConfig`'s; those in `recipe` are what
    the method's authors, or the common protocol, would begin with.
    """

    name: str
    learns: tuple[str, ...]  # modules or parameters, by name; all others are as they are
    recipe: Mapping[str, Any] = field(default_factory=dict)  # fields of `TrainConfig` it overrides
    solved: bool = False  # fitted at once by `solve`, without epochs


class Comparator(nn.Module):
    """Base of all comparators; a subclass sets `reads`, `steps` and `answer`."""

    reads: Reads
    steps: tuple[Step, ...]  # in order
    required: tuple[Modality, ...] = ()  # what no sample may lack
    _learns: tuple[str, ...] | None = None  # None: everything

    def forward(
        self,
        image: Float[Tensor, "b ..."],
        table: Float[Tensor, "b 7"],
        has_image: Bool[Tensor, " b"] | None = None,
        has_table: Bool[Tensor, " b"] | None = None,
    ) -> Output:
        """Logits of squamous carcinoma.

        Args:
            image: what `reads` says; of no effect where that is `none`.
            table: clinical values within [-1, 1]; of no effect in a network of the image alone.
            has_image: samples whose image is there; None: all.
            has_table: samples whose table is there; None: all.

        Raises:
            ValueError: a sample lacks what the network cannot do without.
        """
        there = presence(table, has_image, has_table, required=self.required)
        image = image if has_image is None else filled(image, has_image)
        table = table if has_table is None else filled(table, has_table)
        return self.answer(Inputs(image, table, *there))

    def answer(self, given: Inputs) -> Output:
        """The logits of a batch."""
        raise TypeError(f"{type(self).__name__} defines no answer.")

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """What `step` makes small; `kind` stands for the cross-entropy of a label wherever one is.

        Unless a method says otherwise, that of `output.logit`.
        """
        return binary_loss(output.logit, label, kind)

    def solve(self, step: str, table: Float[Tensor, "n 7"], label: Float[Tensor, " n"]) -> None:
        """Fit what a `solved` step learns, to the training cases, each once."""
        raise ValueError(f"{type(self).__name__} has no step {step!r} to be solved.")

    def adopt(self, trunk: PENetTrunk, head: PENetHead) -> None:
        """Take over what PENet, trained alone, has learnt, where the network holds a copy of it."""

    def enter(self, step: str) -> Self:
        """Make what `step` learns the only thing that gets gradients and is in training mode.

        Raises:
            ValueError: there is no such step.
        """
        steps = {known.name: known for known in self.steps}
        if step not in steps:
            raise ValueError(f"Need step to be one of {', '.join(steps)}, got {step!r}.")
        self._learns = steps[step].learns
        for name, parameter in self.named_parameters():
            if parameter.is_floating_point() and not name.endswith(_CONSTANTS):
                parameter.requires_grad_(_within(name, self._learns))
        return self.train()

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`; what the step entered does not learn stays in evaluation mode."""
        super().train(mode)
        if self._learns is not None:
            for name, module in self.named_modules():
                module.training = mode and (not name or _within(name, self._learns))
        return self


_CONSTANTS = (".grid", ".mask")  # pykan keeps these as parameters that never learn


def _within(name: str, learns: tuple[str, ...]) -> bool:
    return any(name == known or name.startswith(f"{known}.") for known in learns)
