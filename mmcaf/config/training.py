"""How a network is trained, stage after stage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from mmcaf.config.settings import Fault, Settings, WrongSettings, settings

__all__ = ["Part", "Precision", "Schedule", "Stage", "TrainConfig"]

Optimizer = Literal["sgd", "adamw"]
Loss = Literal["bce", "focal"]
Part = Literal["end_to_end", "trunk", "image", "fusion"]
Precision = Literal["fp32", "bf16"]
Schedule = Literal["constant", "cosine"]

Epochs = Annotated[int, Field(ge=1, le=10_000)]
BatchSize = Annotated[int, Field(ge=2, le=4096)]  # batch norm needs two
LearningRate = Annotated[float, Field(ge=1e-9, le=10)]
WarmupEpochs = Annotated[int, Field(ge=0, le=10_000)]
WeightDecay = Annotated[float, Field(ge=0, le=10)]
Momentum = Annotated[float, Field(ge=0, le=0.9999)]
Dampening = Annotated[float, Field(ge=0, le=1)]


@settings
class Stage(Settings):
    """One stage of training: what learns in it, and all before it stays as it is.

    `trunk` is PENet with a head of its own, `image` the pyramid and its fusion with a head on the
    image alone, `fusion` whatever reads what these say of a window, and the table; `end_to_end` is
    everything. The last stage takes all else from the `TrainConfig`; of an earlier one, what is not
    given is as the last has it. A stage that gives all of it is the same for every network.
    """

    part: Part  # what learns
    epochs: Epochs | None = None  # needed of a stage before the last, as is `lr`
    lr: LearningRate | None = None
    batch_size: BatchSize | None = None
    optimizer: Optimizer | None = None
    schedule: Schedule | None = None
    warmup_epochs: WarmupEpochs | None = None
    weight_decay: WeightDecay | None = None
    momentum: Momentum | None = None
    dampening: Dampening | None = None
    loss: Loss | None = None
    oversample: bool | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """The fields of a `TrainConfig` that it gives."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value for name, value in given.items() if value is not None and name != "part"
        }


@settings
class TrainConfig(Settings):
    """How a network is trained, with the paper's values as defaults."""

    stages: tuple[Stage, ...] = (Stage(part="end_to_end"),)  # one after another
    epochs: Epochs = 50  # of the last stage
    batch_size: BatchSize = 4  # cases of one step
    # Micro-batches a step is made of, when a batch does not fit into memory.
    accumulate: Annotated[int, Field(ge=1, le=2048)] = 1
    optimizer: Optimizer = "sgd"  # sgd also takes momentum and dampening
    lr: LearningRate = 1e-4  # of the last stage
    schedule: Schedule = "constant"  # cosine: from `lr` to 0 over a stage
    warmup_epochs: WarmupEpochs = 0  # over which the learning rate rises to `lr`, in every stage
    weight_decay: WeightDecay = 0.01  # the optimizer's
    momentum: Momentum = 0.9  # of sgd
    dampening: Dampening = 0.9  # of sgd
    loss: Loss = "bce"  # bce: cross-entropy; focal: gamma 2
    oversample: bool = True  # squamous cases to parity, in the training fold only
    precision: Precision = "fp32"  # bf16: autocast, on hardware that has it
    compile: bool = False  # by torch.compile, which takes minutes and needs a C++ compiler on a CPU
    # Augmented windows per case where the image side is frozen.
    frozen_draws: Annotated[int, Field(ge=1, le=10_000)] = 8
    # Of a comparator's own steps before its last; None: what the method has.
    step_epochs: Epochs | None = None
    step_batch_size: BatchSize | None = None  # of those steps; None: what the method has
    step_lr: LearningRate | None = None  # of those steps; None: what the method has

    def conflicts(self) -> Iterator[Fault]:
        """Micro-batches of two cases at least, a rise within a stage, stages that follow up."""
        most = self.batch_size // 2
        if self.accumulate > most:
            words = f"need {most} at most, half of batch_size, got {self.accumulate!r}"
            yield Fault(("accumulate",), words, of=("batch_size",))
        if self.warmup_epochs > self.epochs:
            words = f"need {self.epochs} at most, as many as epochs, got {self.warmup_epochs!r}"
            yield Fault(("warmup_epochs",), words, of=("epochs",))
        yield from self._stage_faults()

    def _stage_faults(self) -> Iterator[Fault]:
        parts = [stage.part for stage in self.stages]
        if parts not in _STAGES:
            allowed = "; ".join(", ".join(known) for known in _STAGES)
            yield Fault(
                ("stages",),
                f"need one of: {allowed}; got {', '.join(parts) or 'none'}. A part is trained on "
                "what the one before it has learnt, and the last stage makes the whole",
            )
            return
        for place, stage in enumerate(self.stages[:-1]):
            missing = [name for name in ("epochs", "lr") if getattr(stage, name) is None]
            if missing:
                words = f"need {' and '.join(missing)} of every stage before the last"
                yield Fault(("stages", place), words)
                continue
            try:
                self.of(stage)
            except WrongSettings as error:
                yield from (fault.below("stages", place) for fault in error.faults)
        if given := self.stages[-1].recipe:
            yield Fault(
                ("stages", len(parts) - 1),
                f"the last stage, {parts[-1]}, takes train.epochs, train.lr and all else of "
                f"train; give no {', '.join(given)} there",
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
        given = {name: getattr(self, name) for name in _OF_STEPS}
        return {n.removeprefix("step_"): value for n, value in given.items() if value is not None}

    def altered(self, recipe: Mapping[str, Any]) -> TrainConfig:
        """The config of a single stage with the fields in `recipe`, and the others as here.

        Raises:
            WrongSettings: a field has a wrong value.
        """
        epochs = recipe.get("epochs", self.epochs)
        batch_size = recipe.get("batch_size", self.batch_size)
        fitting = {
            "warmup_epochs": min(self.warmup_epochs, epochs),
            "accumulate": max(1, min(self.accumulate, batch_size // 2)),
        }
        return replace(self, stages=(Stage(part="end_to_end"),), **(fitting | dict(recipe)))


_OF_STEPS = ("step_epochs", "step_batch_size", "step_lr")
_STAGES = (
    ["end_to_end"],
    ["trunk", "end_to_end"],
    ["trunk", "fusion"],
    ["trunk", "image", "end_to_end"],
    ["trunk", "image", "fusion"],
)
