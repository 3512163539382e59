"""Whether a training step is compiled, and how: `training.compile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function as one graph, the gradients that it takes included; random numbers are those of the eager one."""
    graph = torch.compile(function, options={"fallback_random": True})

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with torch._dynamo.config.patch(trace_autograd_ops=True):
            return graph(*args, **kwargs)

    return call
