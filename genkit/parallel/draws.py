"""Random numbers, means and rows of a batch that do not depend on how many processes share the batch.

Every process seeds its generators alike, so `torch.randn` in a part gives each process the same noise for other data.
`normal` and `uniform` draw for the whole batch, and give each process its own rows of the draws.

B data: the rows of this process where processes share a batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from genkit.errors import ComponentError
from genkit.parallel.group import count, rank


class Rows(NamedTuple):
    """The rows of a batch that belong to one process."""

    start: int
    stop: int
    total: int
    """The number of rows of the whole batch."""


_at_hand: Rows | None = None  # no ContextVar, because torch.compile breaks its graph there
_stand_in: Callable[[Tensor], Tensor] | None = None


def rows_of(total: int) -> Rows:
    """The rows of this process in a batch of `total` data: all of them where it is alone."""
    own, processes = rank(), count()
    return Rows(total * own // processes, total * (own + 1) // processes, total)


def rows_at_hand() -> Rows | None:
    """The rows on which this process works now; None: it has the whole batch."""
    return _at_hand


def sharing(total: int) -> contextlib.AbstractContextManager[None]:
    """Let the batch inside the block be this process's rows of a batch of `total` data."""
    return taking(rows_of(total) if count() > 1 else None)


@contextlib.contextmanager
def taking(rows: Rows | None) -> Iterator[None]:
    """Let the batch inside the block be these rows of a larger batch; None: it is a whole batch."""
    global _at_hand
    before, _at_hand = _at_hand, rows
    try:
        yield
    finally:
        _at_hand = before


@contextlib.contextmanager
def adding_by(add: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace the sum over the processes inside the block by `add`, which takes this process's summand.

    So one process can play the roles of several, as in `genkit.testing`.
    """
    global _stand_in
    before, _stand_in = _stand_in, add
    try:
        yield
    finally:
        _stand_in = before


def normal(*shape: int, batch: int, like: Tensor) -> Tensor:
    """Draws from N(0, 1) that do not depend on how many processes share the batch.

    Args:
        shape: the shape of the draws.
        batch: the index of the batch dimension, from 0.
        like: a tensor with the type and the device for the draws.

    Example:
        >>> mean = torch.zeros(8, 2)
        >>> genkit.normal(5, *mean.shape, batch=1, like=mean).shape  # K = 5 draws for B = 8 data
        torch.Size([5, 8, 2])
    """
    return _drawn(torch.randn, shape, batch, like)


def uniform(*shape: int, batch: int, like: Tensor) -> Tensor:
    """Draws from U(0, 1); see `normal`."""
    return _drawn(torch.rand, shape, batch, like)


def _drawn(draw: Callable[..., Tensor], shape: tuple[int, ...], batch: int, like: Tensor) -> Tensor:
    if _at_hand is None or shape[batch] != _at_hand.stop - _at_hand.start:
        return draw(shape, dtype=like.dtype, device=like.device)
    whole = draw((*shape[:batch], _at_hand.total, *shape[batch + 1 :]), dtype=like.dtype, device=like.device)
    return whole.narrow(batch, _at_hand.start, shape[batch])


def mean(values: Tensor) -> Tensor:
    """This process's summand of the mean over the whole batch: a term (B,), or a statistic of the batch () -> ().

    The sum of the summands over the processes is the mean over the batch; for a statistic, the mean of the processes'
    statistics, which are all the same where they come from `batch_mean`.
    """
    if _at_hand is None:
        return values.mean()
    return values.sum() / _at_hand.total if values.ndim else values / count()


def batch_mean(values: Tensor) -> Tensor:
    """The mean over the whole batch, the same in every process: (B, ...) -> (...). It passes gradients back."""
    if _at_hand is None:
        return values.mean(0)
    return counted_mean(values)[0]


def counted_mean(values: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over the rows (N, ...) of all processes, (...), and the number of these rows, ()."""
    own = torch.cat([values.sum(0).flatten(), values.new_full((1,), len(values))])
    total: Tensor = _Sum.apply(own) if _is_shared() else own  # type: ignore[no-untyped-call]
    return (total[:-1] / total[-1]).view(values.shape[1:]), total[-1].detach()


def gather(values: Tensor, batch: int = 0) -> Tensor:
    """The rows of all processes that share the batch, in the batch's order, the same in every process.

    It passes gradients back: each process gets those of its own rows, summed over the processes. Alone it is `values`.

    Args:
        values: numbers of this process's data, (..., B, ...), for floating point and whole numbers.
        batch: the index of the batch dimension, from 0.

    Returns:
        (..., N, ...) for the N data of the whole batch.

    Raises:
        ComponentError: `values` has not one row for each datum of this process.

    Example:
        >>> z, mean = torch.zeros(8, 2), torch.zeros(8, 2)
        >>> (z.unsqueeze(1) - genkit.gather(mean)).shape  # own data against all: (B, N, D)
        torch.Size([8, 8, 2])
    """
    rows = _at_hand
    if rows is None or not _is_shared():
        return values
    _check_rows("genkit.gather", values, batch, rows.stop - rows.start, "datum of this process")
    own = values.movedim(batch, 0)
    before, after = own.new_zeros(rows.start, *own.shape[1:]), own.new_zeros(rows.total - rows.stop, *own.shape[1:])
    whole: Tensor = _Sum.apply(torch.cat([before, own, after]))  # type: ignore[no-untyped-call]
    return whole.movedim(0, batch)


def own_rows(values: Tensor, batch: int = 0) -> Tensor:
    """This process's rows of numbers for the whole batch, as of `gather`: (..., N, ...) -> (..., B, ...).

    `genkit.own_rows(torch.eye(N))`, (B, N), is 1 where a datum meets itself. Alone it is `values`.

    Args:
        values: numbers of all data of the batch.
        batch: the index of the batch dimension, from 0.

    Raises:
        ComponentError: `values` has not one row for each datum of the whole batch.
    """
    rows = _at_hand
    if rows is None or not _is_shared():
        return values
    _check_rows("genkit.own_rows", values, batch, rows.total, "datum of the whole batch")
    return values.narrow(batch, rows.start, rows.stop - rows.start)


def _is_shared() -> bool:
    return count() > 1 or _stand_in is not None


def _check_rows(who: str, values: Tensor, batch: int, wanted: int, of: str) -> None:
    if values.shape[batch] != wanted:
        raise ComponentError(
            f"{who} takes one row for each {of}, {wanted} along dimension {batch}, and got {tuple(values.shape)}; "
            "`batch` names another dimension"
        )


class _Sum(torch.autograd.Function):
    """The sum over the processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: Tensor) -> Tensor:
        if _stand_in is not None:
            return _stand_in(values.clone())
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradients[0])
