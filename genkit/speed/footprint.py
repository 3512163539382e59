"""The memory that a piece of work takes, counted while it runs."""

from __future__ import annotations

import contextlib
import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

from genkit.speed.seam import MISSING, do_without


class Footprint:
    """The bytes of all tensors that some work makes and that are still there, and the most there were.

    Args:
        limit: the largest number of bytes; None: any.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.bytes = 0
        """Of the tensors that were made and are still there."""
        self.peak = 0
        """The most that they have been."""
        self._sizes: dict[int, int] = {}

    def count(self, function: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call a function, and count what it makes; raises MemoryError where that is more than the limit."""
        sizes = arguments[0] if arguments and isinstance(arguments[0], list | tuple) else ()
        if self.limit is not None and all(isinstance(size, int) for size in sizes):
            self._check(math.prod(sizes))  # before the memory is taken
        before = {id(each.untyped_storage()) for each in _tensors((arguments, options))}
        value = function(*arguments, **options)
        for each in _tensors(value):
            if id(each.untyped_storage()) not in before:
                self._add(each)
        return value

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)  # the object lives as long as the memory
        if key in self._sizes:  # a view of what is counted
            return
        self._sizes[key] = storage.nbytes()
        self._check(storage.nbytes())
        self.bytes += storage.nbytes()
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._drop, key)

    def _check(self, more: int) -> None:
        if self.limit is not None and self.bytes + more > self.limit:
            raise MemoryError(f"it takes more than {self.limit:,} bytes")

    def _drop(self, key: int) -> None:
        self.bytes -= self._sizes.pop(key)


@contextlib.contextmanager
def watching(instead: str, limit: int | None = None) -> Iterator[Footprint | None]:
    """Count the memory that the block takes; on the meta device no memory is taken for it.

    Args:
        instead: what is done where this version of torch does not let its calls be watched, which gives None.
        limit: the largest number of bytes: a call in the block that goes beyond it raises MemoryError.
    """
    try:
        from torch.utils._python_dispatch import TorchDispatchMode
    except MISSING as error:
        do_without(error, instead)
        yield None
        return
    footprint = Footprint(limit)

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
            return footprint.count(function, arguments, options or {})

    with Watch():  # type: ignore[no-untyped-call]
        yield footprint


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in what an operation takes or gives."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _tensors(each)
