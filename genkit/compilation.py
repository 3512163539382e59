"""Whether a training step is compiled, and how: `training.compile`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


class Compiled(Generic[P, R]):
    """A function that takes gradients, as one compiled graph; random numbers are those of the eager function.

    A function that holds something which cannot be traced (recurrent layers) is compiled in pieces around it, and its
    gradients are taken piece by piece.

    Args:
        function: what is compiled, at its first call.
    """

    def __init__(self, function: Callable[P, R]) -> None:
        options: dict[str, Any] = {
            "dynamic": False,  # the last batch of an epoch is a shape of its own
            "isolate_recompiles": True,  # models that follow each other in a process do not count as one
            "options": {"fallback_random": True},
        }
        self.whole = torch.compile(function, fullgraph=True, **options)
        self.pieces = torch.compile(function, **options)
        self.traceable = True

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function gives."""
        if self.traceable:
            try:
                with torch._dynamo.config.patch(trace_autograd_ops=True):
                    return self.whole(*args, **kwargs)
            except torch._dynamo.exc.Unsupported:  # found out before anything is computed
                self.traceable = False
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor", category=UserWarning)
            return self.pieces(*args, **kwargs)  # where pieces meet, torch looks at .grad
