"""DAFT: the table scales and shifts channels within the last residual block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import Fault, settings
from mmcaf.net.comparators.base_config import NetworkConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "DaftConfig"]

DaftForm = Literal["trunk", "shipped"]
ScaleActivation = Literal["linear", "sigmoid", "tanh"]


@settings
class DaftConfig(NetworkConfig):
    """DAFT: the table scales and shifts channels within the last residual block."""

    name: Literal["daft"] = "daft"
    form: DaftForm = "trunk"  # shipped: a small network of its own, from scratch
    location: Annotated[int, Field(ge=0, le=4)] | None = None  # None: 3 on the trunk, 0 as shipped
    # None: (inputs + 7) / 7, 7 as shipped
    bottleneck: Annotated[int, Field(ge=1, le=1024)] | None = None
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
        """Fields that change nothing, each with the reason."""
        if self.form == "trunk":
            return {"base": "the trunk's map is read; set form: shipped"}
        return {
            "inputs": "the shipped network reads the window; set form: trunk",
            "width": "the shipped network has no trunk; set form: trunk",
        }


NETWORK = Network(
    config=DaftConfig,
    built_by=".network:DAFT",
    reads=lambda config: "window" if config.form == "shipped" else "deepest",
    rows=(
        PaperRow(key="daft", title="DAFT on the trunk", table="1", place=6, published="DAFT"),
        PaperRow(key="daft_shipped", title="DAFT as shipped", table="1", place=6, published="DAFT"),
    ),
)
