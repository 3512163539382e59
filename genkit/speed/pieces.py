"""Functions compiled by `torch.compile`, which makes several graphs of what cannot be one."""

from __future__ import annotations

import contextlib
import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

from genkit.speed.seam import MISSING, do_without


class NotTraceableError(Exception):
    """A function cannot be one graph; the text says why."""


def compiled_in_pieces(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    """The same function by torch.compile, which checks at every call whether its code still fits.

    Args:
        function: may take gradients.
        options: of torch's compiler.
    """
    fixed: dict[str, Any] = {"dynamic": False, "isolate_recompiles": True}  # a last batch is a shape of its own
    pieces: Callable[..., Any] = torch.compile(function, options=options, **fixed)
    gradients = _gradients_traced()

    def call(*arguments: Any) -> Any:
        with gradients, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor", category=UserWarning)
            return pieces(*arguments)  # where pieces meet, torch looks at .grad

    return call


@contextlib.contextmanager
def traced_whole(function: Callable[..., Any], backend: str) -> Iterator[Callable[..., Any]]:
    """A function that is traced as one graph, gradients included; what was traced before has no part in it.

    Args:
        function: may take gradients.
        backend: what torch.compile makes of the graph.

    Raises:
        NotTraceableError: it takes more than one graph.
    """
    from torch._dynamo.exc import TorchDynamoException

    torch.compiler.reset()
    options: dict[str, Any] = {"fullgraph": True, "backend": backend, "isolate_recompiles": True}
    try:
        with _gradients_traced():
            yield torch.compile(function, **options)
    except TorchDynamoException as error:
        raise NotTraceableError(str(error)) from error


def import_compiler() -> None:
    """Import torch's compiler ahead of use, where steps may be compiled by processes that form a group.

    Imported while there is a group, it keeps the group's threads running past its end.
    """
    with contextlib.suppress(*MISSING):
        importlib.import_module("torch._dynamo")


def _gradients_traced() -> contextlib.AbstractContextManager[Any]:
    """Inside of it, torch.autograd.grad is part of a graph; it can be entered again and again."""
    try:
        from torch._dynamo import config

        assert config.trace_autograd_ops in (True, False)
    except MISSING as error:
        do_without(error, "compiled steps that are no single graph leave their gradients out of it")
        return contextlib.nullcontext()
    patch: contextlib.AbstractContextManager[Any] = config.patch(trace_autograd_ops=True)
    return patch
