"""What each published method is built from; defaults are the originals' values where they fit.

Where a publication and its code differ, both are here, and the default is named. No torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmcaf.net.comparators.base_config import NetworkConfig, number, whole, wholes

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PeconConfig(NetworkConfig):
    """PECon: contrastive alignment of pooled image and table, then two linear classifiers."""

    name: Literal["pecon"] = "pecon"
    target: Target = "clip"  # clip: the code's; sup: the paper's, by class
    late: Late = "prob"  # what is averaged into the reported score
    hidden: tuple[int, ...] = wholes((512, 256), 1, 4096, length=2)  # of the image network
    table_hidden: int = whole(128, 1, 4096)
    embedding_dim: int = whole(128, 1, 1024)
    image_dropout: float = number(0.5, 0, 0.95)
    table_dropout: float = number(0.4, 0, 0.95)


@dataclass(frozen=True, slots=True, kw_only=True)
class MedfuseConfig(NetworkConfig):
    """MedFuse: an LSTM reads the table's token, then the image's."""

    name: Literal["medfuse"] = "medfuse"
    token_dim: int = whole(256, 1, 1024)
    hidden: int = whole(512, 1, 2048)  # of the LSTM
    dropout: float = number(0.3, 0, 0.95)
    tab_lstm: bool = False  # the original's two-layer LSTM on the table, of length 1 here
    pretrain: bool = True  # table and image apart, before the fusion


@dataclass(frozen=True, slots=True, kw_only=True)
class DrfuseConfig(NetworkConfig):
    """DrFuse: shared and distinct vectors of either modality, weighed by a small attention."""

    name: Literal["drfuse"] = "drfuse"
    image: ImagePath = "light"  # full: two copies of the trunk's last stage
    dim: int = whole(256, 4, 1024)
    feed_forward: int = whole(2048, 4, 8192)  # of the transformer on the table
    heads: int = whole(4, 1, 64)
    dropout: float = number(0.3, 0, 0.95)
    jsd: Jsd = "mean2"  # sum1: the code's, which outweighs all other terms
    weight_shared: float = number(1.0, 0, 100)
    weight_table: float = number(1.0, 0, 100)
    weight_image: float = number(1.0, 0, 100)
    weight_jsd: float = number(1.0, 0, 100)
    weight_orthogonal_table: float = number(1.0, 0, 100)
    weight_orthogonal_image: float = number(1.0, 0, 100)
    weight_ranking: float = number(1.0, 0, 100)

    def conflicts(self) -> list[str]:
        """The heads must divide the width of a token."""
        if self.dim % self.heads:
            return [f"Need heads to divide dim {self.dim}, got {self.heads!r}."]
        return []

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        return {"jsd": "weight_jsd is 0"} if self.weight_jsd == 0 else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class MmtmConfig(NetworkConfig):
    """MMTM: both streams gate each other's channels, and keep a classifier each."""

    name: Literal["mmtm"] = "mmtm"
    modules: MmtmModules = "last"  # three: after every stage of the trunk
    table_widths: tuple[int, ...] = wholes((64, 128, 256), 1, 1024, length=3)
    ratio: int = whole(4, 1, 64)  # joint channels over those of the bottleneck; 2 in the code
    gate_scale: float = number(2.0, 0.1, 10)  # of the sigmoid; 1 in the code
    forwarded: bool = True  # what is gated feeds the next stage; in the code only the table is
    dropout: float = number(0.2, 0, 0.95)
    trunk: TrunkMode = "frozen"  # what of it learns with three modules
    pretrain: bool = True  # the table's stream, before the modules

    def conflicts(self) -> list[str]:
        """The last module alone reads a map computed beforehand."""
        if self.modules == "last" and self.trunk != "frozen":
            return [f"Need trunk to be frozen with modules: last, got {self.trunk!r}."]
        return []

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        if self.modules == "three":
            return {}
        return {"forwarded": "no stage follows the last module; set modules: three"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PefusionConfig(NetworkConfig):
    """PEfusion: PENet's probability and a table model's, averaged; or joint and early fusion."""

    name: Literal["pefusion"] = "pefusion"
    fusion: Fusion = "late_elastic"
    image_weight: float = number(0.5, 0, 1)  # of PENet's probability in the average
    # Elastic net. None: chosen on the training cases, by AUROC over five folds of these.
    strength: float | None = number(None, 1e-6, 1e6)  # C: weight of the data against the penalty
    l1_ratio: float | None = number(None, 0, 1)
    class_weight: ClassWeight | None = None
    # Networks of the other three.
    nodes: int = whole(100, 1, 1024)
    layers: int = whole(1, 0, 10)
    activation: Nonlinearity = "elu"
    dropout: float = number(0.3, 0, 0.95)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class DaftConfig(NetworkConfig):
    """DAFT: the table scales and shifts channels within the last residual block."""

    name: Literal["daft"] = "daft"
    form: DaftForm = "trunk"  # shipped: a small network of its own, from scratch
    location: int | None = whole(None, 0, 4)  # None: 3 on the trunk, 0 as shipped
    bottleneck: int | None = whole(None, 1, 1024)  # None: (inputs + 7) / 7, 7 as shipped
    activation: ScaleActivation = "linear"  # of the scale
    identity_init: bool | None = None  # a scale of 1 at first; None: on the trunk, not as shipped
    base: int = whole(4, 4, 64)  # channels the shipped network begins with
    inputs: int = whole(64, 4, 1024)  # channels the trunk's map is reduced to

    def conflicts(self) -> list[str]:
        """A sigmoid cannot begin as the identity."""
        identity = self.form == "trunk" if self.identity_init is None else self.identity_init
        if identity and self.activation == "sigmoid":
            return ["Need activation to be linear or tanh with identity_init, got 'sigmoid'."]
        return []

    def without_effect(self) -> dict[str, str]:
        """See `NetworkConfig`."""
        if self.form == "trunk":
            return {"base": "the trunk's map is read; set form: shipped"}
        return {
            "inputs": "the shipped network reads the window; set form: trunk",
            "width": "the shipped network has no trunk; set form: trunk",
        }
