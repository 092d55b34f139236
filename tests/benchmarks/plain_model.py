"""MMCAF-Net as a plain composition of the library's layers: what ours is measured beside.

The same modules, names and weights; only what ours computes in another way is computed as it is
written in the paper. Decoders and ASPP, which the authors' code also runs, are not counted here.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mmcaf.net.config import ModelConfig
from mmcaf.net.conv import Conv3d, DepthwiseConv3d
from mmcaf.net.e3d_msca import DepthwiseFusion
from mmcaf.net.mmcaf_net import MMCAFNet
from mmcaf.net.penet import Bottleneck, Stem

__all__ = ["plain_net"]


class _PlainStem(Stem):
    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x.repeat(1, 3, 1, 1, 1))), 0.01)


class _PlainBottleneck(Bottleneck):
    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x)
        if self._kept():
            x = F.leaky_relu(self.norm1(self.conv1(x)), 0.01)
            x = F.leaky_relu(self.norm2(self.conv2(x)), 0.01)
            out = out + self.excitation(self.norm3(self.conv3(x)))
        return F.leaky_relu(out, 0.01)


class _PlainDepthwiseFusion(DepthwiseFusion):
    def forward(self, x: Tensor) -> Tensor:
        wide = self.expand(x)
        total = self.branches[0](wide)
        for branch in self.branches[1:]:
            total = total + branch(wide)
        # [b, c*2, d, h, w] -> [b, c, 2, d, h, w] -> [b, 2, c, d, h, w] -> [b, 2*c, d, h, w]
        shuffled = total.view(len(x), -1, 2, *x.shape[2:]).transpose(1, 2).flatten(1, 2)
        out: Tensor = x + self.reduce(shuffled)
        return out


_PLAIN = {
    Stem: _PlainStem,
    Bottleneck: _PlainBottleneck,
    DepthwiseFusion: _PlainDepthwiseFusion,
    Conv3d: nn.Conv3d,
    DepthwiseConv3d: nn.Conv3d,
}


def plain_net(config: ModelConfig) -> MMCAFNet:
    """The network of `config` in its plain form, with fresh weights."""
    net = MMCAFNet(config)
    for module in net.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.inplace = False
        module.__class__ = _PLAIN.get(type(module), type(module))
    return net
