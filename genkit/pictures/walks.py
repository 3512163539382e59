"""Walks through a latent space: decoded points along one latent or two, with the values that the latents have there.

N data, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genkit.model.model import Model
from genkit.model.paths import onto
from genkit.pictures.latent_space import Data, beside_first, few, first, from_prior, latent_quantiles
from genkit.pictures.mosaic import Pixels, framed, mosaic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANIFOLD = "the mean of p(x|z) over quantiles of z1 (across) and z2 (up)"
TRAVERSALS = "each row: one latent from its 1% to its 99% quantile, the others held; the most varying first"


def manifold(model: Model, data: Data, side: int = 15) -> Pixels:
    """The decoded points of a 2-D latent space on a grid of quantiles, which covers the space evenly.

    Kingma & Welling 2014 (arXiv:1312.6114), appendix A. `data` are as in `latent_quantiles`; side data are those of the
    first datum.
    """
    return _decoded(model, _grid(_quantiles(model, data, side)), data, side, gap=3)


def manifold_figure(model: Model, data: Data, curves: Sequence[str] = (), side: int = 15) -> Figure:
    """The picture of `manifold` under its title, with the values of z1 below it and of z2 beside it."""
    quantiles = _quantiles(model, data, side)
    z = _grid(quantiles)
    across, up = (_texts(values.tolist()) for values in quantiles.unbind(1))
    feet, rows = (across, up[::-1]) if _are_values(model, z) else ([], [])
    return framed(_decoded(model, z, data, side, gap=3), MANIFOLD, curves=curves, rows=rows, feet=feet)


def traversals(model: Model, data: Data, columns: int = 11, most: int = 12) -> Pixels:
    """One decoded point with one latent moved per row; the rows are the latents whose means vary most.

    The point is the code of the first datum, whose side data are kept; without an encoder it is a draw from the prior.
    """
    z, _ = _rows(model, data, columns, most)
    return _decoded(model, z.flatten(0, 1), data, columns)


def traversals_figure(
    model: Model, data: Data, curves: Sequence[str] = (), columns: int = 11, most: int = 12
) -> Figure:
    """The picture of `traversals` under its title, with each latent's number and the values of its ends."""
    z, latents = _rows(model, data, columns, most)
    rows, ends = [f"z{latent + 1}" for latent in latents], []
    if _are_values(model, z.flatten(0, 1)):
        values = [_texts(z[row, :, latent].tolist()) for row, latent in enumerate(latents)]
        rows = [f"{name} = {each[0]}" for name, each in zip(rows, values, strict=True)]
        ends = [each[-1] for each in values]
    pixels = _decoded(model, z.flatten(0, 1), data, columns)
    return framed(pixels, TRAVERSALS, curves=curves, rows=rows, ends=ends)


def _quantiles(model: Model, data: Data, side: int) -> Tensor:
    return latent_quantiles(model, data, torch.linspace(0.5 / side, 1 - 0.5 / side, side))


def _grid(quantiles: Tensor) -> Tensor:
    """The points (side², 2) of the picture, row by row from the top: z1 goes across, z2 up."""
    across, up = quantiles.unbind(1)
    side = len(quantiles)
    return torch.stack([across.repeat(side), up.flip(0).repeat_interleave(side)], 1)


def _rows(model: Model, data: Data, columns: int, most: int) -> tuple[Tensor, list[int]]:
    """The points (rows, columns, D) of the picture, and the latent that moves in each row."""
    count = min(2000, few(model))
    z = model.encode(first(data, count)) if model.encoder is not None else from_prior(model, count)
    latents = z.var(0, correction=0).argsort(descending=True)[:most].tolist()
    quantiles = latent_quantiles(model, data, torch.linspace(0.01, 0.99, columns))
    points = z[0].repeat(len(latents), columns, 1)
    for row, latent in enumerate(latents):
        points[row, :, latent] = quantiles[:, latent]
    return points, latents


def _texts(values: Sequence[float]) -> list[str]:
    """Values with as many decimals as tell them apart: three digits of the largest."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    decimals = min(9, max(0, 2 - math.floor(math.log10(largest)))) if largest else 0
    return [f"{round(value, decimals) + 0.0:.{decimals}f}" for value in values]


def _are_values(model: Model, z: Tensor) -> bool:
    """Whether points z (N, D) are where their coordinates say, and not moved onto a support such as the sphere."""
    return torch.equal(onto(z, model.sampler.support), z)


def _decoded(model: Model, z: Tensor, data: Data, columns: int, gap: int = 2) -> Pixels:
    z = onto(z, model.sampler.support)
    return mosaic(model.decode(z, False, **beside_first(model, data)), columns, model.limits, gap)
