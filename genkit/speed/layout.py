"""The layout in which a model lies in memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from genkit.speed.onednn import Linear, gains


def arrange_memory(model: nn.Module, onednn: bool | None = None) -> None:
    """Bring a model into the layout that is fastest; its parameters keep their names and values.

    Args:
        model: changed in place.
        onednn: whether large products are left to oneDNN; None: on the processors where that is faster.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if type(layer) is nn.Linear and (gains() if onednn is None else onednn):
            layer.__class__ = Linear


def like(values: Tensor, other: Tensor) -> Tensor:
    """Values of the shape of another tensor, lying in memory as it does: what a fused optimizer takes for granted."""
    return values if values.stride() == other.stride() else torch.empty_like(other).copy_(values)
