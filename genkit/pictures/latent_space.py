"""Data and draws in a model's latent space: quantiles, principal components, and points in a picture.

N data, D latent dimensions, P probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from genkit.interfaces import Split
from genkit.model.model import Model
from genkit.model.side import own_side
from genkit.pictures.palette import COLOURS, colours
from genkit.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERS, LEAST = 6_400_000, 500
"""The most numbers in the latents that a picture reads, 100,000 draws of 64 dimensions; and the fewest latents."""
NARROW = 64
"""The largest number of dimensions whose principal components are computed by a singular value decomposition."""
DRAWS = 100_000
"""The largest number of draws from a prior whose quantiles a picture shows."""
NAME, SHORT = 40, 14
"""The largest number of characters of a name beside a picture, and in it."""
SMALLEST, LARGEST, INK = 4.0, 36.0, 8_000.0
"""The least and the greatest area of a point in square points, and of all points: a few are large, many small."""
MOST_NAMES = 30
"""The most classes whose names stand in a picture, where their points are."""


Data = Tensor | Split
"""Data x (N, *shape), or a split, which brings the side data that a model may need."""


def first(data: Data, count: int | None) -> Data:
    """The first data."""
    return data.first(count) if isinstance(data, Split) else data[:count]


def values(data: Data) -> Tensor:
    """The data x (N, *shape) alone."""
    return data.x[:] if isinstance(data, Split) else data


def beside_first(model: Model, data: Data) -> dict[str, Tensor]:
    """The side data of the first datum that decoding takes, by name."""
    own = own_side(model.decoder_inputs, data.named()) if isinstance(data, Split) else {}
    return {name: values[0] for name, values in own.items()}


def latent_quantiles(model: Model, x: Data, probabilities: Tensor, draws: int = DRAWS) -> Tensor:
    """Quantiles of each latent, (P,) -> (P, D), over many draws from the prior or, without a prior, over codes of x.

    They come from draws, so that no prior needs to compute its own quantiles; of many dimensions from fewer draws.
    """
    count = min(draws, few(model))
    z = from_prior(model, count) if model.has_prior else model.encode(first(x, count))
    return torch.quantile(z.flatten(1), probabilities.to(z.device, z.dtype), dim=0)


def few(model: Model) -> int:
    """How many latents a picture reads: as many as take little memory."""
    return max(LEAST, NUMBERS // max(1, math.prod(model.sampler.latent_shape)))


def from_prior(model: Model, n: int) -> Tensor:
    """Draws from the prior (n, *latent_shape), always the same ones."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        return model.draw(n)


def draw_latents(
    axes: Axes, model: Model, split: Split, classes: tuple[str, ...] | None, most: int = 5000, legend: bool = True
) -> str:
    """Draw a split in latent space, by its two principal components where the space has more than two dimensions.

    Returns:
        A suffix for the title: empty, or the number of dimensions.
    """
    most = min(most, few(model))
    z = model.encode(split.first(most)).flatten(1).cpu()
    dimensions, suffix = z.shape[1], ""
    if dimensions == 2:
        axes.set(xlabel="z1", ylabel="z2")
    elif dimensions > 2:
        z, shares = _principal(z)
        first, second = (f"principal component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares))
        axes.set(xlabel=first, ylabel=second)
        suffix = f", {dimensions} dimensions seen along two"
    else:
        z = torch.cat([z, torch.rand(z.shape, generator=torch.Generator().manual_seed(0))], 1)
        axes.set(xlabel="z1", yticks=[], ylabel="(spread for the eye)")
    labels = None if split.labels is None else split.labels[:most].cpu().numpy()
    names = scatter(axes, z.numpy(), labels, classes)
    if names and legend:
        add_legend(axes, names, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return suffix


def add_legend(axes: Axes, names: Sequence[str], **style: Any) -> None:
    """A legend with a name for each thing that is drawn; a name may begin with `_`, which else hides it."""
    handles = axes.get_legend_handles_labels()[0]
    legend = axes.legend(handles, [str(number) for number in range(len(handles))], **style)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(printable(name, NAME))


def _principal(z: Tensor) -> tuple[Tensor, list[float]]:
    """The first two principal components (N, 2) and their shares of the variance."""
    centred = z.double() - z.double().mean(0)
    if z.shape[1] <= NARROW:
        _, singular, directions = torch.linalg.svd(centred, full_matrices=False)
        variances, points = singular.square(), (centred @ directions[:2].T).float()
    else:
        variances, points = _widely_principal(centred)
    shares = variances / variances.sum().clamp_min(1e-12)
    missing = 2 - points.shape[1]  # of a single datum there is one component alone
    return nn.functional.pad(points, (0, missing)), [*shares[:2].tolist(), *[0.0] * missing]


def _widely_principal(centred: Tensor) -> tuple[Tensor, Tensor]:
    """The variances along all components and the points (N, 2) along two, from the smaller one of X Xᵀ and Xᵀ X."""
    wide = centred.shape[1] > centred.shape[0]
    values, vectors = torch.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
    variances, first = values.clamp_min(0).flip(0), vectors[:, -2:].flip(1)
    return variances, (first * variances[:2].sqrt() if wide else centred @ first).float()


def scatter(axes: Axes, points: Any, labels: Any, classes: tuple[str, ...] | None) -> list[str]:
    """Draw points (N, 2), those of each label in a colour of their own around its name; returns the labels' names."""
    size = min(LARGEST, max(SMALLEST, INK / max(1, len(points))))
    if labels is None:
        axes.scatter(points[:, 0], points[:, 1], s=size, alpha=0.6, linewidths=0, color=COLOURS[0])
        return []
    present = sorted(set(labels.tolist()))
    names = [classes[label] if classes else str(label) for label in present]
    for label, colour in zip(present, colours(len(present)), strict=True):
        rows = labels == label
        axes.scatter(points[rows, 0], points[rows, 1], s=size, alpha=0.75, linewidths=0, color=colour, label=str(label))
    if 1 < len(present) <= MOST_NAMES:
        for label, name in zip(present, names, strict=True):
            _name_centre(axes, points[labels == label], name)
    return names


def _name_centre(axes: Axes, points: Any, name: str) -> None:
    """Write a name, with a white edge, where half of the points (N, 2) lie to each side."""
    from matplotlib.patheffects import withStroke

    x, y = np.median(points, axis=0)
    edge = [withStroke(linewidth=3, foreground="white", alpha=0.9)]
    text = printable(name, SHORT)
    axes.text(x, y, text, fontsize=11, fontweight="bold", ha="center", va="center", path_effects=edge)
