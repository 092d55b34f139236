"""DrFuse: shared and distinct vectors of either modality, weighed by a small attention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import Fault, settings
from mmcaf.net.comparators.base_config import Dropout, NetworkConfig, Weight
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "DrfuseConfig"]

ImagePath = Literal["light", "full"]
Jsd = Literal["sum1", "mean1", "mean2"]


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
        """Fields that change nothing, each with the reason."""
        return {"jsd": "weight_jsd is 0"} if self.weight_jsd == 0 else {}


NETWORK = Network(
    config=DrfuseConfig,
    built_by=".network:DrFuse",
    reads=lambda config: "middle" if config.image == "full" else "pooled",
    rows=(PaperRow(key="drfuse", title="DrFuse", table="1", place=3, published="DrFuse"),),
)
