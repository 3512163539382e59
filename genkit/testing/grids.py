"""All that a datum of two values can be, as points with weights: what a density is summed or integrated over."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genkit.testing.cases import LikelihoodCase
from genkit.testing.estimates import DRAWS

POINTS = 500
FAR = 1e4
"""How many scales from the middle an integral goes."""


class Grid(NamedTuple):
    """Points, and what a likelihood says of them."""

    log_prob: Tensor
    """(P,): of each point."""
    density: Tensor
    """(P,): the probability of each, or of the cell around it."""
    discrete: bool
    of_samples: Tensor
    """(N,): log_prob of samples."""


def grid_of(case: LikelihoodCase, scale: float) -> Grid:
    """The grid of a case of two values, for params of a standard deviation."""
    params = torch.randn(1, 1, *case.part.params_shape) * scale
    drawn = case.part.sample(params.expand(1, DRAWS, *params.shape[2:]))[0]
    low, high = case.part.support
    axes = [_axis(values, low, high) for values in drawn.flatten(1).T]
    points = torch.cartesian_prod(*(axis for axis, _, _ in axes)).view(-1, *case.shape)
    cells = torch.cartesian_prod(*(cell for _, cell, _ in axes)).prod(1)

    def log_prob(x: Tensor) -> Tensor:
        found: Tensor = case.part.log_prob(x, params.expand(1, len(x), *params.shape[2:]))[0].double()
        return found

    of_points = log_prob(points)
    return Grid(of_points, of_points.exp() * cells, all(discrete for *_, discrete in axes), log_prob(drawn))


def _axis(drawn: Tensor, low: float, high: float) -> tuple[Tensor, Tensor, bool]:
    """Points along one value (P,), the lengths of their cells, and whether they are all that it can be."""
    kinds = drawn.unique()
    if len(kinds) < len(drawn) / 20:
        return kinds, torch.ones(len(kinds), dtype=torch.float64), True
    quarters = torch.quantile(drawn.double(), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    middle, scale = float(quarters[1]), float(quarters[2] - quarters[0]) or float(drawn.std())

    def step(edge: float) -> float:
        return math.asinh(max(-FAR, min(FAR, (edge - middle) / scale)))

    ends = torch.linspace(step(low), step(high), POINTS + 1, dtype=torch.float64)
    edges = middle + scale * torch.sinh(ends)
    return (middle + scale * torch.sinh((ends[1:] + ends[:-1]) / 2)).float(), edges.diff(), False
