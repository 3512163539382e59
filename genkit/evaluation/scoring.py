"""Scores of single data: how unlikely a model finds each of them, and in what.

N data, B data of a batch, D places of a datum, C columns of a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from genkit.data.dataset import Dataset
from genkit.errors import ComponentError, DataError, TrainingError
from genkit.evaluation.estimates import estimate
from genkit.evaluation.passes import BatchPass, passes
from genkit.interfaces import Schema
from genkit.interfaces.columns import marks_tensor, observed
from genkit.model.batches import MOST
from genkit.model.model import Model
from genkit.model.network import evaluating


@dataclass(frozen=True)
class Scores:
    """The scores of the N data of a split, in its order."""

    values: Mapping[str, Tensor]
    """By name, (N,) in float64, in nats per datum and in the data's own units, by the transforms' log|det J|.

    `negative_elbo` and `kl`, where the model has them; `reconstruction`, E[−log p(x|z)]; `bound`, the
    importance-weighted bound on −log p(x), where there is a density of q(z|x); and `squared_error`, ‖x − x̂‖² in the
    units in which the model sees the data, with x̂ decoded from the posterior mean."""
    errors: Mapping[str, Tensor] = field(default_factory=dict)
    """The squared error in parts, in float32: of a table, and of series whose channels have names, (N,) under
    `error_NAME` for each of them; under `error` (N, D) for each place of a vector, (N, F) for each feature of a
    sequence, (N, *shape) for each value of other data."""
    own_units: str | None = None
    """The transform without a log|det J|, in whose units densities are; None: they are in the data's own."""

    @property
    def by(self) -> str:
        """The name of the score: −ELBO where there is one, else the reconstruction."""
        return "negative_elbo" if "negative_elbo" in self.values else "reconstruction"

    @property
    def score(self) -> Tensor:
        """The score (N,): the larger, the less likely."""
        return self.values[self.by]


def score(
    model: Model, data: Dataset, split: str = "test", draws: int = 16, seed: int = 0, parts: bool = True
) -> Scores:
    """Score each datum of a split; the same seed gives the same scores, and their means are the figures of `evaluate`.

    Memory beyond the scores grows neither with the number of data nor with that of draws; errors in parts are as many
    values as the data, or one per column.

    Args:
        model: a model with an encoder.
        data: the data set.
        split: the name of the split, or `all`.
        draws: the number K of draws from q(z|x) per datum.
        seed: the seed of the draws.
        parts: whether errors are given in parts too, such as for each column.

    Raises:
        ComponentError: the model has no encoder.
        DataError: the split is empty, its data do not fit the model, or there is no draw.
        TrainingError: a score is not finite.
    """
    chosen = data.split(split)
    if model.encoder is None:
        raise ComponentError("the model has no encoder: it generates, and has no posterior by which data are scored")
    if draws < 1:
        raise DataError(f"a score needs at least one draw per datum, not {draws}")
    model.fitting(chosen.x)
    values, errors = _Filled(len(chosen.x)), _Filled(len(chosen.x))
    with torch.random.fork_rng(), evaluating(model):
        torch.manual_seed(seed)
        for passed in passes(model, data, chosen, max(1, MOST // draws)):
            squares = _squares(passed)
            values.add({**_estimates(passed, draws), "squared_error": squares.flatten(1).double().sum(1)})
            errors.add(dict(_parts(model.schema, squares)) if parts else {})
    _check_finite(values.columns, split)
    return Scores(values.columns, errors.columns, model.transforms.without_log_det)


class _Filled:
    """Columns of N values that batches fill one after the other.

    Args:
        count: N.
    """

    def __init__(self, count: int) -> None:
        self.count, self.columns = count, dict[str, Tensor]()
        self.start = 0

    def add(self, batch: Mapping[str, Tensor]) -> None:
        """Add the values (B, ...) of the next batch by name; each batch has the same names."""
        for name, part in batch.items():
            whole = self.columns.setdefault(name, part.new_empty((self.count, *part.shape[1:])))
            whole[self.start : self.start + len(part)] = part
        self.start += max(map(len, batch.values()), default=0)


def _estimates(passed: BatchPass, draws: int) -> dict[str, Tensor]:
    """The estimates of a batch that the model has, by name."""
    estimates = estimate(passed, draws, MOST)
    names = ("negative_elbo", "reconstruction", "kl", "bound")
    columns = {name: getattr(estimates, name) for name in names}
    return {name: values for name, values in columns.items() if values is not None}


def _squares(passed: BatchPass) -> Tensor:
    """The squared error of each value of a batch, (B, *shape), in the model's units; 0 where a value is missing."""
    model = passed.model
    x = model.transforms(passed.own)
    decoded = model.decoded(model.posterior(x, 0, passed.side).mean, passed.side)
    squares = model.there((x - decoded).square(), model.beside(passed.side)).cpu()
    marks = marks_tensor(model.schema.columns, math.prod(model.shape))
    return squares if marks is None else squares * observed(x.cpu(), marks)


def _parts(schema: Schema, squares: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Squared errors (B, *shape) by parts: columns of a table, places of a vector, features of a sequence, values."""
    for column in schema.columns:
        places = [*range(column.start, column.start + column.width), *([] if column.mark is None else [column.mark])]
        if places:
            yield f"error_{column.name}", squares[:, places].sum(1)
    for place, name in enumerate(schema.channels):
        yield f"error_{name}", squares[:, :, place].sum(1)
    if not schema.columns and not schema.channels:
        yield "error", squares.sum(1) if squares.ndim == 3 else squares


def _check_finite(columns: Mapping[str, Tensor], split: str) -> None:
    for name, values in columns.items():
        bad = (~values.isfinite()).nonzero().flatten()
        if len(bad):
            raise TrainingError(
                f"{name} of {len(bad)} data of the {split} split is not finite: the weights have run away; train again "
                "with a lower training.optimizer.lr, or with training.clip_norm (1.0 is a usual value)"
            )
