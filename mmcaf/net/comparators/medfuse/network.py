"""MedFuse (Hayat et al., 2022): an LSTM reads the table's token, then the image's.

    table [b 7] -> MLP    -> token \\
    v [b c]     -> Linear -> token -> LSTM over (table, image) -> last hidden state -> logit

A missing modality shortens the sequence. The original reads a time series by an LSTM where the
table's MLP stands; `tab_lstm` keeps it, though on a single row its recurrent weights never learn.

Axes: b batch, c channels, e token.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mmcaf.net.comparators.base import Comparator, Inputs, Output, Step
from mmcaf.net.comparators.combining import stream_loss
from mmcaf.net.comparators.medfuse import MedfuseConfig
from mmcaf.net.losses import Loss, binary_loss

__all__ = ["MedFuse", "RowLstm"]

_APART = {"optimizer": "adamw", "lr": 5e-4, "weight_decay": 0.0, "epochs": 50, "batch_size": 16}
_FUSED = {"optimizer": "adamw", "lr": 1e-4, "weight_decay": 0.0, "epochs": 50, "batch_size": 16}


class RowLstm(nn.Module):
    """Two LSTM layers on a sequence of one row: the last hidden state."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(7, width, num_layers=2, batch_first=True)
        for name, parameter in self.lstm.named_parameters():
            if "bias" in name:
                nn.init.zeros_(parameter)
            elif "_hh_" in name:
                nn.init.orthogonal_(parameter)
            else:
                nn.init.xavier_uniform_(parameter)

    def forward(self, table: Float[Tensor, "b 7"]) -> Float[Tensor, "b e"]:
        """One token a sample."""
        return _last_hidden(self.lstm, table[:, None])


class MedFuse(Comparator):
    """Two tokens and the LSTM that reads them."""

    reads = "pooled"

    def __init__(self, config: MedfuseConfig) -> None:
        super().__init__()
        width = config.token_dim
        encoder: nn.Module = RowLstm(width)
        if not config.tab_lstm:
            encoder = nn.Sequential(nn.Linear(7, width), nn.ReLU(), nn.Linear(width, width))
        self.table = nn.Sequential(encoder, nn.Dropout(config.dropout))
        self.image = nn.Linear(config.channels, width)
        self.lstm = nn.LSTM(width, config.hidden, batch_first=True)
        self.head = nn.Linear(config.hidden, 1)
        self.steps = (Step("fuse", ("table", "image", "lstm", "head"), _FUSED),)
        if config.pretrain:
            self.table_head = nn.Linear(width, 1)
            self.image_head = nn.Linear(config.channels, 1)
            self.steps = (Step("apart", ("table", "table_head", "image_head"), _APART), *self.steps)

    def answer(self, given: Inputs) -> Output:
        """`image` is pooled."""
        of_table, of_image = self.table(given.table), self.image(given.image)
        hidden = self._read(of_table, of_image, given.has_image, given.has_table)
        parts = {"hidden": hidden, "has_image": given.has_image, "has_table": given.has_table}
        if len(self.steps) > 1:
            parts["table"] = self.table_head(of_table)[:, 0]
            parts["image"] = self.image_head(given.image)[:, 0]
        return Output(self.head(hidden)[:, 0], parts)

    def loss(
        self, output: Output, label: Float[Tensor, " b"], step: str, kind: Loss = "bce"
    ) -> Float[Tensor, ""]:
        """Of `apart`, that of table and image by themselves, where they are there."""
        if step == "fuse":
            return binary_loss(output.logit, label, kind)
        return stream_loss(output.parts, label, kind, "table", "image")

    def _read(
        self,
        table: Float[Tensor, "b e"],
        image: Float[Tensor, "b e"],
        has_image: Bool[Tensor, " b"],
        has_table: Bool[Tensor, " b"],
    ) -> Float[Tensor, "b h"]:
        """The hidden state after the last token that is there."""
        hidden = _last_hidden(self.lstm, torch.stack([table, image], 1))
        for has, only in ((has_image, table), (has_table, image)):
            if not has.all():
                short = _last_hidden(self.lstm, only[:, None])
                hidden = torch.where(has[:, None], hidden, short)
        return hidden


def _last_hidden(lstm: nn.LSTM, tokens: Float[Tensor, "b n e"]) -> Float[Tensor, "b h"]:
    """The last layer's, in float32: the library has no LSTM of mixed precision on a CPU."""
    with torch.autocast(tokens.device.type, enabled=False):
        _, (hidden, _) = lstm(tokens.to(lstm.all_weights[0][0].dtype))
    out: Tensor = hidden[-1]
    return out
