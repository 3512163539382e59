"""Data in batches where nothing is kept for gradients: as many at once as suits the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genkit.data.dataset import spans
from genkit.speed.footprint import watching

CACHED = 2**24
"""Bytes that the caches of a processor hold, about: a batch whose tensors take more waits for the memory."""
FEW, MOST = 32, 1024
"""The least and the greatest number of data in a batch, but for the last one."""


class Batches:
    """One kind of work on data, batch by batch; on a CPU of as many data as its caches hold the tensors of.

    Layers of convolutions are many times as large as a datum: in batches that the caches hold they take two thirds of
    the time. How large the tensors are is seen in the first batch, which is always a small one: the batches, and so the
    random numbers drawn in them, are the same whether it is known or not.
    """

    def __init__(self) -> None:
        self.size: int | None = None
        """Data in a batch, FEW or a multiple of it; None: not known yet."""

    def over(self, count: int, function: Callable[[int, int], Tensor], device: torch.device) -> Iterator[Tensor]:
        """What a function makes of the data from one number up to another, batch by batch, over `count` data."""
        done, size = 0, MOST
        if device.type == "cpu" and count > 0:
            done = min(count, FEW)
            yield self._first(done, function)
            size = self.size or MOST
        yield from (function(done + start, done + start + number) for start, number in spans(count - done, size))

    def _first(self, count: int, function: Callable[[int, int], Tensor]) -> Tensor:
        if self.size is not None or count < FEW:
            return function(0, count)
        with watching(f"data that need no gradients go through the model in batches of {MOST}") as footprint:
            values = function(0, count)
        fitting = MOST if footprint is None else CACHED // max(1, footprint.peak) * FEW
        self.size = min(MOST, max(FEW, fitting))
        return values
