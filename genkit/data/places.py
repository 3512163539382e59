"""The places of batches in data, and what is read there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from genkit.data.ahead import read_ahead
from genkit.interfaces.reader import Data, Reader, taken


class Place(NamedTuple):
    """The place of a batch."""

    start: int
    """The place of its first datum."""
    total: int
    """The number of its data."""
    own: slice
    """Those of them that this process takes."""
    read: slice
    """Those of them that this process reads."""

    def shifted(self, rows: slice) -> slice:
        """Rows of the batch as rows of all data."""
        return slice(self.start + rows.start, self.start + rows.stop)


def spans(count: int, size: int) -> Iterator[tuple[int, int]]:
    """The start and the size of each batch of `count` data; the last batch may have fewer than `size`."""
    return ((start, min(size, count - start)) for start in range(0, count, size))


def reads(x: Data, places: Iterator[Place], order: Tensor | None) -> Iterator[tuple[Place, Tensor]]:
    """Places with the data there, in order; those of a reader are read ahead of their use."""

    def read(place: Place) -> Tensor:
        return rows(x, place.shifted(place.read), order)

    return read_ahead(places, read) if isinstance(x, Reader) else ((place, read(place)) for place in places)


def rows(x: Data, span: slice, order: Tensor | None) -> Tensor:
    """Some data: those at the places `order[span]`, where there is an order."""
    return x[span] if order is None else taken(x, order[span])
