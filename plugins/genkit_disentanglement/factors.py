"""Factors of variation of data, and the latents that are compared with them.

N data, D latent dimensions, F factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field
from torch import Tensor

from genkit import DataError, Metric, MetricData, Split, TrainedModel

MOST = 10_000
"""The largest number of data of a split that are read, taken from its start."""

Array = np.ndarray[Any, Any]
Names = Annotated[
    tuple[str, ...],
    Field(description="the factors: names of side data of classes, or labels; []: all of them"),
]


class Codes(NamedTuple):
    """The points that represent the data of a split, and their factors."""

    z: Array
    """(N, D) in float64."""
    factors: Mapping[str, Array]
    """By name, (N,): indices of classes."""


class FactorMetric(Metric):
    """A metric that compares latent dimensions with factors."""

    needs = ("encoder", "factors")

    class Config(Metric.Config):
        """The factors."""

        factors: Names = ()

    config: Config

    def codes(self, model: TrainedModel, split: Split) -> Codes:
        """The points and the factors of a split; raises DataError where there are too few of either."""
        first = split.first(MOST)
        z = points(model, first)
        if z.shape[1] < 2:
            raise DataError("it compares latent dimensions, and the model has one")
        return Codes(z, {name: values.cpu().numpy() for name, values in chosen(first, self.config.factors).items()})

    def both(self, model: TrainedModel, data: MetricData) -> tuple[Codes, Codes]:
        """The points and the factors of the training split, and of the split that is measured."""
        return self.codes(model, data.train), self.codes(model, data.split)


def points(model: TrainedModel, split: Split) -> Array:
    """The points that represent the data of a split, (N, D) in float64."""
    flat: Array = model.encode(split).flatten(1).double().cpu().numpy()
    return flat


def chosen(split: Split, names: Sequence[str]) -> dict[str, Tensor]:
    """The factors of a split that vary, by name, (N,) each.

    Raises:
        DataError: there is no factor of a name, or only one factor varies.
    """
    classified = split.classified()
    absent = [name for name in names if name not in classified]
    if absent:
        raise DataError(f"factors: there is no factor '{absent[0]}'; there are {', '.join(classified)}")
    wanted = {name: classified[name] for name in (names or classified)}
    varying = {name: values for name, values in wanted.items() if len(values) and bool((values != values[0]).any())}
    if len(varying) < 2:
        raise DataError(
            f"factors: of {', '.join(wanted)} {len(varying)} vary in the data, and several have to, to be told apart"
        )
    return varying


def gaps(scores: Array) -> Array:
    """How much the best latent is better than the second, for each factor: (D, F) -> (F,)."""
    second, best = np.sort(scores, 0)[-2:]
    gap: Array = best - second
    return gap


def table(codes: Codes, score: Callable[[Array, Array], float]) -> Array:
    """The scores of each latent (N,) for each factor (N,): (D, F)."""
    return np.array([[score(z, factor) for factor in codes.factors.values()] for z in codes.z.T])


def entropy(shares: Array) -> Array:
    """The entropies of distributions over S things, in units of log S: (..., S) -> (...)."""
    logs = np.log(np.where(shares > 0, shares, 1.0))
    result: Array = -(shares * logs).sum(-1) / np.log(shares.shape[-1])
    return result


def seeded(seed: int) -> int:
    """A seed that scikit-learn takes."""
    return seed % 2**32
