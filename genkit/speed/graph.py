"""A function that takes gradients of a model, as one compiled graph for one kind of batch.

The graph is traced with the model's parameters and buffers as inputs; from then on none of its Python runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from genkit.speed import decompositions

Gradients = tuple[dict[str, Sequence[Tensor | None]], dict[str, Tensor]]
"""By the names of what is differentiated by; and figures."""
Function = Callable[..., Gradients]
"""Takes the model, the parameters to differentiate by, and the batch."""
Graph = Callable[[list[Tensor]], Gradients]
"""Takes the tensors of a batch."""


def compiled_graph(
    function: Function,
    model: nn.Module,
    fitted: Mapping[str, Sequence[Tensor]],
    batch: Sequence[Tensor | None],
    options: dict[str, Any],
) -> Graph:
    """The compiled graph of a function for batches like one.

    Args:
        function: what to trace.
        model: already on its device; its parameters and buffers stay the same tensors.
        fitted: the parameters to differentiate by, under some names.
        batch: the shapes, types and devices that the graph is for.
        options: of torch's compiler.

    Raises:
        Exception: whatever stands in the way: a name that this version of torch does not have, an operation that
            cannot be traced, or what the function itself raises.
    """
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    inputs = [*state.values(), *(tensor for tensor in batch if tensor is not None)]
    graph, names = _traced(_flattened(function, model, fitted, state, batch), inputs)
    with torch.no_grad():
        run = torch._inductor.compile(graph, [*inputs], options)
    parameters, sizes = list(state.values()), {owner: len(each) for owner, each in fitted.items()}

    @torch.no_grad()
    def compiled(tensors: list[Tensor]) -> Gradients:
        values = iter(run(*parameters, *tensors))
        gradients: dict[str, Sequence[Tensor | None]] = {}
        gradients |= {owner: list(islice(values, size)) for owner, size in sizes.items()}
        return gradients, dict(zip(names, values, strict=True))

    return compiled


Flat = Callable[..., tuple[tuple[Tensor | None, ...], list[str]]]
"""Takes the model's state and the batch one after the other; gives all values, and the names of the figures."""


def _flattened(
    function: Function,
    model: nn.Module,
    fitted: Mapping[str, Sequence[Tensor]],
    state: Mapping[str, Tensor],
    batch: Sequence[Tensor | None],
) -> Flat:
    whole, names = _Whole(function, model), {id(tensor): name for name, tensor in state.items()}
    owned = {owner: [names[id(parameter)] for parameter in each] for owner, each in fitted.items()}

    def flat(*tensors: Tensor) -> tuple[tuple[Tensor | None, ...], list[str]]:
        rest = iter(tensors)
        named = dict(zip(state, rest, strict=False))
        by = {owner: [named[name] for name in each] for owner, each in owned.items()}
        arguments = (by, *(None if tensor is None else next(rest) for tensor in batch))
        gradients, figures = torch.func.functional_call(whole, {f"model.{n}": t for n, t in named.items()}, arguments)
        return (*(gradient for each in gradients.values() for gradient in each), *figures.values()), list(figures)

    return flat


def _traced(flat: Flat, inputs: list[Tensor]) -> tuple[torch.fx.GraphModule, list[str]]:
    """The graph of a function of tensors; and the names of the figures that follow the gradients."""
    from torch.fx.experimental.proxy_tensor import make_fx  # only those who compile pay for its import

    names: list[str] = []

    def values(*tensors: Tensor) -> tuple[Tensor | None, ...]:
        each, names[:] = flat(*tensors)
        return each

    with torch.compiler._compile_session_context():
        return make_fx(values, decompositions.table(), "fake")(*inputs), names


class _Whole(nn.Module):
    """A function of a model as a module, so that torch can put other tensors in place of the model's."""

    def __init__(self, function: Function, model: nn.Module) -> None:
        super().__init__()
        self.function, self.model = function, model

    def forward(self, *arguments: Any) -> Gradients:
        return self.function(self.model, *arguments)
