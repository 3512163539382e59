"""Gradients that are added up over the processes while others are still computed.

The gradient of a large weight is there long before those of earlier layers are. Its sum over the processes begins at
once, by torch's asynchronous `all_reduce`, and goes on beside the rest of the backward pass. All smaller gradients are
added up afterwards, as one message. Every process begins the sums in the same order, that of the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from genkit.parallel.group import add_up, count

LARGE = 2**22
"""The number of values from which a gradient goes alone; `python -m benchmarks.communication` measures it."""


class Overlap:
    """The sums of the gradients that are taken in a block; it can be entered again, for the next step.

    The sums of large gradients lie in tensors that are kept, as new ones of this size cost more than the sums.

    Args:
        fitted: the parameters by which is differentiated, by owner; those that are left out are added up at the end.
    """

    def __init__(self, fitted: Mapping[str, Sequence[Tensor]]) -> None:
        self.fitted = fitted
        self._sums: dict[int | None, tuple[Tensor, Any]] = {}
        self._kept: dict[int, Tensor] = {}
        """By the parameter."""
        self._remove: list[Callable[[], None]] = []

    def __enter__(self) -> Overlap:
        for parameter in _of_all(self.fitted) if count() > 1 else ():
            if parameter.numel() >= LARGE and parameter.requires_grad:
                handle = parameter.register_hook(partial(self._begin, id(parameter)))
                self._remove.append(handle.remove)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for remove in self._remove:
            remove()
        self._remove.clear()

    def _begin(self, key: int, gradient: Tensor) -> None:
        if key not in self._kept:  # a copy: autograd may give the same tensor to others
            self._kept[key] = torch.empty_like(gradient, memory_format=torch.contiguous_format)
        total = self._kept[key].copy_(gradient.detach())
        self._sums[key] = total, dist.all_reduce(total, async_op=True)

    def added_up(self, gradients: Mapping[str, Sequence[Tensor | None]]) -> Mapping[str, Sequence[Tensor | None]]:
        """The sums of the gradients over the processes; all processes call it.

        Args:
            gradients: what the block gave, one for each parameter of some owners.

        Returns:
            The sums, in the same form; those of large gradients change with the next step.
        """
        if count() == 1:
            return gradients
        whole = {owner: [self._whole(*each) for each in self._keyed(owner, own)] for owner, own in gradients.items()}
        add_up(each for owner, own in whole.items() for each, key in self._keyed(owner, own) if key not in self._sums)
        for _, message in self._sums.values():
            message.wait()
        self._sums.clear()
        return whole

    def _keyed(self, owner: str, own: Sequence[Tensor | None]) -> Iterable[tuple[Tensor | None, int | None]]:
        """Gradients of an owner, each with the key of the sum that may have begun."""
        return zip_longest(own, map(id, self.fitted.get(owner, ())))

    def _whole(self, gradient: Tensor | None, key: int | None) -> Tensor | None:
        """The tensor that has the sum in the end."""
        if gradient is None:
            return None
        if key in self._sums:
            return self._sums[key][0]
        return gradient.clone() if 0 in gradient.stride() else gradient  # one value, expanded, holds no sum


def _of_all(fitted: Mapping[str, Sequence[Tensor]]) -> Iterable[Tensor]:
    return (parameter for own in fitted.values() for parameter in own)
