"""What each published method is built from; defaults are the originals' values where they fit.

Where a publication and its code differ, both are here, and the default is named. No torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import Fault, settings
from mmcaf.net.comparators.base_config import Dropout, NetworkConfig, Weight

__all__ = [
    "DaftConfig",
    "DrfuseConfig",
    "MedfuseConfig",
    "MmtmConfig",
    "PeconConfig",
    "PefusionConfig",
]

Target = Literal["clip", "sup"]
Late = Literal["prob", "logit"]
ImagePath = Literal["light", "full"]
Jsd = Literal["sum1", "mean1", "mean2"]
MmtmModules = Literal["last", "three"]
TrunkMode = Literal["frozen", "s3", "all"]
Fusion = Literal["late_elastic", "late_nn", "joint", "early"]
ClassWeight = Literal["none", "balanced"]
Nonlinearity = Literal["elu", "leaky_relu", "tanh"]
DaftForm = Literal["trunk", "shipped"]
ScaleActivation = Literal["linear", "sigmoid", "tanh"]

Neurons = Annotated[int, Field(ge=1, le=4096)]
Features = Annotated[int, Field(ge=1, le=1024)]


@settings
class PeconConfig(NetworkConfig):
    """PECon: contrastive alignment of pooled image and table, then two linear classifiers."""

    name: Literal["pecon"] = "pecon"
    target: Target = "clip"  # clip: the code's; sup: the paper's, by class
    late: Late = "prob"  # what is averaged into the reported score
    hidden: tuple[Neurons, Neurons] = (512, 256)  # of the image network
    table_hidden: Neurons = 128
    embedding_dim: Annotated[int, Field(ge=1, le=1024)] = 128
    image_dropout: Dropout = 0.5
    table_dropout: Dropout = 0.4


@settings
class MedfuseConfig(NetworkConfig):
    """MedFuse: an LSTM reads the table's token, then the image's."""

    name: Literal["medfuse"] = "medfuse"
    token_dim: Annotated[int, Field(ge=1, le=1024)] = 256
    hidden: Annotated[int, Field(ge=1, le=2048)] = 512  # of the LSTM
    dropout: Dropout = 0.3
    tab_lstm: bool = False  # the original's two-layer LSTM on the table, of length 1 here
    pretrain: bool = True  # table and image apart, before the fusion


@settings
class DrfuseConfig(NetworkConfig):
    """DrFuse: shared and distinct vectors of either modality, weighed by a small attention."""

    name: Literal["drfuse"] = "drfuse"
    image: ImagePath = "light"  # full: two copies of the trunk's last stage
    dim: Annotated[int, Field(ge=4, le=1024)] = 256
    feed_forward: Annotated[int, Field(ge=4, le=8192)] = 2048  # of the transformer on the table
    heads: Annotated[int, Field(ge=1, le=64)] = 4
    dropout: Dropout = 0.3
    jsd: Jsd = "mean2"  # sum1: the code's, which outweighs all other terms
    weight_shared: Weight = 1.0
    weight_table: Weight = 1.0
    weight_image: Weight = 1.0
    weight_jsd: Weight = 1.0
    weight_orthogonal_table: Weight = 1.0
    weight_orthogonal_image: Weight = 1.0
    weight_ranking: Weight = 1.0

    def conflicts(self) -> Iterator[Fault]:
        """The heads must divide the width of a token."""
        if self.dim % self.heads:
            words = f"need a divisor of dim {self.dim}, got {self.heads!r}"
            yield Fault(("heads",), words, of=("dim",))

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"jsd": "weight_jsd is 0"} if self.weight_jsd == 0 else {}


@settings
class MmtmConfig(NetworkConfig):
    """MMTM: both streams gate each other's channels, and keep a classifier each."""

    name: Literal["mmtm"] = "mmtm"
    modules: MmtmModules = "last"  # three: after every stage of the trunk
    table_widths: tuple[Features, Features, Features] = (64, 128, 256)
    ratio: Annotated[int, Field(ge=1, le=64)] = (
        4  # joint channels over those of the bottleneck; 2 in the code
    )
    gate_scale: Annotated[float, Field(ge=0.1, le=10)] = 2.0  # of the sigmoid; 1 in the code
    forwarded: bool = True  # what is gated feeds the next stage; in the code only the table is
    dropout: Dropout = 0.2
    trunk: TrunkMode = "frozen"  # what of it learns with three modules
    pretrain: bool = True  # the table's stream, before the modules

    def conflicts(self) -> Iterator[Fault]:
        """The last module alone reads a map computed beforehand."""
        if self.modules == "last" and self.trunk != "frozen":
            words = f"need frozen with modules: last, got {self.trunk!r}"
            yield Fault(("trunk",), words, of=("modules",))

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        if self.modules == "three":
            return {}
        return {"forwarded": "no stage follows the last module; set modules: three"}


@settings
class PefusionConfig(NetworkConfig):
    """PEfusion: PENet's probability and a table model's, averaged; or joint and early fusion."""

    name: Literal["pefusion"] = "pefusion"
    fusion: Fusion = "late_elastic"
    image_weight: Annotated[float, Field(ge=0, le=1)] = 0.5  # of PENet's probability in the average
    # Elastic net. None: chosen on the training cases, by AUROC over five folds of these.
    strength: Annotated[float, Field(ge=1e-6, le=1e6)] | None = (
        None  # C: weight of the data against the penalty
    )
    l1_ratio: Annotated[float, Field(ge=0, le=1)] | None = None
    class_weight: ClassWeight | None = None
    # Networks of the other three.
    nodes: Annotated[int, Field(ge=1, le=1024)] = 100
    layers: Annotated[int, Field(ge=0, le=10)] = 1
    activation: Nonlinearity = "elu"
    dropout: Dropout = 0.3

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
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


@settings
class DaftConfig(NetworkConfig):
    """DAFT: the table scales and shifts channels within the last residual block."""

    name: Literal["daft"] = "daft"
    form: DaftForm = "trunk"  # shipped: a small network of its own, from scratch
    location: Annotated[int, Field(ge=0, le=4)] | None = None  # None: 3 on the trunk, 0 as shipped
    bottleneck: Annotated[int, Field(ge=1, le=1024)] | None = (
        None  # None: (inputs + 7) / 7, 7 as shipped
    )
    activation: ScaleActivation = "linear"  # of the scale
    identity_init: bool | None = None  # a scale of 1 at first; None: on the trunk, not as shipped
    base: Annotated[int, Field(ge=4, le=64)] = 4  # channels the shipped network begins with
    inputs: Annotated[int, Field(ge=4, le=1024)] = 64  # channels the trunk's map is reduced to

    def conflicts(self) -> Iterator[Fault]:
        """A sigmoid cannot begin as the identity."""
        identity = self.form == "trunk" if self.identity_init is None else self.identity_init
        if identity and self.activation == "sigmoid":
            words = "need linear or tanh with identity_init, got 'sigmoid'"
            yield Fault(("activation",), words, of=("form", "identity_init"))

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        if self.form == "trunk":
            return {"base": "the trunk's map is read; set form: shipped"}
        return {
            "inputs": "the shipped network reads the window; set form: trunk",
            "width": "the shipped network has no trunk; set form: trunk",
        }
