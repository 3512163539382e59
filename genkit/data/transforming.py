"""Transforms one after the other, between the units of the data and those of the model.

N data, B data of a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from genkit.data.units import as_float
from genkit.errors import ComponentError, DataError, GenkitError, in_a_line, place
from genkit.interfaces import Augmentation, Component, Schema, Shape, Transform
from genkit.interfaces.reader import Data
from genkit.interfaces.signatures import check_signatures

BLOCK = 2**20
"""About the number of values that are transformed at once, where data are looked at as a whole."""


class Chain(nn.ModuleList):
    """Transforms in their order; without any, the data stay what they are. Augmentations act in training mode alone.

    Args:
        transforms: the transforms.
    """

    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, configs: Sequence[Component.Config], data: Schema | Shape, key: str = "data.transform") -> Chain:
        """The transforms of a config's key, not fitted yet; raises ComponentError where one refuses the data."""
        schema = data if isinstance(data, Schema) else Schema(tuple(data))
        chain = cls(_built(config, schema, key) for config in configs)
        chain.names = tuple(config.name for config in configs)
        return chain.eval()

    @property
    def lasting(self) -> tuple[str, ...]:
        """The names of those that act on all data, not in training alone."""
        return tuple(name for name, transform in self._named() if not isinstance(transform, Augmentation))

    def forward(self, x: Tensor) -> Tensor:
        """The data in the model's units: x (B, *shape) -> (B, *shape)."""
        for _, transform in self._named():
            x = transform(x)
        return x

    def applied(self, x: Tensor) -> Tensor:
        """Stored data (B, *shape) in the model's units, in float32, without gradients; augmented in training mode."""
        with torch.no_grad():
            return self.forward(as_float(x if self.device is None else x.to(self.device)))

    def inverse(self, y: Tensor) -> Tensor:
        """The data in their own units: y (B, *shape) -> (B, *shape); raises ComponentError where there is no way."""
        for name, transform in reversed(list(self._named())):
            if not transform.invertible:
                raise ComponentError(
                    f"transform '{name}' cannot be inverted, so the model gives no data in their own units: it can "
                    "encode, and neither sample, decode, reconstruct nor interpolate; leave it out of data.transform"
                )
            y = transform.inverse(y)
        return y

    @property
    def inverts(self) -> bool:
        """Whether each transform can be inverted."""
        return all(transform.invertible for _, transform in self._named())

    @property
    def without_log_det(self) -> str | None:
        """The name of the first transform that has no log|det J|; None: each has one."""
        return next((name for name, transform in self._named() if not transform.has_log_det), None)

    def log_det(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """log|det ∂y/∂x| in nats: x (B, *shape) -> (B,); of the transforms that have one.

        With a mask (B, T) of series, it is that of the steps that are there, for transforms that act on each step
        alone: the other steps get the value of one step, and what they add is taken off again.
        """
        if mask is not None:
            one = x[torch.arange(len(x)), mask.argmax(1)].unsqueeze(1).expand_as(x)
            missing = 1 - mask.mean(1)
            return self.log_det(torch.where(mask.unsqueeze(2) > 0, x, one)) - missing * self.log_det(one)
        total = x.new_zeros(len(x))
        for _, transform in self._named():
            total = total + transform.log_det(x) if transform.has_log_det else total
            x = transform(x)
        return total

    def after(self, first: Chain) -> Chain:
        """All transforms of another chain, then these: the same objects, not copies."""
        chain = Chain([*first, *self])
        chain.names = (*first.names, *self.names)
        return chain

    def fit(self, x: Data, fitted: int = 0) -> None:
        """Fit each transform by training data x (N, *shape), as those before it make them; uint8 is read as x / 255.

        The first `fitted` are fitted already.

        Raises:
            DataError: data are outside the domain of a transform, or a transform makes of them what is not finite.
        """
        for stop, (name, transform) in list(enumerate(self._named()))[fitted:]:
            blocks = self.blocks(x, stop)
            _check_domain(name, transform, blocks)
            transform.fit(blocks)
        self.extent(x)

    def extent(self, x: Data) -> tuple[float, float]:
        """The least and the greatest value of data x (N, *shape) in the model's units; raises DataError as `fit`."""
        for stop, (name, transform) in enumerate(self._named()):
            _check_domain(name, transform, self.blocks(x, stop))
        least, greatest = _extent(self.blocks(x))
        if not (math.isfinite(least) and math.isfinite(greatest)):
            raise DataError(f"data.transform: {', '.join(self.names)} make of some data what is not finite")
        return least, greatest

    @property
    def device(self) -> torch.device | None:
        """The device of what is fitted; None: nothing is."""
        return next((buffer.device for buffer in self.buffers()), None)

    def blocks(self, x: Data, stop: int | None = None) -> Blocks:
        """Data as the first `stop` transforms make them, without augmentations; None: as all of them do."""
        first = [transform for _, transform in list(self._named())[:stop]]
        return Blocks(x, [each for each in first if not isinstance(each, Augmentation)], self.device)

    def _named(self) -> Iterator[tuple[str, Transform]]:
        return zip(self.names, self, strict=True)  # type: ignore[arg-type]


class Blocks:
    """Data in float32 blocks, transformed on the way; they can be gone through more than once.

    Args:
        x: the data (N, *shape); uint8 is read as x / 255.
        transforms: the transforms that come first.
        device: the device of the transforms; None: that of the data.
    """

    def __init__(self, x: Data, transforms: Iterable[nn.Module], device: torch.device | None = None) -> None:
        self.x, self.transforms, self.device = x, list(transforms), device
        self.rows = max(1, BLOCK // max(1, math.prod(x.shape[1:])))

    def __iter__(self) -> Iterator[Tensor]:
        """The blocks (B, *shape), in order."""
        with torch.no_grad():
            for block in self.x.split(self.rows):
                values = as_float(block if self.device is None else block.to(self.device))
                for transform in self.transforms:
                    values = transform(values)
                yield values


def _extent(blocks: Iterable[Tensor]) -> tuple[float, float]:
    """The least and the greatest value of blocks; NaN where there is one."""
    limits = torch.stack([torch.stack(torch.aminmax(block)) for block in blocks])
    return float(limits[:, 0].min()), float(limits[:, 1].max())


def _check_domain(name: str, transform: Transform, blocks: Blocks) -> None:
    low, high = transform.domain
    if (low, high) == (-math.inf, math.inf):
        return
    least, greatest = _extent(blocks)
    if least < low or greatest > high:
        raise DataError(
            f"transform '{name}' takes values from {low:g} to {high:g}, and the data go from {least:g} to "
            f"{greatest:g}; leave it out, or bring them into that range by a transform before it"
        )


def _built(config: Component.Config, schema: Schema, key: str) -> Transform:
    """A transform; raises ComponentError, with its name, where it cannot be built."""
    kind, shape = cast("Any", config.component), schema.shape
    check_signatures(config)
    _check_columns(config, schema)
    try:
        transform: Transform = kind(config, shape, **schema.answers(config.component))
    except GenkitError as error:
        raise ComponentError(
            f"transform '{config.name}' refuses shape {shape}: {error}; leave it out of {key}"
        ) from error
    except Exception as error:
        message = f"transform '{config.name}' cannot be built for shape {shape}: {in_a_line(error)}{place(error)}"
        raise ComponentError(message) from error
    return transform


def _check_columns(config: Component.Config, schema: Schema) -> None:
    """Refuse a transform that changes all places of a datum alike, where some hold no numbers; ComponentError."""
    if "columns" in config.component.asks:
        return
    others = [column.name for column in schema.columns if column.mark is not None or not column.is_number]
    if others:
        raise ComponentError(
            f"transform '{config.name}' changes all columns alike, and '{others[0]}' has categories or missing values: "
            "leave it out, or take one that knows the columns, such as data.transform=standardize"
        )
