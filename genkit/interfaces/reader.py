"""Readers: data that stay where they are and are read some rows at a time, in place of a tensor in memory.

N data, B data that are read at once.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor


class Reader(ABC):
    """N data that are read some rows at a time: they are larger than memory, or take less room where they are.

    It stands for a tensor (N, *shape): its length, shape and type are there at once, and slices of it are tensors.

    Args:
        shape: (N, *shape)
        dtype: the type of what is read: float32, or uint8, read as x / 255.
    """

    def __init__(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> None:
        self.shape, self.dtype = torch.Size(shape), dtype

    @abstractmethod
    def read(self, rows: Tensor) -> Tensor:
        """The data at some places: rows (B,) int64, in any order and repeated -> (B, *shape).

        Several threads call it at once.
        """

    @property
    @abstractmethod
    def held(self) -> int:
        """The bytes of memory that the data take where they are; files take none."""

    @property
    def ndim(self) -> int:
        """The number of dimensions, as of a tensor."""
        return len(self.shape)

    def numel(self) -> int:
        """The number of values in all data, as of a tensor."""
        return math.prod(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> Tensor:
        return self.read(torch.arange(*rows.indices(len(self))))

    def split(self, size: int) -> Iterator[Tensor]:
        """All data in order, at most `size` at a time."""
        return (self[start : start + size] for start in range(0, len(self), size))


Data = Tensor | Reader
"""Data (N, *shape), in memory or read where they are."""


class Selected(Reader):
    """Some data of a reader.

    Args:
        source: the reader.
        places: the places (N,) of the data, int64, in order.
    """

    def __init__(self, source: Reader, places: Tensor) -> None:
        super().__init__((len(places), *source.shape[1:]), source.dtype)
        self.source, self.places = source, places

    def read(self, rows: Tensor) -> Tensor:
        """The data at some places of the selection."""
        return self.source.read(self.places[rows])

    @property
    def held(self) -> int:
        """The bytes of its places, and its share of those of its source."""
        share = self.source.held * len(self) // max(1, len(self.source))
        return share + self.places.numel() * self.places.element_size()


class Joined(Reader):
    """The data of several sources, one after the other.

    Args:
        parts: data of one shape and type; at least one.
    """

    def __init__(self, parts: Sequence[Data]) -> None:
        super().__init__((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
        self.parts = parts
        self.ends = list(itertools.accumulate(map(len, parts)))
        """The place behind the last datum of each part."""

    def read(self, rows: Tensor) -> Tensor:
        """The data at some places, each from its part."""
        parts = torch.bucketize(rows, torch.tensor(self.ends), right=True)
        if len(rows) and bool((parts == parts[0]).all()):
            return self._read(int(parts[0]), rows)
        x = torch.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        for part in parts.unique().tolist():
            x[parts == part] = self._read(part, rows[parts == part])
        return x

    def _read(self, part: int, rows: Tensor) -> Tensor:
        return taken(self.parts[part], rows - (self.ends[part - 1] if part else 0))

    @property
    def held(self) -> int:
        """The bytes of its parts."""
        return sum(map(bytes_of, self.parts))


def taken(x: Data, rows: Tensor) -> Tensor:
    """The data at some places (B,), in this order: (B, *shape)."""
    return x.read(rows) if isinstance(x, Reader) else x.index_select(0, rows)


def bytes_of(x: Data) -> int:
    """The bytes of memory that data take."""
    return x.held if isinstance(x, Reader) else x.numel() * x.element_size()


def joined(parts: Sequence[Data]) -> Data:
    """Data one after the other, as a tensor where all are."""
    tensors = [part for part in parts if isinstance(part, Tensor)]
    return torch.cat(tensors) if len(tensors) == len(parts) else Joined(parts)
