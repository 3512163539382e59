"""The steps of series that are there: series of different lengths lie in one tensor, with a mask beside it.

N data, T steps, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genkit.data.units import as_float
from genkit.errors import DataError
from genkit.interfaces import Reader, Split
from genkit.interfaces.component import MASK
from genkit.interfaces.reader import Data

GOLDEN = (5**0.5 - 1) / 2
"""The golden ratio's fraction: its multiples, modulo 1, fill the interval evenly at any number of them."""


def beside(mask: Tensor, x: Tensor) -> Tensor:
    """A mask (N, T) in the shape in which it stands beside x (..., N, T, F): (N, T, 1)."""
    return mask.unsqueeze(-1).to(x.dtype)


def held(x: Tensor, mask: Tensor) -> Tensor:
    """Series x (N, T, F) with the last value before each step that is not there, or the first one after it."""
    steps = torch.arange(mask.shape[1], device=mask.device)
    there = mask > 0
    last = torch.where(there, steps, -1).cummax(1).values
    first = there.to(torch.uint8).argmax(1, keepdim=True)
    index = torch.where(last < 0, first, last)
    return x.gather(1, index.unsqueeze(-1).expand_as(x))


def blank(x: Tensor, mask: Tensor) -> Tensor:
    """Series x (N, T, F) with NaN at the steps that are not there."""
    return x.masked_fill((mask == 0).unsqueeze(-1), torch.nan)


def filled(x: Tensor) -> Tensor:
    """Data whose series have NaN at the steps that are not there, with the values `held` there."""
    return held(x, (~x.isnan().any(2)).float()) if x.ndim == 3 and bool(x.isnan().any()) else x


def mask_of(lengths: Tensor, steps: int) -> Tensor:
    """The mask (N, T) of series of some lengths (N,), with T = `steps`."""
    return (torch.arange(steps, device=lengths.device) < lengths.unsqueeze(-1)).float()


def lengths_of(mask: Tensor) -> Tensor:
    """The lengths (N,) of series with a mask (N, T): up to the last step that is there."""
    steps = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    return torch.where(mask > 0, steps, 0).amax(1)


def lengths_in_turn(counts: Sequence[int], count: int, steps: int) -> Tensor:
    """The lengths (N,) of N = `count` series, as frequent as `counts` says of 0, 1, ..., T; all T where it is empty."""
    if not counts:
        return torch.full((count,), steps)
    up_to = torch.tensor(counts, dtype=torch.float64).cumsum(0)
    places = (torch.arange(1, count + 1, dtype=torch.float64) * GOLDEN) % 1
    return torch.searchsorted(up_to, places * up_to[-1], right=True)


def those_there(split: Split) -> Data:
    """The steps of a split's series that are there, as series without a gap (M, T, F).

    What is fitted to them is fitted to no padding. The first steps fill up the last series. Data without a mask are
    themselves. Raises DataError where series with a mask are no tensor.
    """
    mask, x = split.side.get(MASK), split.x
    if mask is None or x.ndim != 3 or mask.shape != x.shape[:2] or bool(mask.all()):
        return x
    if isinstance(x, Reader):
        raise DataError(f"series with side data '{MASK}' must be a tensor: a reader's steps cannot be told apart")
    steps = as_float(x)[mask > 0]
    missing = -len(steps) % x.shape[1]
    more = steps[torch.arange(missing) % len(steps)]
    return torch.cat([steps, more]).reshape(-1, *x.shape[1:])
