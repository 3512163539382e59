"""The layout in which a model lies in memory, and which library multiplies for it."""

from __future__ import annotations

import functools
import platform
from pathlib import Path

import torch
from torch import Tensor, nn

from genkit.speed.seam import MISSING, do_without


def arrange_memory(model: nn.Module, onednn: bool | None = None) -> None:
    """Bring the layers of a model into the form that is fastest; its parameters stay, with their names and values.

    Args:
        model: changed in place.
        onednn: whether large products are left to oneDNN; None: on the processors where that is faster.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if gains() if onednn is None else onednn:
        try:
            from genkit.speed.onednn import leave_products
        except MISSING as error:
            do_without(error, "MKL computes all products of dense layers, which takes longer on some processors")
        else:
            leave_products(model)


@functools.cache
def gains() -> bool:
    """Whether oneDNN is there and the processor one that MKL does not make full use of."""
    file = Path("/proc/cpuinfo")
    processor = file.read_text(encoding="utf-8") if file.is_file() else platform.processor()
    return torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available() and "AuthenticAMD" in processor


def like(values: Tensor, other: Tensor) -> Tensor:
    """Values of the shape of another tensor, lying in memory as it does: what a fused optimizer takes for granted."""
    return values if values.stride() == other.stride() else torch.empty_like(other).copy_(values)
