"""Grids: all data of two values, as points with weights, over which a density is summed or integrated."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genkit.testing.cases import LikelihoodCase
from genkit.testing.estimates import DRAWS

POINTS = 500
FAR = 1e4
"""How far an integral goes from the middle, in scales."""


class Grid(NamedTuple):
    """Points, and their densities under a likelihood."""

    log_prob: Tensor
    """(P,): log_prob of each point."""
    density: Tensor
    """(P,): the probability of each point, or of the cell around it."""
    discrete: bool
    of_samples: Tensor
    """(N,): log_prob of samples."""


def grid_of(case: LikelihoodCase, scale: float) -> Grid:
    """The grid of a case of two values, for random params with the standard deviation `scale`."""
    params = torch.randn(1, 1, *case.part.params_shape) * scale
    drawn = case.part.sample(params.expand(1, DRAWS, *params.shape[2:]), **case.alike(DRAWS))[0]
    low, high = case.part.support
    axes = [_axis(values, low, high) for values in drawn.flatten(1).T]
    discrete = all(each for *_, each in axes)
    points = torch.cartesian_prod(*(axis for axis, _, _ in axes))
    cells = torch.cartesian_prod(*(cell for _, cell, _ in axes)).prod(1)
    if discrete:
        points = _together(points, drawn.flatten(1))
        cells = torch.ones(len(points), dtype=torch.float64)
    points = points.view(-1, *case.shape)

    def log_prob(x: Tensor) -> Tensor:
        log_prob = case.part.log_prob(x, params.expand(1, len(x), *params.shape[2:]), **case.alike(len(x)))
        values: Tensor = log_prob[0].double()
        return values

    of_points = log_prob(points)
    return Grid(of_points, of_points.exp() * cells, discrete, log_prob(drawn))


def _together(points: Tensor, drawn: Tensor) -> Tensor:
    """Points (P, 2) without the pairs of values that exclude each other, as in a one-hot code.

    The rest are the points that were drawn (N, 2), and those with a value that was never drawn. If pairs are many, all
    points stay.
    """
    pairs = drawn.unique(dim=0)
    if len(pairs) > len(drawn) / 20:
        return points
    seen = (points.unsqueeze(1) == pairs).all(2).any(1)
    strange = torch.stack([~torch.isin(points[:, place], drawn[:, place]) for place in range(points.shape[1])]).any(0)
    return points[seen | strange]


def _axis(drawn: Tensor, low: float, high: float) -> tuple[Tensor, Tensor, bool]:
    """Points along one value (P,), the lengths of their cells, and whether they are all its values."""
    kinds = drawn.unique()
    if len(kinds) < len(drawn) / 20:
        spacing = float(kinds.diff().min()) if len(kinds) > 1 else 1.0
        beyond = [value for value in (float(kinds[0]) - spacing, float(kinds[-1]) + spacing) if low <= value <= high]
        kinds = torch.cat([kinds, torch.tensor(beyond, dtype=kinds.dtype)])  # in the support, but never drawn
        return kinds, torch.ones(len(kinds), dtype=torch.float64), True
    quarters = torch.quantile(drawn.double(), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    middle, scale = float(quarters[1]), float(quarters[2] - quarters[0]) or float(drawn.std())

    def step(edge: float) -> float:
        return math.asinh(max(-FAR, min(FAR, (edge - middle) / scale)))

    ends = torch.linspace(step(low), step(high), POINTS + 1, dtype=torch.float64)
    edges = middle + scale * torch.sinh(ends)
    return (middle + scale * torch.sinh((ends[1:] + ends[:-1]) / 2)).float(), edges.diff(), False
