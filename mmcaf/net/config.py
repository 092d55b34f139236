"""What MMCAF-Net is built from: one flat value that refuses a wrong combination when built.

Every choice the paper leaves open, and every one a study may search, is a field here. Two presets
differ in one place: `paper` gives the attention several tokens per modality, as the paper's
equations have it; `reference` pools each modality to one token, as the authors' code does. Lists
(from YAML) become tuples, sets of scales and kernels are sorted, so that equal networks have equal
configs. No torch here: a study is validated, and a dashboard opened, without it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

__all__ = ["TABLE_COLUMNS", "ModelConfig"]

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
_KERNELS = (1, 3, 5, 7)
_OPTIONS = {
    "name": Name,
    "preset": Preset,
    "bfpu": Bfpu,
    "attention": Attention,
    "tokens": Tokens,
    "bsf_out": BsfOut,
    "tabular": Tabular,
}
_TOKENS: dict[object, Tokens] = {"paper": "grid", "reference": "pooled"}
_FROM_PRESET: Any = None  # replaced when the config is built


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The structure of one MMCAF-Net, with the paper's values as defaults.

    Raises:
        ValueError: some fields are wrong; the message has one line for each of them.
    """

    name: Name = "mmcaf_net"
    preset: Preset = "paper"  # decides what `tokens` is when it is not given
    width: float = 1.0  # of trunk and pyramid channels; 1/8 or 1/16 for work on a CPU
    pyramid_scales: tuple[int, ...] = (1, 2, 3)  # 1 is the finest, 3 the coarsest
    kernel_sizes: tuple[int, ...] = (1, 3, 5)  # of the parallel depth-wise convolutions
    bfpu: Bfpu = "reference"  # how two scales are fused; `paper` is its Eq. (2)
    attention: Attention = "softmax"  # `linear` is the paper's Eq. (10), which has no softmax
    tokens: Tokens = _FROM_PRESET  # pooled: one per modality; grid: image grid and 7 attributes
    token_grid: tuple[int, ...] = (2, 3, 3)  # image tokens along depth, height, width
    heads: tuple[int, ...] = (4, 2, 2)  # of the attention at full, half and quarter width
    bsf_out: BsfOut = "sum"
    tabular: Tabular = "kan"
    kan_grid: int = 5  # intervals of each spline over [-1, 1]
    kan_order: int = 3  # degree of each spline
    kan_hidden: tuple[int, ...] = ()  # widths of layers between the 7 columns and the embedding
    drop: bool = True  # the paper's "+drop": dropout of 0.3 where stages enter the pyramid
    embedding_dim: int = 24  # of either modality before the fusion

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):
                object.__setattr__(self, field.name, tuple(value))
            if field.name == "tokens" and value is None:
                object.__setattr__(self, field.name, _TOKENS.get(self.preset, "grid"))
        if faults := self._faults():
            raise ValueError("\n".join(faults))
        object.__setattr__(self, "width", float(self.width))
        for name in ("pyramid_scales", "kernel_sizes"):
            object.__setattr__(self, name, tuple(sorted(getattr(self, name))))

    @classmethod
    def from_preset(cls, preset: str = "paper", **overrides: Any) -> ModelConfig:
        """`preset` with some fields changed: what a spec's `model` section says.

        Raises:
            ValueError: a name is no field (the nearest one is named), or a value is wrong.
        """
        known = [field.name for field in fields(cls)]
        faults = []
        for name in overrides:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
                faults.append(f"A model has no field {name!r}. {hint}")
        if faults:
            raise ValueError("\n".join(faults))
        return cls(preset=preset, **overrides)  # type: ignore[arg-type]  # checked when built

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

    def _faults(self) -> list[str]:
        faults = [
            f"Need {name} to be one of {', '.join(get_args(kind))}, got {getattr(self, name)!r}."
            for name, kind in _OPTIONS.items()
            if getattr(self, name) not in get_args(kind)
        ]
        if isinstance(self.width, bool) or self.width not in _WIDTHS:
            faults.append(
                f"Need width to be one of 0.0625, 0.125, 0.25, 0.5, 1, got {self.width!r}: "
                "channels must stay divisible by their groups."
            )
        if not _is_flag(self.drop):
            faults.append(f"Need drop to be true or false, got {self.drop!r}.")
        for name, low, high in (("kan_grid", 1, 64), ("kan_order", 1, 5)):
            if not _counts((getattr(self, name),), low, high):
                faults.append(
                    f"Need {name} to be a whole number from {low} to {high}, "
                    f"got {getattr(self, name)!r}."
                )
        if not _counts(self.kan_hidden, 1, 1024):
            faults.append(
                "Need kan_hidden to be a list of layer widths from 1 to 1024, or empty, "
                f"got {self.kan_hidden!r}."
            )
        return faults + self._pyramid_faults() + self._token_faults()

    def _pyramid_faults(self) -> list[str]:
        faults = []
        scales, kernels = self.pyramid_scales, self.kernel_sizes
        if not _counts(scales, 1, 3) or tuple(sorted(scales)) not in _PYRAMIDS:
            faults.append(
                f"Need pyramid_scales to be [3], [2, 3] or [1, 2, 3], got {scales!r}: "
                "the pyramid starts at the coarsest scale, 3, and adds the next finer one."
            )
        if not _counts(kernels, 1, 7) or not kernels or not set(kernels) <= set(_KERNELS):
            faults.append(f"Need kernel_sizes to be some of 1, 3, 5, 7, got {kernels!r}.")
        elif len(set(kernels)) < len(kernels):
            faults.append(f"Need each of kernel_sizes once, got {kernels!r}.")
        return faults

    def _token_faults(self) -> list[str]:
        faults = []
        if not _counts(self.token_grid, 1, 16) or len(self.token_grid) != 3:
            faults.append(
                "Need token_grid to be three whole numbers from 1 to 16 (depth, height, width), "
                f"got {self.token_grid!r}."
            )
        if not _counts((self.embedding_dim,), 4, 1024) or self.embedding_dim % 4:
            return [
                *faults,
                "Need embedding_dim to be a multiple of 4 from 4 to 1024 (it is halved twice), "
                f"got {self.embedding_dim!r}.",
            ]
        dims = self.attention_dims
        if not _counts(self.heads, 1, dims[0]) or len(self.heads) != 3:
            return [*faults, f"Need heads to be three whole numbers above 0, got {self.heads!r}."]
        for position, (heads, dim) in enumerate(zip(self.heads, dims, strict=True)):
            if dim % heads:
                allowed = ", ".join(str(n) for n in range(1, dim + 1) if dim % n == 0)
                faults.append(
                    f"Need heads[{position}] to divide its width {dim}: one of {allowed}, "
                    f"got {heads!r}."
                )
        return faults


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _counts(values: object, low: int, high: int) -> bool:
    """Whether `values` is a tuple of whole numbers within [low, high]; True is not a number."""
    return isinstance(values, tuple) and all(type(v) is int and low <= v <= high for v in values)
