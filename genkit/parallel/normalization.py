"""Batch normalization over the whole batch, where several processes share it.

On GPUs it is torch's SyncBatchNorm, which does not run on a CPU.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit.parallel.draws import counted_mean, rows_at_hand
from genkit.parallel.group import count

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def share_normalization(model: nn.Module) -> None:
    """Let the batch normalizations of a model use the whole batch, where processes share it."""
    if count() > 1:
        replace_normalization(model)


def replace_normalization(model: nn.Module) -> None:
    """Replace every batch normalization of a model by one over the batch that processes share.

    Names, parameters and running statistics stay the same tensors.
    """
    for name, layer in list(model.named_modules()):
        if isinstance(layer, KINDS):
            above, _, own = name.rpartition(".")
            setattr(model.get_submodule(above), own, _shared(layer))


def _shared(layer: nn.Module) -> nn.Module:
    on_gpu = all(tensor.device.type == "cuda" for tensor in layer.state_dict().values())
    if on_gpu and layer.state_dict():
        sync_layer: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
        return sync_layer
    return SharedBatchNorm(layer)


class SharedBatchNorm(nn.Module):
    """Batch normalization over the whole batch of all processes, with the result of `torch.nn.BatchNorm` in one.

    Ioffe & Szegedy 2015 (arXiv:1502.03167), algorithm 1; the running variance is the unbiased one.

    Args:
        layer: the layer to replace; its options, parameters and running statistics are taken over.
    """

    weight: Tensor | None
    bias: Tensor | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        assert isinstance(layer, KINDS)
        self.eps, self.momentum = layer.eps, layer.momentum
        for name in ("weight", "bias"):
            self.register_parameter(name, getattr(layer, name))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, getattr(layer, name))
        self.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x (B, C, ...) -> the same shape."""
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        if self.training and rows_at_hand() is not None:
            return self._over_processes(x)
        batch = self.training or self.running_mean is None
        mean, variance = self.running_mean, self.running_var
        return F.batch_norm(x, mean, variance, self.weight, self.bias, batch, self._step(), self.eps)

    def _step(self) -> float:
        """The weight of a batch in the running statistics."""
        if self.momentum is not None or self.num_batches_tracked is None:
            return self.momentum or 0.0
        return 1 / max(1.0, float(self.num_batches_tracked))

    def _over_processes(self, x: Tensor) -> Tensor:
        spread = [1, -1, *[1] * (x.ndim - 2)]
        mean, _ = counted_mean(x.flatten(2).mean(2) if x.ndim > 2 else x)
        squares = (x - mean.view(spread)).square()
        variance, rows = counted_mean(squares.flatten(2).mean(2) if x.ndim > 2 else squares)
        if self.running_mean is not None and self.running_var is not None:
            count = rows * math.prod(x.shape[2:])
            self.running_mean.lerp_(mean.detach(), self._step())
            self.running_var.lerp_(variance.detach() * (count / (count - 1)), self._step())
        normalized = (x - mean.view(spread)) * torch.rsqrt(variance.view(spread) + self.eps)
        if self.weight is None or self.bias is None:
            return normalized
        return normalized * self.weight.view(spread) + self.bias.view(spread)
