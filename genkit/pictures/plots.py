"""Pictures of a model: its reconstructions, its samples, the data in its latent space, and its losses.

`mosaic` makes the pictures of data of any shape: images side by side, or one small plot per datum.
N data, C channels, H and W pixels, D latent dimensions.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from genkit.data.dataset import Dataset, as_float
from genkit.errors import GenkitError, GenkitWarning, in_a_line
from genkit.interfaces import Split
from genkit.interfaces.columns import are_counts
from genkit.interfaces.component import MASK
from genkit.model.model import Model
from genkit.pictures import counts, series
from genkit.pictures.column_pairs import pairs
from genkit.pictures.latent_space import (
    Data,
    draw_latents,
    few,
    first,
    values,
)
from genkit.pictures.losses import losses
from genkit.pictures.marginals import marginals, real_and_sampled
from genkit.pictures.mosaic import Pixels, apart, framed, mosaic, rendered
from genkit.pictures.saving import FORMATS as FORMATS
from genkit.pictures.saving import save as save
from genkit.pictures.walks import manifold_figure, traversals_figure
from genkit.record.scores import EpochRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = 10
"""The largest number of channels that are named by their colours."""
PAIRS, ACROSS = 24, 12
"""The number of data in the picture of reconstructions, and of those side by side."""
COLUMNS = 20
"""The largest number of classes that each have a column in the picture of samples."""
SAMPLES = "samples: the mean of p(x|z) for z from the prior"
FILTERS = "what the first layer's units look for: weights, 0 is grey, each to its own largest"
SERIES = "each channel: data, and as many draws from p(x|z) for z from the prior"

OF_DATA = ("reconstructions", "samples", "manifold", "traversals", "marginals", "pairs", "genes", "series")
"""The pictures of data that the model gives."""
OF_VALUES = ("reconstructions", "samples", "manifold", "traversals", "filters")
"""The pictures of data as images or curves, which rows of a table are not."""


def draw_all(
    model: Model, data: Dataset, history: Sequence[EpochRecord], folder: Path, formats: Sequence[str] = (".png",)
) -> list[Path]:
    """Write every picture that suits this model and these data, in each of the FORMATS asked for; returns the files.

    Warns (GenkitWarning) of each picture that cannot be drawn or written, and draws the others. An older picture in its
    place, which would be of other weights, is removed.
    """
    written = []
    for name, draw in _pictures(model, data, history).items():
        paths = [folder / f"{name}{suffix}" for suffix in formats]
        try:
            figure = draw()
            written += [save(figure, path) for path in paths]
        except Exception as error:
            reason = str(error) if isinstance(error, GenkitError) else in_a_line(error)
            warnings.warn(f"picture '{name}' could not be drawn: {reason}", GenkitWarning, stacklevel=2)
            for path in paths:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
    return written


def _pictures(model: Model, data: Dataset, history: Sequence[EpochRecord]) -> dict[str, Callable[[], Figure]]:
    """The pictures that suit a model and data, each as a function that draws it."""
    held_out, of_series = data.test or data.validation or data.train, series.is_series(model.shape)
    curves = model.schema.channel_names[:CURVES] if of_series and model.shape[1] > 1 else ()
    pictures: dict[str, Callable[[], Figure]] = {"loss": lambda: losses(history)} if history else {}
    if model.encoder is not None:
        pictures["reconstructions"] = lambda: _reconstructed(model, held_out)
        pictures["latents"] = lambda: latents(model, held_out, data.classes)
        if are_counts(model.schema.columns):
            pictures["neighbours"] = lambda: counts.neighbours(model, held_out, data.classes)
        if (weights := first_weights(model)) is not None:
            pictures["filters"] = lambda: framed(filters(weights), FILTERS, curves=curves)
        if not model.has_prior:
            pictures["activations"] = lambda: activations(model, held_out)
    if model.has_prior:
        pictures |= _generated(model, held_out)
    if model.sampler.latent_shape == (2,):
        pictures["manifold"] = lambda: manifold_figure(model, held_out, curves)
    elif len(model.sampler.latent_shape) == 1:
        pictures["traversals"] = lambda: traversals_figure(model, held_out, curves)
    left_out = {*(OF_VALUES if model.schema.columns else ()), *(() if model.decodes else OF_DATA)}
    return {name: draw for name, draw in pictures.items() if name not in left_out}


def _generated(model: Model, held_out: Split) -> dict[str, Callable[[], Figure]]:
    """The pictures of what a model generates, as of `_pictures`."""
    columns, of_series = model.schema.columns, series.is_series(model.shape)
    pictures: dict[str, Callable[[], Figure]] = {
        "samples": lambda: framed(samples(model), SAMPLES, () if of_series else turns(model))
    }
    if of_series:
        pictures["series"] = lambda: framed(rendered(series.real_and_sampled(model, held_out)), SERIES)
    if are_counts(columns):
        pictures["genes"] = lambda: counts.genes(model, held_out)
    elif columns:
        pictures["marginals"] = lambda: marginals(columns, real_and_sampled(model, held_out))
        if sum(column.width > 0 for column in columns) > 1:
            pictures["pairs"] = lambda: pairs(columns, real_and_sampled(model, held_out))
    return pictures


def reconstructions(model: Model, data: Data, count: int = PAIRS, columns: int = ACROSS, noise: bool = False) -> Pixels:
    """The first data, with their reconstructions below each row: means of p(x|z), or with `noise` draws from it.

    Of series a few of them, with the reconstructions over them.
    """
    if series.is_series(tuple(values(data).shape[1:])):
        return rendered(series.reconstructed(model, first(data, count), noise))
    some = first(data, count)
    pairs = zip(as_float(values(some)).split(columns), model.reconstruct(some, noise).split(columns), strict=True)
    rows = [_padded(row, columns) for pair in pairs for row in pair]
    return apart(mosaic(torch.cat(rows), columns, model.limits), len(rows), together=2)


def _reconstructed(model: Model, data: Split) -> Figure:
    """The picture of `reconstructions` under its title."""
    pixels = reconstructions(model, data)
    if series.is_series(model.shape):
        return framed(pixels, "held-out data and reconstructions")
    pairs = math.ceil(min(len(data.x), PAIRS) / ACROSS)
    return framed(pixels, "held-out data, and below each its reconstruction", rows=["data", "reconstruction"] * pairs)


def turns(model: Model) -> tuple[str, ...]:
    """The names of the classes that take turns in samples, where a picture can give each a column; else none."""
    sides = [model.schema.side[name] for name in model.decoder_inputs if name != MASK or not model.schema.is_padded]
    if len(sides) != 1 or not sides[0].classes or sides[0].classes > COLUMNS:
        return ()
    return tuple(sides[0].names or map(str, range(sides[0].classes)))


def samples(model: Model, rows: int = 8, seed: int = 0) -> Pixels:
    """Generated data; the same seed gives the same data. Where the model is given classes, each has a column."""
    columns = len(turns(model)) or 8
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if series.is_series(model.shape):
            return rendered(series.sampled(model, turns(model)))
        return mosaic(model.sample(rows * columns), columns, model.limits)


def first_weights(model: Model) -> Tensor | None:
    """The weights (N, *shape) of the first layer, largest norm first; None unless it is linear and reads the data."""
    layers = (layer for part in (model.encoder, model.sampler) if part is not None for layer in part.modules())
    first_layer = next((layer for layer in layers if next(layer.parameters(recurse=False), None) is not None), None)
    if not isinstance(first_layer, nn.Linear) or first_layer.in_features != math.prod(model.shape):
        return None
    order = first_layer.weight.norm(dim=1).argsort(descending=True)
    return first_layer.weight.detach()[order].reshape(-1, *model.shape)


def filters(weights: Tensor, most: int = 100) -> Pixels:
    """Weights (N, *shape) as pictures: 0 is the middle grey, and the largest weight of each is black or white."""
    shown = weights[:most]
    largest = shown.flatten(1).abs().amax(1).clamp_min(1e-12)
    scaled = shown / largest.view(-1, *[1] * (shown.ndim - 1))
    return mosaic(scaled, max(1, math.ceil(len(shown) ** 0.5)), (-1.0, 1.0))


def activations(model: Model, data: Data) -> Figure:
    """A histogram of the mean activations of the code's units over the first data."""
    means = model.encode(first(data, few(model))).flatten(1).mean(0).cpu().numpy()
    figure, axes = _axes((5.0, 3.4))
    axes.hist(means, bins=50)
    axes.axvline(float(means.mean()), color="C1", label=f"mean {means.mean():.3f}")
    axes.set(title="mean activation of each unit over held-out data", xlabel="mean activation", ylabel="units")
    axes.legend()
    return figure


def latents(model: Model, split: Split, classes: tuple[str, ...] | None) -> Figure:
    """The data of a split in latent space, coloured by label."""
    figure, axes = _axes((6.4, 6.0))
    axes.set(title=f"posterior means of held-out data{draw_latents(axes, model, split, classes)}")
    return figure


def _padded(rows: Tensor, n: int) -> Tensor:
    """The rows, padded to n by rows of NaN, whose cells `mosaic` leaves empty."""
    return torch.cat([rows, rows.new_full((n - len(rows), *rows.shape[1:]), math.nan)])


def _axes(size: tuple[float, float]) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=100, layout="constrained")
    return figure, figure.add_subplot()
