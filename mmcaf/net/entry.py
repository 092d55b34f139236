"""What a network says of itself, without torch: its config, what it reads, its rows in the paper.

A network is one folder of `mmcaf.net.comparators`, or one module of another installed package,
which offers it by an entry point of the group `mmcaf.networks`. Either has a `NETWORK`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mmcaf.config import TrainConfig
    from mmcaf.net.comparators.base import Comparator

__all__ = ["Learnt", "Network", "PaperRow", "Reads"]

Reads = Literal["none", "pooled", "middle", "deepest", "embedding", "window"]
"""What a network takes as image, where s1, s2, s3 are the maps of the trunk:

none       nothing; the table alone is read
pooled     [b c], mean of s3 over its voxels
middle     [b c d h w], s2
deepest    [b c d h w], s3
embedding  [b e], what MMCAF-Net's frozen image side says with pooled tokens
window     [b windows d h w], the CT window itself
"""

Learnt = Literal["even", "own", "unknown"]
"""At which share of squamous cases probabilities were learnt:

even     cases were drawn, or weighed, as if both classes were equally frequent
own      every case counted once
unknown  neither: two models that differ in it are averaged, or the data chose it
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """A network as a row of the benchmark: one search space, beside what was published."""

    key: str  # names the row and its search space
    title: str
    table: str = "own"  # of the paper; `readme`: its authors'; `floor`: what has to be beaten
    place: int = 0  # within that table
    published: str | None = None  # the method's name there
    needs: str | None = None  # what must be given for it to be reproducible
    space: Path | None = None  # YAML; None: `search_spaces/models/<key>.yaml`


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network as a spec's `model.name` means it.

    What depends on the config is a function of it.

        NETWORK = Network(config=PondConfig, built_by=".network:Pond", reads="pooled")
    """

    config: type[Any]  # whose field `name` has the network's name as its default
    # What is called with a config: itself, or `module:name`, loaded when it is first needed. A
    # leading dot stands for the package of the config's module.
    built_by: str | Callable[[Any], Comparator]
    reads: Reads | Callable[[Any], Reads] | None  # as image; None: MMCAF-Net itself
    earlier: bool = False  # whether it can have trained steps before its last
    solved: bool | Callable[[Any], bool] = False  # its last step is fitted at once, in no epochs
    unique: bool = False  # whether its last step compares patients, so that none may come twice
    # At which share of squamous cases its probabilities are learnt, where that is not what
    # `train.oversample` says of a network trained in epochs, and each case once where it is solved.
    learns_at: Callable[[Any, TrainConfig], Learnt] | None = None
    columns: tuple[str, ...] | None = None  # of the table; None: the seven clinical values
    rows: tuple[PaperRow, ...] = ()

    @property
    def name(self) -> str:
        """What a spec calls it."""
        (name,) = (field.default for field in fields(self.config) if field.name == "name")
        return str(name)

    def image_of(self, config: Any) -> Reads | None:
        """What the network of `config` reads as image; None: MMCAF-Net itself."""
        return self.reads(config) if callable(self.reads) else self.reads

    def is_solved(self, config: Any) -> bool:
        """Whether the last step of the network of `config` is fitted at once."""
        return self.solved(config) if callable(self.solved) else self.solved

    def learnt_at(self, config: Any, train: TrainConfig) -> Learnt:
        """At which share of squamous cases the probabilities of `config` are learnt."""
        if self.learns_at is not None:
            return self.learns_at(config, train)
        return "even" if train.oversample and not self.is_solved(config) else "own"

    def build(self, config: Any) -> Comparator:
        """The network of `config`, with fresh weights from torch's global generator."""
        if callable(self.built_by):
            return self.built_by(config)
        module, _, name = self.built_by.partition(":")
        net: Comparator = getattr(import_module(module, self.config.__module__), name)(config)
        return net
