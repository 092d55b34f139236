"""Which inputs a network answers from, and in what order its parts come.

A network is called with windows [b,c,d,h,w] and clinical rows [b,7] within [-1, 1], and answers
logits [b] of squamous carcinoma, or something that has them as `logit`. What it does not read it
may ignore. Nothing here knows the names of its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["call_order", "halves", "image_layer", "logits_of", "reads"]


def logits_of(
    net: nn.Module, volume: Float[Tensor, "b ..."], table: Float[Tensor, "b 7"]
) -> Float[Tensor, " b"]:
    """The network's logits, whichever way it answers."""
    answer = net(volume, table)
    logits: Tensor = answer if isinstance(answer, Tensor) else answer.logit
    return logits


def halves(
    net: nn.Module,
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]:
    """(window -> what of it meets the table, that and the table -> logits).

    MMCAF-Net has `image_tokens` and `fused`; a comparator on an image side has `features` and the
    comparator, `net`. Any other network is one piece, and what meets the table is the window.
    """
    whole: Any = net  # asked below for what it has
    if hasattr(net, "image_tokens") and hasattr(net, "fused"):
        return whole.image_tokens, whole.fused
    if hasattr(net, "features") and hasattr(net, "net"):
        return whole.features, partial(logits_of, whole.net)
    return _as_it_is, partial(logits_of, net)


def _as_it_is(window: Tensor) -> Tensor:
    return window


def reads(
    net: nn.Module, volume: Float[Tensor, "1 ..."], table: Float[Tensor, "1 7"]
) -> tuple[bool, bool]:
    """Whether the logit depends on the image, and whether on the table, in evaluation mode."""
    net.eval()
    inputs = [part.detach().clone().requires_grad_() for part in (volume, table)]
    with torch.enable_grad():
        logits = logits_of(net, *inputs)
        if not logits.requires_grad:
            return False, False
        found = torch.autograd.grad(logits.sum(), inputs, allow_unused=True)
    image, clinical = (gradient is not None for gradient in found)
    return image, clinical


def image_layer(
    net: nn.Module, volume: Float[Tensor, "1 ..."], table: Float[Tensor, "1 7"]
) -> nn.Module | None:
    """The last module whose answer is a map [b,c,d,h,w] on the way from the image to the logit.

    That is where Grad-CAM looks, the deepest place that still has a where: MMCAF-Net's last fusion
    of scales, PENet's ASPP, the map of the trunk that a comparator reads. None where there is none.
    """
    found: list[tuple[nn.Module, Tensor]] = []

    def note(module: nn.Module, _: Any, out: Any) -> None:
        is_map = isinstance(out, Tensor) and out.ndim == 5 and out[0, 0].numel() > 1
        if is_map and out.requires_grad:
            found.append((module, out))

    net.eval()
    with _hooked(net, note), torch.enable_grad():
        logits = logits_of(net, volume.detach().clone().requires_grad_(), table.detach())
    if not found or not logits.requires_grad:
        return None
    maps = [out for _, out in found]
    used = torch.autograd.grad(logits.sum(), maps, allow_unused=True)
    on_the_way = [
        module for (module, _), gradient in zip(found, used, strict=True) if gradient is not None
    ]
    return on_the_way[-1] if on_the_way else None


def call_order(
    net: nn.Module, volume: Float[Tensor, "1 ..."], table: Float[Tensor, "1 7"]
) -> list[str]:
    """Names of the network's own parts, in the order in which they are done."""
    names = {module: name for name, part in net.named_children() for module in part.modules()}
    done: list[str] = []

    def note(module: nn.Module, _: Any, __: Any) -> None:
        if module in names:
            done.append(names[module])

    net.eval()
    with _hooked(net, note), torch.no_grad():
        logits_of(net, volume, table)
    # A part is done when the last of its modules is.
    return list(dict.fromkeys(reversed(done)))[::-1]


@contextmanager
def _hooked(net: nn.Module, hook: Callable[[nn.Module, Any, Any], None]) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module in net.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
