"""Checks of shared batches: processes that share a batch give the rows that one process gives for all of it.

One process plays two, one after the other. A sum over the processes needs the summands of both, so both are played
again until neither waits for a sum.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from genkit.interfaces import Decoder, Encoder, LearnedLoss, Likelihood, Loss, Sampler
from genkit.parallel.draws import Rows, adding_by, taking
from genkit.parallel.normalization import replace_normalization
from genkit.testing.cases import Case, LossCase, SamplerCase, Tensors
from genkit.testing.check import promise
from genkit.testing.subject import Subject, close, require, seeded

COUNT = 5
SHARES = (Rows(0, 2, COUNT), Rows(2, COUNT, COUNT))
"""The rows of two processes: of different sizes, so that the mean of their means is not the mean."""
DROPOUTS = {F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout}
NOISE = (
    "all processes have the same seed, and each draws for its own data: take random numbers from genkit.normal and "
    "genkit.uniform, as genkit.normal(draws, *mean.shape, batch=1, like=mean) or genkit.normal(*x.shape, batch=0, "
    "like=x), not from torch.randn and its like"
)
STATISTIC = (
    "each process computes over its own rows what must be computed over the batch: take means over a batch from "
    "genkit.batch_mean, which is the mean over the whole batch, not from values.mean(0), and the data that a datum is "
    "compared with, as in a term over pairs, from genkit.gather; a statistic that several processes only approximate "
    "is marked as an expected failure"
)

Read = Callable[[Any, Rows | None], Tensors]
"""Reads the outputs of a part: for the whole batch (None), or for the rows of one process."""


class _Waits(BaseException):
    """A process waits for a sum over the processes, with its own summand."""

    def __init__(self, summand: Tensor) -> None:
        super().__init__()
        self.summand = summand


class _WithoutDropout(TorchFunctionMode):
    """Turns dropout off: each process has masks of its own."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in DROPOUTS:
            return args[0]
        if function is F.scaled_dot_product_attention:
            kwargs = {**(kwargs or {}), "dropout_p": 0.0}
        return function(*args, **(kwargs or {}))


def _without_dropout(part: nn.Module) -> None:
    """Turn off the dropout that layers apply inside."""
    for layer in part.modules():
        if isinstance(layer, nn.RNNBase | nn.MultiheadAttention):
            layer.dropout = 0.0


@promise(
    *(Encoder, Decoder, Sampler, Likelihood, Loss),
    after=(
        *("shapes", "input is kept", "eval determinism", "batch independence", "order in training", "batch size"),
        *("independent draws", "mean of the draws", "prior alone", "second device", "any draws", "critic loss"),
    ),
)
def shared_batch(subject: Subject) -> None:
    """Processes that share a batch and a seed give the rows that one process gives for the whole batch.

    So do the draws of `prior`, and `critic_loss`; a statistic of the batch is the same in all processes. Only dropout
    may differ between them.
    """
    for case, own in zip(subject.cases(), subject.cases(), strict=True):
        replace_normalization(own.part)
        _without_dropout(case.part)
        _without_dropout(own.part)
        for training in (False, True):
            for what, read in _readings(case):
                case.part.train(training)
                own.part.train(training)
                _compare(what, case, own, read)


def _readings(case: Case) -> Iterator[tuple[str, Read]]:
    """The outputs of a part, with their names for messages."""
    inputs = case.inputs(COUNT)
    yield "what it gives", lambda part, rows: case.read(part, *_of(case, inputs, rows))
    if isinstance(case, SamplerCase) and case.part.has_prior:
        yield "what prior() draws", lambda part, rows: (part.prior(COUNT if rows is None else rows.stop - rows.start),)
    if isinstance(case, LossCase) and isinstance(case.part, LearnedLoss):
        yield "critic_loss", lambda part, rows: (part.critic_loss(case.again(*_of(case, inputs, rows)).detached()),)


def _of(case: Case, inputs: Tensors, rows: Rows | None) -> Tensors:
    """The rows of the inputs that belong to one process."""
    if rows is None:
        return inputs
    return tuple(
        value.narrow(dimension, rows.start, rows.stop - rows.start)
        for value, dimension in zip(inputs, case.batch, strict=True)
    )


def _compare(what: str, case: Case, own: Case, read: Read) -> None:
    whole, state = _played(case.part, None, read)
    shares = _played_by_all(own.part, read)
    for number, value in enumerate(whole):
        rows = [share[number] for share, _ in shares]
        same = close(torch.cat(rows), value) if value.ndim else all(close(each, value) for each in rows)
        drawn = any(not torch.equal(state, other) for _, other in shares)
        require(
            same,
            f"where processes share a batch, {what} is another than where one process has all of it: "
            f"{NOISE if drawn else STATISTIC}",
        )


def _played(part: nn.Module, rows: Rows | None, read: Read) -> tuple[Tensors, Tensor]:
    """The outputs of a part, and the state of the random generator after them."""
    state = {name: value.clone() for name, value in part.state_dict().items()}
    with seeded(), taking(rows), _WithoutDropout():
        try:
            values = tuple(value.detach() for value in read(part, rows))
        finally:
            part.load_state_dict(state)
        return values, torch.get_rng_state()


def _played_by_all(part: nn.Module, read: Read) -> list[tuple[Tensors, Tensor]]:
    """The same for the rows of each process, with the sums over the processes that the part asks for."""
    sums: list[Tensor] = []
    while True:
        results, summands = [], []
        for rows in SHARES:
            totals = iter(sums)
            try:
                with adding_by(lambda summand, totals=totals: _next_sum(totals, summand)):  # type: ignore[misc]
                    results.append(_played(part, rows, read))
            except _Waits as waits:
                summands.append(waits.summand)
        if not summands:
            return results
        require(
            not results and len({value.shape for value in summands}) == 1,
            "where processes share a batch, some of them ask for sums over it that others do not ask for, and wait for "
            "ever: call genkit.batch_mean and genkit.gather whatever the data are",
        )
        sums.append(torch.stack(summands).sum(0))


def _next_sum(totals: Iterator[Tensor], summand: Tensor) -> Tensor:
    total = next(totals, None)
    if total is None:
        raise _Waits(summand.detach())
    return total.clone()
