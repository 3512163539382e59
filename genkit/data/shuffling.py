"""The order of the training data in an epoch: a permutation that leaves data which are read together near each other.

N data.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genkit.interfaces.reader import Data

WINDOW = 2**30
"""The bytes of data that are shuffled together, where nothing else is asked for."""
BLOCK = 2**20
"""About the bytes of a block: data that lie one after the other, and stay in one window."""


def window_of(x: Data, asked: int | None) -> int:
    """The number of data that are shuffled together: what is asked for, else as many as take 1 GiB; at most N."""
    return min(len(x), asked or max(1, WINDOW // _bytes_of_datum(x)))


def shuffled(x: Data, asked: int | None) -> Tensor:
    """A random order (N,) of data, drawn from torch's generator: a permutation of all, where they fit a window.

    Otherwise the blocks of the data are permuted, and then the data within each window of the blocks; so an epoch goes
    through more data than fit into memory window by window.

    Args:
        x: the data.
        asked: the number of data in a window; None: as many as take 1 GiB.
    """
    count, window = len(x), window_of(x, asked)
    if window == count:
        return torch.randperm(count)
    rows = max(1, min(BLOCK // _bytes_of_datum(x), window // 16))
    starts = torch.randperm(math.ceil(count / rows)) * rows
    order = (starts[:, None] + torch.arange(rows)).flatten()
    order = order[order < count]
    for part in order.split(window):
        part.copy_(part[torch.randperm(len(part))])
    return order


def _bytes_of_datum(x: Data) -> int:
    return max(1, math.prod(x.shape[1:]) * x.dtype.itemsize)
