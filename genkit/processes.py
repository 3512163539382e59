"""More than one process, as `torchrun` starts them: each takes a part of every batch, and all do what one would do.

Every process has the same weights and draws the same random numbers, those of the whole batch, of which it uses its own
part; sums over the batch are added up over the processes, in batch normalization too. Dropout masks alone are each
process's own.

B data, those of this process where a batch is shared.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genkit.errors import ConfigError


class Part(NamedTuple):
    """The rows of a batch that belong to this process."""

    start: int
    stop: int
    total: int
    """Of the whole batch."""


_part: Part | None = None


def started() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def restarted() -> bool:
    """Whether torchrun started this process anew after one had failed."""
    return started() and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def local_rank() -> int:
    """The number of this process on its machine, from 0: the GPU that it uses."""
    return int(os.environ.get("LOCAL_RANK", "0")) if started() else 0


def leads() -> bool:
    """Whether this is the process that writes: the first, or the only one."""
    return not started() or int(os.environ["RANK"]) == 0


def count() -> int:
    """How many processes work together now."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[None]:
    """Work together with the other processes that torchrun started, if it did; gloo on CPU, NCCL on GPUs."""
    if not started() or dist.is_initialized():
        yield
        return
    if not dist.is_available():
        raise ConfigError("torchrun started several processes, and this torch is built without torch.distributed")
    importlib.import_module("torch._dynamo")  # imported when the group is there, it keeps it alive past its end
    store, rank, size = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")  # the store may hold the addresses of the one before
    store = dist.PrefixStore(f"genkit/{attempt}", store)  # type: ignore[attr-defined]
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=rank, world_size=size)
    try:
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def part_company() -> None:
    """The end of working together: each process is alone from here on. All come here before one goes."""
    if count() > 1:
        dist.barrier()
        dist.destroy_process_group()


def wait() -> None:
    """Go on when all processes have come here."""
    if count() > 1:
        dist.barrier()


def part(total: int) -> Part:
    """The rows of a batch of so many data that this process takes: all of them, where it is alone."""
    number, processes = (dist.get_rank(), count()) if count() > 1 else (0, 1)
    return Part(total * number // processes, total * (number + 1) // processes, total)


@contextlib.contextmanager
def sharing(total: int) -> Iterator[None]:
    """Inside the block the batch at hand is this process's part of one of so many data."""
    global _part
    if count() == 1:
        yield
        return
    before, _part = _part, part(total)
    try:
        yield
    finally:
        _part = before


def normal(*shape: int, batch: int, like: Tensor) -> Tensor:
    """Draws from N(0, 1), which do not depend on how many processes share the batch.

    Args:
        shape: of what is drawn.
        batch: the dimension that counts the data.
        like: what has the type and the device.
    """
    return _drawn(torch.randn, shape, batch, like)


def uniform(*shape: int, batch: int, like: Tensor) -> Tensor:
    """Draws from U(0, 1), as `normal`."""
    return _drawn(torch.rand, shape, batch, like)


def mean(values: Tensor) -> Tensor:
    """What this process adds to the mean of a term over the whole batch: (B,), or a statistic of the batch (), -> ().

    Added up over the processes, this is the mean; of a statistic, the mean of what the processes find, which is the
    same in all of them where it is made of `batch_mean`.
    """
    if _part is None:
        return values.mean()
    return values.sum() / _part.total if values.ndim else values / count()


def batch_mean(values: Tensor) -> Tensor:
    """The mean over the whole batch, the same in every process: (B, ...) -> (...). Gradients go back through it."""
    if _part is None:
        return values.mean(0)
    return _counted_mean(values)[0]


def share_normalization(model: nn.Module) -> None:
    """Let every batch normalization of a model normalize over the whole batch, where processes share it."""
    if count() == 1:
        return
    for name, layer in list(model.named_modules()):
        if isinstance(layer, _BatchNorm):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, SharedBatchNorm(layer))


def add_up(tensors: Iterable[Tensor | None]) -> None:
    """Put into each tensor the sum of what all processes have there; None is passed over."""
    given = [tensor for tensor in tensors if tensor is not None]
    if count() == 1 or not given:
        return
    flat = torch.cat([tensor.flatten() for tensor in given])
    dist.all_reduce(flat)
    for tensor, summed in zip(given, flat.split([tensor.numel() for tensor in given]), strict=True):
        tensor.copy_(summed.view_as(tensor))


def told(text: str | None, device: torch.device) -> str:
    """What the leading process says, in every process; the others give None."""
    if count() == 1:
        assert text is not None
        return text
    size = torch.tensor(len(text.encode()) if text is not None else 0, device=device)
    dist.broadcast(size, 0)
    letters = torch.zeros(int(size), dtype=torch.uint8, device=device)
    if text is not None:
        letters.copy_(torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8))
    dist.broadcast(letters, 0)
    return bytes(letters.cpu().tolist()).decode()


class SharedBatchNorm(nn.Module):
    """Batch normalization over the whole batch, whichever processes share it: what `torch.nn.BatchNorm` does for one.

    Args:
        layer: the layer whose parameters and running statistics are used and kept up to date.
    """

    def __init__(self, layer: _BatchNorm) -> None:
        super().__init__()
        self.layer = [layer]
        for name, parameter in layer.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in layer.named_buffers(recurse=False):
            self.register_buffer(name, buffer)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> the same shape."""
        layer = self.layer[0].train(self.training)
        if _part is None or not self.training:
            given: Tensor = layer(x)
            return given
        spread = [1, -1, *[1] * (x.ndim - 2)]
        values = x.flatten(2).mean(2) if x.ndim > 2 else x
        mean, _ = _counted_mean(values)
        squares = (x - mean.view(spread)).square()
        variance, rows = _counted_mean(squares.flatten(2).mean(2) if x.ndim > 2 else squares)
        if layer.running_mean is not None and layer.running_var is not None:
            count = rows * math.prod(x.shape[2:])
            assert layer.num_batches_tracked is not None
            layer.num_batches_tracked.add_(1)
            momentum = 1 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
            layer.running_mean.lerp_(mean.detach(), momentum)
            layer.running_var.lerp_(variance.detach() * (count / (count - 1)), momentum)
        normalized = (x - mean.view(spread)) * torch.rsqrt(variance.view(spread) + layer.eps)
        return normalized * layer.weight.view(spread) + layer.bias.view(spread) if layer.affine else normalized


class _Sum(torch.autograd.Function):
    """The sum over the processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: Tensor) -> Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0])


def _counted_mean(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over the rows (N, ...) of all processes, and how many rows they have."""
    own = torch.cat([values.sum(0).flatten(), values.new_full((1,), len(values))])
    total: Tensor = _Sum.apply(own)  # type: ignore[no-untyped-call]
    return (total[:-1] / total[-1]).view(values.shape[1:]), total[-1].detach()


def _drawn(draw: Callable[..., Tensor], shape: tuple[int, ...], batch: int, like: Tensor) -> Tensor:
    if _part is None or shape[batch] != _part.stop - _part.start:
        return draw(shape, dtype=like.dtype, device=like.device)
    whole = draw((*shape[:batch], _part.total, *shape[batch + 1 :]), dtype=like.dtype, device=like.device)
    return whole.narrow(batch, _part.start, shape[batch])
