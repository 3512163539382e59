"""The extent of data: their least and their greatest value."""

from __future__ import annotations

import math
from collections.abc import Iterator
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from genkit.data.units import as_float
from genkit.interfaces.reader import Data, Reader

BLOCK = 2**24
"""About the bytes of data that are looked at together, where they are read or copied."""

Range = tuple[float, float]

_of_readers: WeakKeyDictionary[Reader, tuple[Tensor, Tensor]] = WeakKeyDictionary()
"""The least and the greatest values (*shape) of readers whose data were gone through."""


def extent(x: Data) -> Range:
    """The least and the greatest value of data (N, *shape), as the model sees them; NaN where there is one."""
    least, greatest = torch.aminmax(x.detach()) if isinstance(x, Tensor) else _joint(extents(x))
    return float(as_float(least)), float(as_float(greatest))


def extents(x: Data) -> tuple[Tensor, Tensor]:
    """The least and the greatest values (*shape) of data (N, *shape), as stored; NaN where there is one."""
    if isinstance(x, Tensor):
        return _extents(x)
    if x not in _of_readers:
        _of_readers[x] = _extents(x)
    return _of_readers[x]


def blocks(x: Data, size: int = BLOCK) -> Iterator[Tensor]:
    """Data (N, *shape) in order, in blocks of about so many bytes."""
    return iter(x.split(max(1, size // max(1, math.prod(x.shape[1:]) * x.dtype.itemsize))))


def same_values(x: Data, y: Data) -> bool:
    """Whether data are the same to a model."""
    rows = max(1, BLOCK // max(1, math.prod(x.shape[1:])))
    same_shape = x.shape == y.shape
    return same_shape and all(
        torch.equal(*map(as_float, pair)) for pair in zip(x.split(rows), y.split(rows), strict=True)
    )


def _extents(x: Data) -> tuple[Tensor, Tensor]:
    parts = [(block.amin(0), block.amax(0)) for block in blocks(x)]
    lows, highs = (torch.stack(each) for each in zip(*parts, strict=True))
    return lows.amin(0), highs.amax(0)


def _joint(limits: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return limits[0].amin(), limits[1].amax()
