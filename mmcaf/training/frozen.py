"""What a frozen image side says of each window, computed once and read from disk ever after.

Where only what follows it learns, the tokens (or means, or maps) of a window are the same in every
epoch and, for one image side, in every trial of every network that reads them. They are computed
window by window, each alone, so that they do not depend on which others share its batch; from disk
they are therefore the same bit for bit. One file per draw of the augmentation, and one for
validation, named by the digest of all that decides them.

A file appears whole or not at all; of several processes that want one, a single one computes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from mmcaf.config import TrainConfig
from mmcaf.data.batches import Batch, Draw, EvalBatches, FoldBatches, TrainBatches
from mmcaf.errors import DataError
from mmcaf.files.atomic import locked, replacing
from mmcaf.files.untrusted import open_array

__all__ = ["FrozenEval", "FrozenFold", "FrozenTrain", "digest_of", "frozen_fold"]

Encode = Callable[[Float[Tensor, "1 windows d h w"]], Float[Tensor, "1 ..."]]


def digest_of(*parts: Any) -> str:
    """A name that depends on every part: JSON values, or tensors by name."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, Mapping) and any(isinstance(v, Tensor) for v in part.values()):
            for name in sorted(part):
                found.update(name.encode())
                flat = part[name].detach().cpu().contiguous().flatten()
                found.update(flat.view(torch.uint8).numpy())
        else:
            found.update(json.dumps(part, sort_keys=True).encode())
    return found.hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class _Store:
    """Arrays of tokens by name; without a folder nothing is kept and all is computed each time."""

    folder: Path | None
    digest: str
    loaded: dict[str, Tensor] = field(default_factory=dict)

    def _make(self, path: Path, compute: Callable[[], Tensor]) -> None:
        with locked(path):
            if not path.exists():  # another process may have been first
                tokens = compute().numpy()
                with replacing(path) as beside, beside.open("wb") as file:
                    np.save(file, tokens, allow_pickle=False)

    def _opened(self, path: Path, compute: Callable[[], Tensor]) -> NDArray[Any]:
        """The array in `path`, made again where a damaged file or a link lies there."""
        try:
            return open_array(path, mode="c")
        except DataError:
            path.unlink()
            self._make(path, compute)
            return open_array(path, mode="c")

    def columns(self, batches: TrainBatches | EvalBatches) -> tuple[Tensor, Tensor]:
        """Clinical values [rows, 7] and labels [rows] of `batches`."""
        kind = type(batches).__name__
        if f"{kind}.table" not in self.loaded:
            self.loaded[f"{kind}.table"], self.loaded[f"{kind}.label"] = batches.columns()
        return self.loaded[f"{kind}.table"], self.loaded[f"{kind}.label"]

    def get(self, name: str, compute: Callable[[], Tensor]) -> Tensor:
        """The tokens [windows, ...] called `name`."""
        if self.folder is None:
            return compute()
        if name not in self.loaded:
            path = self.folder / f"{self.digest}-{name}.npy"
            if not path.exists():
                self._make(path, compute)
            # Mapped: maps of a whole cohort need not fit into the memory at once.
            self.loaded[name] = torch.from_numpy(self._opened(path, compute))
        return self.loaded[name]


@dataclass(frozen=True, slots=True)
class FrozenTrain:
    """`TrainBatches` with tokens [b, ...] in place of windows."""

    batches: TrainBatches
    encode: Encode
    store: _Store

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of epoch `number`: order by its own seed, windows by the image side's."""
        table, label = self.store.columns(self.batches)
        for planned in self.batches.planned(number):
            index = np.array([i for i, _ in planned])
            tokens = torch.stack([self._tokens(i, draw) for i, draw in planned])
            yield Batch(volume=tokens, table=table[index], label=label[index], case=index)

    def _tokens(self, index: int, draw: Draw) -> Float[Tensor, ...]:
        if self.store.folder is None:
            return self.encode(self.batches.window(index, draw))[0]

        def all_rows() -> Tensor:
            rows = range(len(self.batches.case))
            return torch.cat([self.encode(self.batches.window(i, draw)) for i in rows])

        return self.store.get(f"draw-{draw[0]}", all_rows)[index]


@dataclass(frozen=True, slots=True)
class FrozenEval:
    """`EvalBatches` with tokens [b, ...] in place of windows."""

    batches: EvalBatches
    encode: Encode
    store: _Store

    @property
    def case(self) -> tuple[str, ...]:
        """Case names, in row order."""
        return self.batches.case

    @property
    def label(self) -> NDArray[np.int64]:
        """1 for squamous, 0 for adenocarcinoma; shape (cases,)."""
        return self.batches.label

    def __iter__(self) -> Iterator[Batch]:
        table, label = self.store.columns(self.batches)
        places = list(self.batches.planned())

        def all_windows() -> Tensor:
            windows = (self.batches.window(*place) for part in places for place in part)
            return torch.cat([self.encode(window) for window in windows])

        tokens = self.store.get("val", all_windows)
        first = 0
        for planned in places:
            index = np.array([i for i, _ in planned])
            part = tokens[first : first + len(planned)]
            first += len(planned)
            yield Batch(volume=part, table=table[index], label=label[index], case=index)


@dataclass(frozen=True, slots=True)
class FrozenFold:
    """`FoldBatches` with image tokens in place of windows."""

    train: FrozenTrain
    val: FrozenEval
    windows: FoldBatches

    def fitted(self) -> dict[str, Any]:
        """The fitted state as JSON values, for the checkpoint."""
        return {**self.windows.fitted(), "image_side": self.train.store.digest}

    def sampled(self, config: TrainConfig, *, seed: int | None = None) -> FrozenFold:
        """This fold with training batches as `config` has them, in another order with `seed`."""
        windows = self.windows.sampled(config, seed=seed)
        ours = replace(
            self.train.batches,
            batch_size=windows.train.batch_size,
            oversample=windows.train.oversample,
            seed=windows.train.seed,
        )
        return replace(self, train=replace(self.train, batches=ours), windows=windows)


def frozen_fold(
    batches: FoldBatches,
    encode: Encode,
    *,
    draws: int,
    window_seed: int,
    folder: Path | None,
    digest: str,
) -> FrozenFold:
    """The batches of a fold with what `encode` says in place of windows.

    Args:
        batches: of windows.
        encode: the frozen image side; given one window at a time.
        draws: how many augmented windows a case has, so that later epochs meet them again.
        window_seed: decides those windows; the same for every trial that shares the image side.
        folder: where tokens are kept; None computes them each time.
        digest: of the image side and of the volumes; seed, cases, windows and fitted intensities
            are added here.
    """
    train = replace(batches.train, draws=draws, window_seed=window_seed)
    whole = digest_of(
        digest,
        window_seed,
        list(train.case),
        list(batches.val.case),
        asdict(train.config),
        batches.fitted()["intensity"],
    )
    store = _Store(folder, whole)
    train_tokens = FrozenTrain(train, encode, store)
    return FrozenFold(train_tokens, FrozenEval(batches.val, encode, store), batches)
