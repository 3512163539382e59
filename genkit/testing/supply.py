"""Side data for parts that read some: values for the contract's batches, and a class that adds them to each call.

B data.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genkit.interfaces import Component, Prior, Shape, Side
from genkit.training.seeds import seed_torch

CLASSES = 3
"""The number of classes of side data, and the period of those that calls get by default."""
LABELS, NUMBER, NUMBERS = Side((), CLASSES), Side(), Side((2,))


class Supply(NamedTuple):
    """What the side data of a part hold, and values of them."""

    sides: Mapping[str, Side] = {}

    def drawn(self, count: int, seed: int = 0) -> dict[str, Tensor]:
        """Random values (B, ...) by name: classes, numbers from 0 to 1, and 0 or 1 where the name says `mask`."""
        generator = torch.Generator().manual_seed(1000 + seed)
        return {name: _values(name, side, count, generator) for name, side in self.sides.items()}

    def in_turn(self, count: int, like: Tensor) -> dict[str, Tensor]:
        """The same for datum 0, 3, 6, ..., and others for 1 and 2, so that a batch that holds data twice fits."""
        rows = torch.arange(count) % CLASSES
        values = {name: value[rows] for name, value in self.drawn(CLASSES).items()}
        for name, side in self.sides.items():
            if side.classes is not None:
                values[name] = (rows % side.classes).reshape(-1, *[1] * len(side.shape)).expand(count, *side.shape)
        return {name: on(value, like) for name, value in values.items()}

    def moved(self, name: str, values: Tensor) -> Tensor:
        """Other values of one of the side data, each different from the one that there was."""
        classes = self.sides[name].classes
        return (values + 1) % classes if classes is not None else 1 - values if _is_mask(name) else values + 0.5


def on(value: Tensor, like: Tensor) -> Tensor:
    """Side data on the device of a tensor, numbers in its type too."""
    return value.to(like.device, like.dtype if value.is_floating_point() else None)


def _is_mask(name: str) -> bool:
    return name.endswith("mask")


def _values(name: str, side: Side, count: int, generator: torch.Generator) -> Tensor:
    shape = (count, *side.shape)
    if side.classes is not None:
        return torch.randint(side.classes, shape, generator=generator)
    values = torch.rand(shape, generator=generator)
    return (values < 0.7).float() if _is_mask(name) else values


def candidates(names: tuple[str, ...], shape: Shape, stated: Mapping[str, Side]) -> Iterator[Supply]:
    """What the side data may hold: as stated, else classes or numbers, the likelier first."""
    each = [[stated[name]] if name in stated else likely(name, shape) for name in names]
    return (Supply(dict(zip(names, sides, strict=True))) for sides in itertools.product(*each))


def likely(name: str, shape: Shape) -> list[Side]:
    """What side data of a name may hold, the likeliest first; `shape` is that of a datum."""
    if name == "labels":
        return [LABELS]
    if _is_mask(name):
        return [Side(shape), Side(shape[:1])]
    return [NUMBER, NUMBERS, LABELS]


def supplied(component: type[Any], supply: Supply) -> type[Any]:
    """A component that gets side data by itself: their `Side` when it is built, and values in each call without them.

    A prior is told what they hold, and gets no values.

    Args:
        component: the class of a part.
        supply: what its side data hold.
    """
    if not supply.sides:
        return component

    def build(self: Any, config: Component.Config, *arguments: Any, **facts: Any) -> None:
        component.__init__(self, config, *arguments, **supply.sides, **facts)

    members: dict[str, Any] = {"__init__": build, "__doc__": component.__doc__, "__module__": component.__module__}
    for name, tensor in ({} if issubclass(component, Prior) else TENSORS).items():
        if callable(method := getattr(component, name, None)):
            members[name] = _with_side(method, supply, tensor)
    return type(component.__name__, (component,), members)


def _with_side(method: Callable[..., Any], supply: Supply, tensor: Callable[..., Tensor]) -> Callable[..., Any]:
    def call(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if not supply.sides.keys() <= keywords.keys():
            like = tensor(self, *arguments)
            keywords = {**supply.in_turn(len(like), like), **keywords}
        return method(self, *arguments, **keywords)

    return call


def _data(part: Any, first: Any, *others: Any) -> Tensor:
    """The tensor (B, ...) among the arguments of a pass: data, latents or features, or the data of a `Forward`."""
    tensor: Tensor = getattr(first, "x", first)
    return tensor


def _params(part: Any, params: Tensor) -> Tensor:
    """The parameters (B, ...) of the first draw."""
    leading = params.ndim - len(part.params_shape) - 1
    return params[(0,) * leading] if params.numel() else params.new_zeros(params.shape[leading:])


TENSORS: dict[str, Callable[..., Tensor]] = {
    "forward": _data,
    "critic_loss": _data,
    "log_prob": _data,
    "mean": _params,
    "sample": _params,
}
"""The methods of parts that get side data, and where the number of data stands in their arguments."""


def first_supply(
    component: type[Any], shape: Shape, stated: Mapping[str, Side], build: Callable[[type[Any]], Any]
) -> Supply:
    """The likeliest side data with which a part can be built; if there are none, the likeliest of all.

    Args:
        component: the class of a part.
        shape: the shape that it is built for.
        stated: what its author says that side data hold.
        build: builds a class.
    """
    tried = list(candidates(component.reads, shape, stated))
    for supply in tried if len(tried) > 1 else ():
        with torch.random.fork_rng(devices=[]):
            seed_torch(0)
            try:
                build(supplied(component, supply))
            except Exception:
                continue
        return supply
    return tried[0]
