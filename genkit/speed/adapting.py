"""Compiled graphs on as many threads as other work leaves cores for, where that changes no number.

A thread of a product waits for the others at its end, and where other work has some of the cores, the one waited for
may not be running. Fewer threads wait less, but another number of them may add up in another order. Whether a product
does is a property of its kernel, which goes by shapes and not by values; what lies between products has to be compiled
for one thread. So a graph is tried on both numbers for some steps, and computes on fewer threads after that if all that
it gave and left was the same: gradients are many thousand sums, of which some would have been rounded otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from genkit.parallel.cores import computing_on
from genkit.speed.crowding import spare_cores

Run = Callable[..., Sequence[Tensor | None]]
"""A compiled graph: takes tensors, and may change some of them in place."""


TRIES = 20
"""The number of steps that are computed on both numbers of threads."""


@final
class Adapting:
    """A compiled graph that computes on fewer threads while other work has cores, if its numbers are the same there.

    Args:
        run: the graph. Its random numbers are those of torch's generator for the CPU.
        state: the tensors that it takes first, some of which it may change in place.
    """

    def __init__(self, run: Run, state: Sequence[Tensor]) -> None:
        self.run, self.state = run, state
        self.tries: dict[int, int] = {}
        """By numbers of threads: how many steps are still to be tried there."""
        self.different: set[int] = set()
        """The numbers of threads on which the graph gave something else than on the usual one."""

    @torch.no_grad()
    def __call__(self, *tensors: Tensor) -> Sequence[Tensor | None]:
        """What the graph gives for the tensors that follow the state."""
        usual, spare = torch.get_num_threads(), spare_cores()
        if spare is None or spare >= usual or spare in self.different:
            return self.run(*self.state, *tensors)
        left = self.tries.get(spare, TRIES)
        if left == 0:
            with computing_on(spare):
                return self.run(*self.state, *tensors)
        self.tries[spare] = left - 1
        return self._tried(spare, tensors)

    def _tried(self, fewer: int, tensors: Sequence[Tensor]) -> Sequence[Tensor | None]:
        """What the graph gives on the usual number of threads, and whether it is the same on fewer."""
        random, before = torch.get_rng_state(), [tensor.clone() for tensor in self.state]
        with computing_on(fewer):
            outcome = [*self.run(*self.state, *tensors), *(tensor.clone() for tensor in self.state)]
        after = torch.get_rng_state()
        torch.set_rng_state(random)
        for tensor, old in zip(self.state, before, strict=True):
            tensor.copy_(old)
        values = self.run(*self.state, *tensors)
        same = all(map(_same, outcome, [*values, *self.state])) and torch.equal(after, torch.get_rng_state())
        if not same:
            self.different.add(fewer)
        return values


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    return one is other if one is None or other is None else torch.equal(one, other)
