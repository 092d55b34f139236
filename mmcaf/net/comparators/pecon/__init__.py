"""PECon: contrastive alignment of pooled image and table, then two linear classifiers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import settings
from mmcaf.net.comparators.base_config import Dropout, NetworkConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "PeconConfig"]

Target = Literal["clip", "sup"]
Late = Literal["prob", "logit"]
Neurons = Annotated[int, Field(ge=1, le=4096)]


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


NETWORK = Network(
    config=PeconConfig,
    built_by=".network:PECon",
    reads="pooled",
    earlier=True,
    rows=(PaperRow(key="pecon", title="PECon", table="1", place=1, published="PECon"),),
)
