"""Pictures of counts: genes by their means and variances, and cells by their neighbours in latent space.

N cells, G genes, D latent dimensions.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from genkit.interfaces import Split
from genkit.model.model import Model
from genkit.model.side import own_side
from genkit.pictures.latent_space import NAME, add_legend, few, scatter
from genkit.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELLS = 2000
"""The largest number of cells that are embedded."""
ROWS = 5000
"""The largest number of cells whose genes are compared."""
NEIGHBOURS = 15
FEWEST = 32
"""The least number of cells whose neighbours say where they are."""


def genes(model: Model, split: Split, seed: int = 0) -> Figure:
    """Means and variances of each gene over the cells of a split, and over as many cells drawn at the same depths."""
    some = split.first(ROWS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sampled = model.sample(len(some.x), noise=True, **own_side(model.decoder_inputs, some.named()))
    figure, axes = _row("each gene, over held-out cells and over as many sampled ones of the same depths", 2)
    for each, name in zip(axes, ("mean", "variance"), strict=True):
        real, ours = (_moment(x, name) for x in (some.x[:], sampled))
        each.scatter(real, ours, s=8, alpha=0.6, linewidths=0)
        ends = (min(real.min(), ours.min()), max(real.max(), ours.max()))
        each.plot(ends, ends, color="0.5", linewidth=1)
        each.set(xscale="log", yscale="log", xlabel=f"{name} of the counts", ylabel=f"{name} of the samples")
        for axis in (each.xaxis, each.yaxis):
            axis.set_major_formatter("{x:g}")  # the usual one writes formulas
            axis.set_minor_formatter("")
    return figure


def _moment(x: Tensor, name: str) -> Any:
    """Means or variances (G,) of counts (N, G), at least what a single count in twice as many cells makes."""
    values = x.double().mean(0) if name == "mean" else x.double().var(0, correction=0)
    return values.clamp_min(0.5 / len(x)).cpu().numpy()


def neighbours(model: Model, split: Split, classes: tuple[str, ...] | None) -> Figure:
    """Cells of a split placed by their neighbours in latent space, coloured by class and by depth.

    They are placed by Laplacian eigenmaps (Belkin & Niyogi 2003, doi 10.1162/089976603321780317). The classes are the
    labels, or else those of the first side data that have some, such as the batch.
    """
    some = split.first(min(CELLS, few(model)))
    z = model.encode(some).flatten(1).cpu().numpy()
    name, labels, names = _classes(model, some, classes)
    figure, axes = _row(
        "held-out cells, placed by the nearest neighbours\nof their posterior means", 2 - (labels is None)
    )
    points = embedded(z)
    totals = np.log10(some.x[:].sum(1).clamp_min(1).cpu().numpy())
    depths = axes[-1].scatter(points[:, 0], points[:, 1], s=7, c=totals, linewidths=0)
    figure.colorbar(depths, ax=axes[-1], label="log10 of the total of the cell")
    if labels is not None:
        add_legend(axes[0], scatter(axes[0], points, labels, names), markerscale=2, fontsize=7, loc="best")
        alike, chance = agreement(z, labels)
        axes[0].set_title(f"{name}: {alike:.0%} of the neighbours have the same; by chance {chance:.0%}", fontsize=9)
    for each in axes:
        each.set(xticks=[], yticks=[])
    return figure


def _classes(model: Model, split: Split, classes: tuple[str, ...] | None) -> tuple[str, Any, tuple[str, ...] | None]:
    """The name of the classes in a picture, their indices (N,), and their names; none where there are none."""
    if split.labels is not None:
        return "labels", split.labels.cpu().numpy(), classes
    for name, values in split.side.items():
        side = model.schema.side.get(name)
        if side is not None and side.classes is not None and side.shape == ():
            return printable(name, NAME), values.cpu().numpy(), side.names
    return "", None, None


def embedded(z: Any) -> Any:
    """Latents (N, D) as points (N, 2) by Laplacian eigenmaps of their neighbour graph, always the same ones.

    Few latents are their own first two dimensions.
    """
    from sklearn.manifold import SpectralEmbedding

    if len(z) < FEWEST:
        return np.pad(z, ((0, 0), (0, 2)))[:, :2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a graph may be in several pieces
        points: Any = SpectralEmbedding(
            affinity="nearest_neighbors", n_neighbors=NEIGHBOURS, random_state=0
        ).fit_transform(z)
    return points


def agreement(z: Any, labels: Any) -> tuple[float, float]:
    """The share of the nearest neighbours of latents (N, D) that have the same label (N,), and that of random ones."""
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBOURS, len(z) - 1)
    if count < 1:
        return 1.0, 1.0
    nearest = NearestNeighbors(n_neighbors=count).fit(z).kneighbors(return_distance=False)
    _, sizes = np.unique(labels, return_counts=True)
    chance = float((sizes * (sizes - 1)).sum() / (len(z) * (len(z) - 1)))
    return float((labels[nearest] == labels[:, None]).mean()), chance


def _row(title: str, count: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4 * count, 4.6), dpi=100, layout="constrained")
    figure.suptitle(title, fontsize=10)
    return figure, [figure.add_subplot(1, count, place + 1) for place in range(count)]
