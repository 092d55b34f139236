"""What an MMCAF-Net is built from: one frozen value that refuses what cannot be, or cannot matter.

No torch here: a study spec is checked without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["ModelConfig", "Preset"]

Preset = Literal["paper", "reference"]
Bfpu = Literal["reference", "paper"]
Attention = Literal["softmax", "linear"]
Tokens = Literal["pooled", "grid"]
BsfOut = Literal["sum", "concat"]
Tabular = Literal["kan", "mlp"]

_WIDTHS = (1.0, 0.5, 0.25, 0.125, 0.0625)
_PYRAMIDS = ((3,), (2, 3), (1, 2, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Structure of MMCAF-Net; the defaults are those of the preset `paper`.

    `paper` and `reference` differ in `tokens` alone: the authors' code gives the attention one
    token per modality, over which a softmax is always 1, so that its query and key weights get no
    gradient and the number of heads changes nothing. The paper's text has several tokens.
    """

    preset: Preset = "paper"
    width: float = 1.0  # scales the channels of trunk and pyramid
    pyramid_scales: tuple[int, ...] = (1, 2, 3)  # stages used; 3 is the coarsest
    kernel_sizes: tuple[int, ...] = (1, 3, 5)  # of the depth-wise convolutions
    bfpu: Bfpu = "reference"
    attention: Attention = "softmax"  # linear: Eq. 10 as printed, without softmax
    tokens: Tokens = "grid"
    token_grid: tuple[int, int, int] = (2, 3, 3)  # image tokens per axis where tokens is grid
    heads: tuple[int, int, int] = (4, 2, 2)  # at the three widths of the fusion
    bsf_out: BsfOut = "sum"
    tabular: Tabular = "kan"
    kan_grid: int = 5
    kan_order: int = 3
    kan_hidden: tuple[int, ...] = ()
    drop: bool = True  # dropout 0.3 on the stages before the pyramid
    embedding_dim: int = 24

    @classmethod
    def from_preset(cls, preset: str = "paper", **overrides: Any) -> ModelConfig:
        """The config of `preset` with some fields changed; lists become tuples."""
        if preset not in get_args(Preset):
            options = ", ".join(get_args(Preset))
            raise ValueError(f"Need preset to be one of {options}, got {preset!r}.")
        defaults: dict[str, Any] = {
            "preset": preset,
            "tokens": "grid" if preset == "paper" else "pooled",
        }
        given = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in overrides.items()
        }
        return cls(**(defaults | given))

    def __post_init__(self) -> None:
        self._check_choices()
        _need(self.width in _WIDTHS, "width", self.width, f"one of {_WIDTHS}")
        scales = tuple(sorted(self.pyramid_scales))
        _need(
            scales in _PYRAMIDS,
            "pyramid_scales",
            list(self.pyramid_scales),
            "[3], [2, 3] or [1, 2, 3]: the pyramid is built from the coarsest stage down",
        )
        kernels = self.kernel_sizes
        _need(
            bool(kernels) and set(kernels) <= {1, 3, 5, 7} and len(set(kernels)) == len(kernels),
            "kernel_sizes",
            list(kernels),
            "distinct sizes among 1, 3, 5 and 7",
        )
        _need(
            self.embedding_dim >= 4 and self.embedding_dim % 4 == 0,
            "embedding_dim",
            self.embedding_dim,
            "a multiple of 4, because it is halved twice",
        )
        self._check_heads()
        _need(min(self.token_grid) >= 1, "token_grid", list(self.token_grid), "sizes of 1 or more")
        _need(1 <= self.kan_grid <= 64, "kan_grid", self.kan_grid, "from 1 to 64")
        _need(1 <= self.kan_order <= 8, "kan_order", self.kan_order, "from 1 to 8")
        _need(
            all(size >= 1 for size in self.kan_hidden),
            "kan_hidden",
            list(self.kan_hidden),
            "sizes of 1 or more",
        )

    def _check_choices(self) -> None:
        for name, allowed in (
            ("preset", Preset),
            ("bfpu", Bfpu),
            ("attention", Attention),
            ("tokens", Tokens),
            ("bsf_out", BsfOut),
            ("tabular", Tabular),
        ):
            options = get_args(allowed)
            _need(getattr(self, name) in options, name, getattr(self, name), f"one of {options}")

    def _check_heads(self) -> None:
        _need(len(self.heads) == 3, "heads", list(self.heads), "three numbers, one per width")
        for heads, width in zip(self.heads, self.fusion_widths, strict=True):
            _need(
                heads >= 1 and width % heads == 0,
                "heads",
                list(self.heads),
                f"divisors of the widths {list(self.fusion_widths)}; "
                f"{heads} does not divide {width}",
            )

    @property
    def fusion_widths(self) -> tuple[int, int, int]:
        """Feature dimensions of the three scales of the fusion: 24, 12, 6 in the paper."""
        return self.embedding_dim, self.embedding_dim // 2, self.embedding_dim // 4

    @property
    def heads_have_effect(self) -> bool:
        """Whether another number of heads can change any output."""
        return self.attention == "linear" or self.tokens == "grid"

    def channels(self, full: int) -> int:
        """`full` channels of the paper's network at this width."""
        return round(full * self.width)


def _need(holds: bool, name: str, got: Sequence[Any] | object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"Need {name} to be {allowed}; got {got!r}.")
