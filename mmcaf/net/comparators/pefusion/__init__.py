"""PEfusion: PENet's probability and a table model's, averaged; or joint and early fusion."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config import TrainConfig
from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import Dropout, NetworkConfig
from mmcaf.net.entry import Learnt, Network, PaperRow

__all__ = ["NETWORK", "PefusionConfig"]

Fusion = Literal["late_elastic", "late_nn", "joint", "early"]
ClassWeight = Literal["none", "balanced"]
Nonlinearity = Literal["elu", "leaky_relu", "tanh"]


@settings
class PefusionConfig(NetworkConfig):
    """PEfusion: PENet's probability and a table model's, averaged; or joint and early fusion."""

    name: Literal["pefusion"] = "pefusion"
    fusion: Fusion = "late_elastic"
    image_weight: Annotated[float, Field(ge=0, le=1)] = 0.5  # of PENet's probability in the average
    # Elastic net. None: chosen on the training cases, by AUROC over five folds of these.
    # C: weight of the data against the penalty.
    strength: Annotated[float, Field(ge=1e-6, le=1e6)] | None = None
    l1_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    class_weight: ClassWeight | None = None
    # Networks of the other three.
    nodes: Annotated[int, Field(ge=1, le=1024)] = 100
    layers: Annotated[int, Field(ge=0, le=10)] = 1
    activation: Nonlinearity = "elu"
    dropout: Dropout = 0.3

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing, each with the reason."""
        elastic, networks = ("strength", "l1_ratio", "class_weight"), ("nodes", "layers")
        found: dict[str, str] = {}
        if self.fusion == "late_elastic":
            why = "an elastic net reads the table; set fusion: late_nn, joint or early"
            found |= dict.fromkeys((*networks, "activation", "dropout"), why)
        else:
            found |= dict.fromkeys(elastic, "networks read the table; set fusion: late_elastic")
            if self.layers == 0:
                found["dropout"] = "there is no hidden layer to drop from; set layers: 1"
        if not self.fusion.startswith("late"):
            found["image_weight"] = "nothing is averaged; set fusion: late_elastic or late_nn"
        return found


def _learns_at(config: PefusionConfig, train: TrainConfig) -> Learnt:
    """Late fusion averages two models: PENet as its stage trained it, and that of the table."""
    of_table: Learnt = "even" if train.oversample else "own"
    if not config.fusion.startswith("late"):
        return of_table
    if config.fusion == "late_elastic":
        if config.class_weight is None:
            return "unknown"
        of_table = "even" if config.class_weight == "balanced" else "own"
    of_image: Learnt = "even" if train.of(train.stages[0]).oversample else "own"
    if config.image_weight in (0, 1):
        return of_image if config.image_weight else of_table
    return of_table if of_table == of_image else "unknown"


NETWORK = Network(
    config=PefusionConfig,
    built_by=".network:pefusion",
    reads=lambda config: "deepest" if config.fusion.startswith("late") else "pooled",
    solved=lambda config: config.fusion == "late_elastic",
    learns_at=_learns_at,
    rows=(
        PaperRow(
            key="pefusion", title="PEfusion, late elastic", table="1", place=5, published="PEfusion"
        ),
        PaperRow(
            key="pefusion_joint", title="PEfusion, joint", table="1", place=5, published="PEfusion"
        ),
    ),
)
