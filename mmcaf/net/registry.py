"""Every network a spec can name, in one place: what it is built from, by what, and what it reads.

A new model joins with one line here: its config, the class that is built from it, and what that
reads as image, which decides the stages it can be trained by. No torch is loaded before a network
is built: a study is validated, and a dashboard opened, without it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mmcaf.config.settings import Fault, WrongSettings, nearest
from mmcaf.net.comparators.ablation_configs import (
    ClipFusionConfig,
    CrossAttentionConfig,
    KanConfig,
    LateFusionConfig,
    LesionBoxConfig,
    LogisticConfig,
    MlpConfig,
    PenetConfig,
    PenetMscaConfig,
    SamMscaConfig,
)
from mmcaf.net.comparators.method_configs import (
    DaftConfig,
    DrfuseConfig,
    MedfuseConfig,
    MmtmConfig,
    PeconConfig,
    PefusionConfig,
)
from mmcaf.net.config import ModelConfig

if TYPE_CHECKING:
    from mmcaf.net.comparators.base import Comparator, Reads

__all__ = [
    "NETWORKS",
    "Network",
    "build",
    "config_class",
    "image_side",
    "network_of",
    "reads_image",
    "table_columns",
]


def _never(_: Any) -> bool:
    return False


def _always(reads: Reads) -> Callable[[Any], Reads]:
    return lambda _: reads


@dataclass(frozen=True, slots=True)
class Network:
    """A network as a spec's `model.name` means it; None in `reads`: MMCAF-Net itself."""

    name: str
    config: type[Any]  # a frozen dataclass
    built_by: str  # module:name of what is called with the config
    reads: Callable[[Any], Reads] | None
    earlier: bool = False  # whether it can have trained steps before its last
    solved: Callable[[Any], bool] = _never  # whether its last step is fitted at once, in no epochs
    unique: bool = False  # whether its last step compares patients, so that none may come twice
    columns: tuple[str, ...] | None = None  # of the table; None: the seven clinical values


_HOME = "mmcaf.net.comparators"
NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        Network("mmcaf_net", ModelConfig, "mmcaf.net.mmcaf_net:MMCAFNet", None),
        Network(
            "pecon",
            PeconConfig,
            f"{_HOME}.pecon:PECon",
            _always("pooled"),
            earlier=True,
        ),
        Network(
            "medfuse",
            MedfuseConfig,
            f"{_HOME}.medfuse:MedFuse",
            _always("pooled"),
            earlier=True,
        ),
        Network(
            "drfuse",
            DrfuseConfig,
            f"{_HOME}.drfuse:DrFuse",
            lambda config: "middle" if config.image == "full" else "pooled",
        ),
        Network(
            "mmtm",
            MmtmConfig,
            f"{_HOME}.mmtm:MMTM",
            lambda config: "window" if config.modules == "three" else "deepest",
            earlier=True,
        ),
        Network(
            "pefusion",
            PefusionConfig,
            f"{_HOME}.pefusion:pefusion",
            lambda config: "deepest" if config.fusion.startswith("late") else "pooled",
            solved=lambda config: config.fusion == "late_elastic",
        ),
        Network(
            "daft",
            DaftConfig,
            f"{_HOME}.daft:DAFT",
            lambda config: "window" if config.form == "shipped" else "deepest",
        ),
        Network("penet", PenetConfig, f"{_HOME}.single_modality:PENet", _always("window")),
        Network(
            "penet_msca", PenetMscaConfig, f"{_HOME}.single_modality:PENetMSCA", _always("window")
        ),
        Network("sam_msca", SamMscaConfig, f"{_HOME}.sam_msca:SamMSCA", _always("window")),
        Network(
            "cross_attention",
            CrossAttentionConfig,
            f"{_HOME}.fusions:CrossAttentionFusion",
            _always("embedding"),
        ),
        Network(
            "clip_fusion",
            ClipFusionConfig,
            f"{_HOME}.fusions:ClipFusion",
            _always("embedding"),
            unique=True,
        ),
        Network(
            "late_fusion", LateFusionConfig, f"{_HOME}.fusions:LateFusion", _always("embedding")
        ),
        Network("kan", KanConfig, f"{_HOME}.single_modality:TableAlone", _always("none")),
        Network("mlp", MlpConfig, f"{_HOME}.single_modality:TableAlone", _always("none")),
        Network(
            "logistic",
            LogisticConfig,
            f"{_HOME}.single_modality:Logistic",
            _always("none"),
            solved=lambda _: True,
        ),
        Network(
            "lesion_box",
            LesionBoxConfig,
            f"{_HOME}.single_modality:Logistic",
            _always("none"),
            solved=lambda _: True,
            columns=("log_max_diam_mm",),
        ),
    )
}


def config_class(name: object) -> type[Any]:
    """The config of the network `name`.

    Raises:
        WrongSettings: there is none of that name; names the nearest.
    """
    found = NETWORKS.get(name) if isinstance(name, str) else None
    if found is None:
        hint = nearest(str(name), NETWORKS)
        words = f"need one of {', '.join(NETWORKS)}, got {name!r}.{hint}"
        raise WrongSettings([Fault(("name",), words)])
    return found.config


def network_of(config: Any) -> Network:
    """The entry of the network that `config` describes."""
    return NETWORKS[config.name]


def image_side(config: Any) -> ModelConfig:
    """What the stages `trunk` and `image` of a network build: MMCAF-Net's own image side."""
    if isinstance(config, ModelConfig):
        return config
    found: ModelConfig = getattr(config, "image_side", None) or config.trunk_config
    return found


def reads_image(config: Any) -> bool:
    """Whether a volume is looked at."""
    network = network_of(config)
    return network.reads is None or network.reads(config) != "none"


def table_columns(config: Any) -> tuple[str, ...] | None:
    """What the network's table holds; None: the seven clinical values."""
    return network_of(config).columns


def build(config: Any) -> Comparator:
    """The comparator of `config`, with fresh weights from torch's global generator."""
    module, _, name = network_of(config).built_by.partition(":")
    net: Comparator = getattr(import_module(module), name)(config)
    return net
