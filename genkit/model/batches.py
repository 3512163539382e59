"""Batches for work without gradients, of a size that suits the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from genkit.data.places import spans
from genkit.speed.footprint import watching

CACHED = 2**24
"""About the bytes that a processor's caches hold: a batch with larger tensors waits for the memory."""
FEW, MOST = 32, 1024
"""The least and the greatest size of a batch, except the last one."""


class Batches:
    """One kind of work on data, batch by batch; on a CPU the tensors of a batch fit into its caches.

    The outputs of convolutions are many times as large as a datum: in batches that fit into the caches they take two
    thirds of the time. The first batch, which is always small, shows how large the tensors are: so the batches, and the
    random numbers drawn in them, are the same in the first call as in later ones.
    """

    def __init__(self) -> None:
        self.size: int | None = None
        """The size of a batch, a multiple of FEW; None: not measured yet."""

    def over(self, count: int, function: Callable[[int, int], Tensor], device: torch.device) -> Iterator[Tensor]:
        """The values of `function(start, stop)` for each batch of `count` data, in order."""
        first, size = 0, MOST
        if device.type == "cpu" and count > 0:
            first = min(count, FEW)
            yield self._first(first, function)
            size = self.size or MOST
        yield from (function(first + start, first + start + number) for start, number in spans(count - first, size))

    def _first(self, count: int, function: Callable[[int, int], Tensor]) -> Tensor:
        if self.size is not None or count < FEW:
            return function(0, count)
        with watching(f"data that need no gradients go through the model in batches of {MOST}") as footprint:
            values = function(0, count)
        fitting = MOST if footprint is None else CACHED // max(1, footprint.peak) * FEW
        self.size = min(MOST, max(FEW, fitting))
        return values
