"""The condition of a model, and the side data on their way to the parts that ask for them.

B data, C numbers of the condition.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import Component, Encoder, Schema, Shape, Side
from genkit.interfaces.component import MASK

ONE_HOT = 64
"""The largest number of classes of which each has a place of its own in the condition."""
EMBEDDING = 32
"""The width of the learned vectors that stand for the classes where there are more."""
NOTHING: Mapping[str, Tensor] = MappingProxyType({})


class Conditions(nn.Module):
    """The side data of a config's `condition` as one vector per datum.

    Args:
        names: the side data, in their order in the vector.
        schema: what the side data hold.

    Raises:
        ComponentError: the data lack one of them.
    """

    def __init__(self, names: Iterable[str], schema: Schema) -> None:
        super().__init__()
        self.side = {name: side_of(name, schema, "condition", "take it out of condition") for name in names}
        self.tables = nn.ModuleDict({name: _table(side) for name, side in self.side.items() if side.classes})
        self.size = sum(_width(side) for side in self.side.values())
        """C."""

    def forward(self, values: Mapping[str, Tensor]) -> Tensor:
        """The side data (B, ...) by name -> (B, C)."""
        parts = [self.tables[name](values[name]) if name in self.tables else values[name] for name in self.side]
        return torch.cat([(p.flatten(1) if p.ndim > 1 else p.unsqueeze(1)).to(torch.float32) for p in parts], 1)


def _width(side: Side) -> int:
    """The numbers that stand for one of the side data."""
    each = 1 if side.classes is None else side.classes if side.classes <= ONE_HOT else EMBEDDING
    return each * math.prod(side.shape)


def _table(side: Side) -> nn.Module:
    assert side.classes is not None
    return OneHot(side.classes) if side.classes <= ONE_HOT else nn.Embedding(side.classes, EMBEDDING)


class OneHot(nn.Module):
    """Classes as unit vectors.

    Args:
        classes: their number.
    """

    units: Tensor

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("units", torch.eye(classes), persistent=False)

    def forward(self, classes: Tensor) -> Tensor:
        """Indices (B, ...) -> (B, ..., classes)."""
        return F.embedding(classes, self.units)


class Beside(NamedTuple):
    """The side data of a batch, and the condition that they make."""

    side: Mapping[str, Tensor]
    condition: Tensor | None
    """(B, C)"""

    def of(self, part: Any) -> dict[str, Tensor]:
        """The keywords of a part's pass: the side data that it reads, if any, and those there that it may read."""
        if not self.side:
            return {}
        more = {name: self.side[name] for name in getattr(part, "may_read", ()) if name in self.side}
        return {**more, **{name: self.side[name] for name in getattr(part, "reads", ())}}

    def repeated(self, draws: int) -> Beside:
        """The same for each of some draws: (draws · B, ...), the data of one draw side by side."""
        side = {name: value.repeat(draws, *[1] * (value.ndim - 1)) for name, value in self.side.items()}
        return Beside(side, None if self.condition is None else self.condition.repeat(draws, 1))


def side_of(name: str, schema: Schema, reader: str, remedy: str) -> Side:
    """What the side data of a name hold; raises ComponentError, with who reads them, where the data lack them."""
    if name in schema.side:
        return schema.side[name]
    there = f"they have {', '.join(schema.side)}" if schema.side else "they have none"
    raise ComponentError(
        f"{reader} reads the side data '{name}', which the data lack: {there}; add '{name}' to the data, or {remedy}"
    )


def keywords(config: Component.Config, schema: Schema) -> dict[str, Any]:
    """The keywords with which a component is built; raises ComponentError where the data lack what it reads.

    They are what the side data that it reads hold, and the facts about the data that it asks for.
    """
    reader, remedy = f"{config.component.kind} '{config.name}'", f"choose another {config.component.kind}"
    side = {name: side_of(name, schema, reader, remedy) for name in config.component.reads}
    more = {name: schema.side[name] for name in config.component.may_read if name in schema.side}
    return {**more, **side, **schema.answers(config.component)}


def widened(shape: Shape, size: int) -> Shape:
    """The shape of data or latents with a condition of a size: more features, or for maps more channels."""
    axis = _axis(len(shape))
    return tuple(length + size * (place == axis) for place, length in enumerate(shape))


def widen(x: Tensor, condition: Tensor | None) -> Tensor:
    """Data or latents x (B, *shape) with their condition: (B, *widened(shape, C))."""
    if condition is None:
        return x
    if x.ndim == 2:
        return torch.cat([x, condition], 1)
    if x.ndim == 3:
        return torch.cat([x, condition.unsqueeze(1).expand(-1, x.shape[1], -1)], 2)
    spread = condition[(..., *[None] * (x.ndim - 2))].expand(-1, -1, *x.shape[2:])
    return torch.cat([x, spread], 1)


def _axis(dimensions: int) -> int:
    """Where a condition goes: the features of vectors and steps (T, F), the channels of maps (C, ...)."""
    return 0 if dimensions > 2 else dimensions - 1


def conditioned_shape(encoder: type[Component], shape: Shape, size: int) -> Shape:
    """The shape that an encoder is built for, where the condition has a size."""
    if size and issubclass(encoder, Encoder) and encoder.flat:
        shape = (math.prod(shape),)
    return widened(shape, size) if size else shape


def placeholders(
    schema: Schema, names: Iterable[str], count: int, device: torch.device | None = None
) -> dict[str, Tensor]:
    """Side data of zeros (count, ...) by name, with which parts are tried; of a mask ones: all steps are there."""
    kinds = {name: torch.int64 if schema.side[name].classes else torch.float32 for name in names}
    values = {
        name: torch.zeros(count, *schema.side[name].shape, dtype=kind, device=device) for name, kind in kinds.items()
    }
    return {**values, MASK: values[MASK] + 1} if MASK in values and schema.is_padded else values
