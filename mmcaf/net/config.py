"""What MMCAF-Net is built from: one flat value that refuses a wrong combination when built.

Every choice the paper leaves open, and every one a study may search, is a field here. Two presets
differ in one place: `paper` gives the attention several tokens per modality, as the paper's
equations have it; `reference` pools each modality to one token, as the authors' code does. Lists
(from YAML) become tuples, sets of scales and kernels are sorted, so that equal networks have equal
configs. No torch here: a study is validated, and a dashboard opened, without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mmcaf.config.settings import Fault, Rule, Settings, settings
from mmcaf.net.entry import Network, PaperRow

__all__ = [
    "NETWORK",
    "TABLE_COLUMNS",
    "EmbeddingDim",
    "KanGrid",
    "KanHidden",
    "KanOrder",
    "Kernels",
    "ModelConfig",
    "Width",
]

Name = Literal["mmcaf_net"]
Preset = Literal["paper", "reference"]
Bfpu = Literal["reference", "paper"]
Attention = Literal["softmax", "linear"]
Tokens = Literal["pooled", "grid"]
BsfOut = Literal["sum", "concat"]
Tabular = Literal["kan", "mlp"]

TABLE_COLUMNS = 7
"""Clinical values per patient, and so clinical tokens when `tokens="grid"`."""

_WIDTHS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
_PYRAMIDS = ((3,), (2, 3), (1, 2, 3))
_TOKENS: dict[str, Tokens] = {"paper": "grid", "reference": "pooled"}


def _ascending(values: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(values))


Width = Annotated[
    float,
    Field(json_schema_extra={"enum": [*_WIDTHS]}),
    Rule(
        "one of 0.0625, 0.125, 0.25, 0.5, 1",
        _WIDTHS.__contains__,
        "channels must stay divisible by their groups",
    ),
]
Scales = Annotated[
    tuple[Annotated[int, Field(ge=1, le=3)], ...],
    Field(min_length=1, max_length=3),
    AfterValidator(_ascending),
    Rule(
        "[3], [2, 3] or [1, 2, 3]",
        _PYRAMIDS.__contains__,
        "the pyramid starts at the coarsest scale, 3, and adds the next finer one",
    ),
]
Kernels = Annotated[
    tuple[Annotated[int, Field(ge=1, le=7)], ...],
    Field(min_length=1, max_length=4),
    AfterValidator(_ascending),
    Rule(
        "some of 1, 3, 5, 7, each once",
        lambda sizes: set(sizes) <= {1, 3, 5, 7} and len(set(sizes)) == len(sizes),
    ),
]
Heads = Annotated[int, Field(ge=1, le=1024)]
Cells = Annotated[int, Field(ge=1, le=16)]
EmbeddingDim = Annotated[int, Field(ge=4, le=1024, multiple_of=4)]  # is halved twice
KanGrid = Annotated[int, Field(ge=1, le=64)]  # intervals of each spline over [-1, 1]
KanOrder = Annotated[int, Field(ge=1, le=5)]  # degree of each spline
KanHidden = tuple[Annotated[int, Field(ge=1, le=1024)], ...]


@settings
class ModelConfig(Settings):
    """The structure of one MMCAF-Net, with the paper's values as defaults.

    Raises:
        WrongSettings: names every wrong field; it is a ValueError.
    """

    name: Name = "mmcaf_net"
    preset: Preset = "paper"  # decides what `tokens` is when it is not given
    width: Width = 1.0  # of trunk and pyramid channels; 1/8 or 1/16 for work on a CPU
    pyramid_scales: Scales = (1, 2, 3)  # 1 is the finest, 3 the coarsest
    kernel_sizes: Kernels = (1, 3, 5)  # of the parallel depth-wise convolutions
    bfpu: Bfpu = "reference"  # how two scales are fused; `paper` is its Eq. (2)
    attention: Attention = "softmax"  # `linear` is the paper's Eq. (10), which has no softmax
    tokens: Tokens = Field(  # pooled: one per modality; grid: image grid and 7 attributes
        default_factory=lambda given: _TOKENS[given["preset"]],
        description="grid where preset is paper, pooled where it is reference",
        kw_only=True,
    )
    token_grid: tuple[Cells, Cells, Cells] = (2, 3, 3)  # image tokens along depth, height, width
    heads: tuple[Heads, Heads, Heads] = (4, 2, 2)  # of the attention at full, half, quarter width
    bsf_out: BsfOut = "sum"  # concat: twice as wide
    tabular: Tabular = "kan"  # what reads the clinical values
    kan_grid: KanGrid = 5  # intervals of each spline over [-1, 1]
    kan_order: KanOrder = 3  # degree of each spline
    kan_hidden: KanHidden = ()  # widths of layers between the 7 columns and the embedding
    drop: bool = True  # the paper's "+drop": dropout of 0.3 where stages enter the pyramid
    embedding_dim: EmbeddingDim = 24  # of either modality before the fusion

    def conflicts(self) -> Iterator[Fault]:
        """The heads of each scale of attention divide its width."""
        pairs = zip(self.heads, self.attention_dims, strict=True)
        for place, (heads, width) in enumerate(pairs):
            if width % heads:
                allowed = ", ".join(str(n) for n in range(1, width + 1) if width % n == 0)
                words = f"need a divisor of its width {width}: one of {allowed}, got {heads!r}"
                yield Fault(("heads", place), words, of=("embedding_dim",))

    @property
    def attention_dims(self) -> tuple[int, int, int]:
        """Widths of the three attention scales: 24, 12, 6 as published."""
        return self.embedding_dim, self.embedding_dim // 2, self.embedding_dim // 4

    @property
    def stage_channels(self) -> tuple[int, int, int]:
        """Channels of the trunk's three outputs, finest first: 256, 512, 1024 at full width."""
        return self.scaled(256), self.scaled(512), self.scaled(1024)

    @property
    def heads_have_effect(self) -> bool:
        """Whether the number of heads can change any output.

        With one token per modality a softmax runs over a single key and is always 1: queries,
        keys and the split into heads then change nothing, and a search over them finds nothing.
        """
        return not (self.attention == "softmax" and self.tokens == "pooled")

    def scaled(self, channels: int) -> int:
        """Channels at this width of what has `channels` (a multiple of 16) at full width."""
        return round(channels * self.width)

    def without_effect(self) -> dict[str, str]:
        """Fields that change nothing in this network, each with the reason; never searched."""
        one_key = "softmax over one pooled token is always 1; set attention: linear or tokens: grid"
        no_grid = "the tokens are pooled; set tokens: grid"
        one_scale = "one pyramid scale leaves nothing to fuse; add scale 2"
        no_kan = "the table is read by an MLP; set tabular: kan"
        rules = (
            (not self.heads_have_effect, ("heads",), one_key),
            (self.tokens == "pooled", ("token_grid",), no_grid),
            (self.pyramid_scales == (3,), ("bfpu",), one_scale),
            (self.tabular == "mlp", ("kan_grid", "kan_order", "kan_hidden"), no_kan),
        )
        return {name: why for applies, names, why in rules if applies for name in names}


NETWORK = Network(
    config=ModelConfig,
    built_by="mmcaf.net.mmcaf_net:MMCAFNet",
    reads=None,
    rows=(
        PaperRow(key="mmcaf_net", title="MMCAF-Net", table="1", place=7, published="MMCAF-Net"),
        PaperRow(
            key="msca_fusion",
            title="MSCA_Fusion, one token",
            table="3",
            place=4,
            published="MSCA_Fusion",
        ),
        PaperRow(
            key="mmcaf_mlp",
            title="MMCAF-Net, MLP",
            table="readme",
            place=3,
            published="MLP table encoder",
        ),
    ),
)
