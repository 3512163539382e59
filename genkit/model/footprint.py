"""The memory that a piece of work takes, counted while it runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Watch(TorchDispatchMode):
    """Counts the bytes of all tensors that are made inside its block and still there, and the most there were.

    On the meta device it does so without any memory being taken.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        """Of the tensors that were made and are still there."""
        self.peak = 0
        """The most that they have been."""
        self._known: dict[int, int] = {}

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), options: Any = None
    ) -> Any:
        """Count what an operation makes."""
        given = {_key(each) for each in tree_leaves((arguments, options)) if isinstance(each, Tensor)}
        made = function(*arguments, **(options or {}))
        for each in tree_leaves(made):
            if isinstance(each, Tensor) and _key(each) not in given:
                self._add(each)
        return made

    def _add(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _key(tensor)
        if key in self._known:  # a view of what is counted
            return
        self._known[key] = storage.nbytes()
        self.bytes += storage.nbytes()
        self.peak = max(self.peak, self.bytes)
        weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.bytes -= self._known.pop(key)


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
