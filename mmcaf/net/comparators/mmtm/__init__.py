"""MMTM: both streams gate each other's channels, and keep a classifier each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from mmcaf.config.settings import Fault, settings
from mmcaf.net.comparators.base_config import Dropout, NetworkConfig
from mmcaf.net.entry import Network, PaperRow

__all__ = ["NETWORK", "MmtmConfig"]

MmtmModules = Literal["last", "three"]
TrunkMode = Literal["frozen", "s3", "all"]
Features = Annotated[int, Field(ge=1, le=1024)]


@settings
class MmtmConfig(NetworkConfig):
    """MMTM: both streams gate each other's channels, and keep a classifier each."""

    name: Literal["mmtm"] = "mmtm"
    modules: MmtmModules = "last"  # three: after every stage of the trunk
    table_widths: tuple[Features, Features, Features] = (64, 128, 256)
    # joint channels over those of the bottleneck; 2 in the code
    ratio: Annotated[int, Field(ge=1, le=64)] = 4
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
        """Fields that change nothing, each with the reason."""
        if self.modules == "three":
            return {}
        return {"forwarded": "no stage follows the last module; set modules: three"}


NETWORK = Network(
    config=MmtmConfig,
    built_by=".network:MMTM",
    reads=lambda config: "window" if config.modules == "three" else "deepest",
    earlier=True,
    rows=(
        PaperRow(key="mmtm", title="MMTM, last module", table="1", place=4, published="MMTM"),
        PaperRow(
            key="mmtm_three", title="MMTM, three modules", table="1", place=4, published="MMTM"
        ),
    ),
)
