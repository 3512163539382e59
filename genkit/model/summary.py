"""The table of a model: its layers in the order in which data flow, with output shapes and parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from genkit.errors import GenkitError
from genkit.interfaces import Shape
from genkit.model.conditions import placeholders, widen
from genkit.model.model import Model
from genkit.model.network import evaluating


@dataclass(frozen=True)
class Row:
    """One layer."""

    name: str
    type: str
    shape: Shape
    """The shape of the output for one datum."""
    parameters: int
    activation: str | None = None
    """The elementwise function after the layer."""
    parallel: bool = False
    """Whether the layer reads the same input as the row before: two heads, side by side."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def channels_last(self) -> Row:
        """The same row with the shape (C, n, ...) as (n, ..., C)."""
        return replace(self, shape=(*self.shape[1:], self.shape[0]))


def part_of(rows: list[Row], part: str) -> list[Row]:
    """The rows of the encoder with the sampler's heads, or of the decoder from z to the likelihood.

    Raises:
        GenkitError: there is no part of that name, or the model lacks it.
    """
    if part not in PARTS:
        raise GenkitError(f"a model has no part '{part}'; choose from {', '.join(PARTS)}")
    if part == "encoder" and rows[0].name != "input":
        raise GenkitError("the model has no encoder: it only generates")
    chosen = [row for row in rows if row.name.split(".")[0] in PARTS[part]]
    if part == "encoder":
        return chosen
    sampler = next(row for row in chosen if row.name == "sampler")
    return [replace(sampler, name="z", parameters=0), *(row for row in chosen if not row.name.startswith("sampler"))]


PARTS = {"encoder": ("input", "encoder", "sampler"), "decoder": ("sampler", "decoder", "likelihood")}


def describe(model: Model) -> list[Row]:
    """The rows of a model, with the layers of learned terms last; their parameters add up to the model's."""
    tracer = _Tracer(silent=model.sampler)
    source = model.data.source if model.data is not None else "data"
    rows = [Row("input", source, model.shape, 0)] if model.encoder is not None else []
    with torch.random.fork_rng(), evaluating(model):
        x = torch.zeros(2, *model.shape, device=model.device)
        side = placeholders(model.schema, model.reads, 2, model.device)
        beside = model.beside(side)
        if model.encoder is not None:
            features = tracer.trace("encoder", model.encoder, model.widened(x, beside), **beside.of(model.encoder))
            z = tracer.trace("sampler", model.sampler, features, **beside.of(model.sampler)).z.flatten(0, 1)
        else:
            z = model.draw(2)
        tracer.rows.append(
            Row("sampler", type(model.sampler).__name__, model.sampler.latent_shape, _own(model.sampler))
        )
        for name, part in (("prior", model.prior), ("condition", model.conditions)):
            if part is not None:
                shape = model.sampler.latent_shape if name == "prior" else (model.condition_size,)
                tracer.rows.append(Row(name, type(part).__name__, shape, _all(part)))
        seen = (x,) if model.in_steps else ()
        tracer.trace("decoder", model.decoder, widen(z, beside.condition), *seen, **beside.of(model.decoder))
        tracer.rows.append(Row("likelihood", type(model.likelihood).__name__, model.shape, _all(model.likelihood)))
        forward = model(x, side=side).detached()
        for name, critic in model.critics.items():
            tracer.trace(f"loss.{name}", critic, forward, **beside.of(critic))
    return [*rows, *tracer.rows]


class _Tracer:
    """Collects one row per layer that a forward pass reaches, except for the layer `silent`."""

    def __init__(self, silent: nn.Module) -> None:
        self.silent = silent
        self.rows: list[Row] = []
        self.last_input: Tensor | None = None
        self.last_output: Tensor | None = None
        self.counted: set[nn.Module] = set()

    def trace(self, part: str, module: nn.Module, *inputs: Any, **side: Tensor) -> Any:
        handles = []
        for name, layer in _layers(module):
            if layer is not self.silent:
                handles.append(layer.register_forward_hook(self._hook(f"{part}.{name}".rstrip("."), layer)))
        try:
            return module(*inputs, **side)
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str, layer: nn.Module) -> Any:
        def record(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            input = inputs[0] if inputs and isinstance(inputs[0], Tensor) else None
            result = output[0] if isinstance(output, tuple) else output
            if result is input:  # a layer that changes nothing, such as a Flatten of flat input
                return
            follows = input is not None and input is self.last_output
            self.last_output = result
            if follows and self.rows[-1].activation is None and isinstance(layer, _ACTIVATIONS):
                self.rows[-1] = replace(self.rows[-1], activation=type(layer).__name__)
                return
            parallel = input is not None and input is self.last_input
            self.last_input = input
            inner = _inner(layer)
            parameters = 0 if inner in self.counted else _own(inner)
            self.counted.add(inner)
            self.rows.append(Row(name, type(inner).__name__, tuple(result.shape[1:]), parameters, parallel=parallel))

        return record


def _layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The modules that get a row: those without children or with parameters of their own, and wrappers of one layer."""
    children = list(module.named_children())
    wraps = bool(name) and _inner(module) is not module
    if not children or _own(module) or wraps:
        yield name, module
    if not wraps:
        for child, layer in children:
            yield from _layers(layer, f"{name}.{child}".lstrip("."))


def _inner(module: nn.Module) -> nn.Module:
    """The one layer inside a wrapper (a convolution that is padded or cropped), else the module itself."""
    children = list(module.children())
    wraps = len(children) == 1 and not any(True for _ in children[0].children())
    return children[0] if wraps and not _own(module) and not isinstance(module, _LISTS) else module


_LISTS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_ACTIVATIONS = tuple(
    getattr(nn, name)
    for name in (
        "ReLU",
        "LeakyReLU",
        "ELU",
        "GELU",
        "SiLU",
        "Softplus",
        "Tanh",
        "Sigmoid",
        "Identity",
        "Softmax",
    )
)


def _own(module: nn.Module) -> int:
    """The number of parameters of the module itself, without the layers inside it."""
    return sum(parameter.numel() for parameter in module.parameters(recurse=False))


def _all(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
