"""Pictures of series: each named channel over its steps, data beside or over each other.

N data, T steps, F channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genkit.data.steps import blank
from genkit.interfaces import Shape, Split
from genkit.interfaces.component import MASK
from genkit.model.model import Model
from genkit.pictures.latent_space import Data, values
from genkit.pictures.mosaic import bare_figure
from genkit.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANNELS = 6
"""The largest number of channels that a picture shows; the others are named in its margin."""
ACROSS = 6
"""The number of data side by side, where nothing says how many."""
MOST = 12
"""The largest number of data side by side."""
LINES = 20
"""The number of series that are drawn over each other."""
COLOURS = ("black", "C1", "C0")
LONGEST = 16
"""The largest number of characters of a channel's name beside its plots."""
LEFT, ABOVE, BELOW, HEIGHT = 0.9, 0.4, 0.42, 1.15
"""The margins of a picture, and the height of a plot, in inches."""


def is_series(shape: Shape) -> bool:
    """Whether data of this shape are series, (T, F)."""
    return len(shape) == 2


def shown(model: Model, data: Data) -> Tensor:
    """Series x (N, T, F) with NaN at the steps that are not there."""
    if model.schema.is_padded and isinstance(data, Split):
        return blank(values(data).cpu().float(), data.side[MASK].cpu())
    return values(data).cpu().float()


def reconstructed(model: Model, data: Data, noise: bool = False, count: int = ACROSS) -> Figure:
    """Some data from all over, with their reconstructions over them: means of p(x|z), or with `noise` draws from it."""
    chosen = places(data, count)
    some = data.rows(chosen) if isinstance(data, Split) else data[chosen]
    both = {"data": shown(model, some), "reconstructions": model.reconstruct(some, noise).cpu()}
    return panels(both, model.schema.channel_names)


def sampled(model: Model, heads: Sequence[str] = ()) -> Figure:
    """Generated series, the means of p(x|z) for z from the prior; with a head above each, where classes take turns."""
    count = min(len(heads), MOST) or ACROSS
    return panels({"samples": model.sample(count).cpu()}, model.schema.channel_names, heads[:count])


def real_and_sampled(model: Model, split: Split, seed: int = 0) -> Figure:
    """Series from all over a split beside as many drawn from the model, with the same side data."""
    some = split.rows(places(split, LINES))
    own = {name: each for name, each in some.named().items() if name in model.decoder_inputs}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        drawn = model.sample(len(some.x), noise=True, **own).cpu()
    return overlays({"data": shown(model, some), "samples": drawn}, model.schema.channel_names)


def places(data: Data, count: int) -> Tensor:
    """The places of some data at even distances: those beside each other are often alike, such as windows."""
    return torch.linspace(0, len(values(data)) - 1, min(count, len(values(data)))).long()


def panels(groups: Mapping[str, Tensor], channels: Sequence[str], heads: Sequence[str] = ()) -> Figure:
    """A plot for each channel (down) of each datum (across), in which the groups' lines lie over each other.

    Args:
        groups: series (N, T, F) by what they are, the same data in each.
        channels: the names of the channels.
        heads: what stands above each datum, if anything.
    """
    lines = {
        name: [
            Line(row, column, values) for column, each in enumerate(x[:MOST]) for row, values in enumerate(_rows(each))
        ]
        for name, x in groups.items()
    }
    across = len(next(iter(groups.values()))[:MOST])
    named = {name: colour for name, colour in zip(groups, COLOURS, strict=False) if len(groups) > 1}
    figure, axes = _grid(lines, channels, across, 1.7, COLOURS)
    _heads(axes, heads)
    for place, (name, colour) in enumerate(reversed(named.items())):
        axes.text(across - 0.02, -0.05 - 0.12 * place, name, color=colour, fontsize=8, ha="right", va="bottom")
    return figure


def overlays(groups: Mapping[str, Tensor], channels: Sequence[str]) -> Figure:
    """A plot for each channel (down) of each group (across), with all of the group's series over each other."""
    lines = {
        name: [Line(row, column, values) for each in x for row, values in enumerate(_rows(each))]
        for column, (name, x) in enumerate(groups.items())
    }
    figure, axes = _grid(lines, channels, len(groups), 4.2, ("C0", "C1", "C2"), thin=True)
    _heads(axes, [f"{name} ({len(x)} series)" for name, x in groups.items()])
    return figure


class Line(NamedTuple):
    """The values (T,) of a channel of a series, and the plot that they are in."""

    row: int
    column: int
    values: Any


def _rows(series: Tensor) -> Any:
    """The channels (F, T) of a series (T, F) that are shown."""
    return series.T[:CHANNELS].double().numpy()


def _grid(
    lines: Mapping[str, Sequence[Line]],
    channels: Sequence[str],
    across: int,
    width: float,
    colours: Sequence[str],
    thin: bool = False,
) -> tuple[Figure, Axes]:
    """Plots in rows, one per channel with a scale of its own, as cells of 1 by 1 in one pair of axes.

    A pair of axes per plot would take a hundred times as long.
    """
    from matplotlib.collections import LineCollection

    rows = min(len(channels), CHANNELS)
    size = (LEFT + width * across + 0.1, ABOVE + HEIGHT * rows + BELOW)
    figure = bare_figure(size)
    axes = figure.add_axes((LEFT / size[0], BELOW / size[1], width * across / size[0], HEIGHT * rows / size[1]))
    axes.set(xlim=(0, across), ylim=(rows, 0))
    axes.set_axis_off()
    corners = np.array([(0.02, 0.04), (0.98, 0.04), (0.98, 0.96), (0.02, 0.96), (0.02, 0.04)])
    frames = [corners + np.array([column, row]) for row in range(rows) for column in range(across)]
    axes.add_collection(LineCollection(frames, linewidths=0.6, colors="grey"))
    limits = [_limits(lines, row) for row in range(rows)]
    for (name, of_group), colour in zip(lines.items(), colours, strict=False):
        segments = [_segment(line, *limits[line.row]) for line in of_group]
        style = {"linewidths": 0.6, "alpha": 0.6} if thin else {"linewidths": 1.0}
        axes.add_collection(LineCollection(segments, colors=colour, label=name, **style))
    steps = max(len(line.values) for of_group in lines.values() for line in of_group)
    _margins(axes, channels, limits, width, steps)
    return figure, axes


def _limits(lines: Mapping[str, Sequence[Line]], row: int) -> tuple[float, float]:
    """The least and the greatest value in a row of plots."""
    values = np.concatenate([line.values for of_group in lines.values() for line in of_group if line.row == row])
    there = values[np.isfinite(values)]
    return (float(there.min()), float(there.max())) if len(there) else (0.0, 1.0)


def _segment(line: Line, low: float, high: float) -> Any:
    """The points (T, 2) of a line in its cell, from the first step to the last."""
    count = len(line.values)
    x = np.linspace(0.05, 0.95, count) if count > 1 else np.full(1, 0.5)
    y = 0.9 - 0.8 * (line.values - low) / max(high - low, 1e-12)
    return np.stack([line.column + x, line.row + y], 1)


def _margins(
    axes: Axes, channels: Sequence[str], limits: Sequence[tuple[float, float]], width: float, steps: int
) -> None:
    """Write the channels with their scales to the left of the plots, and the steps below them."""
    for row, (low, high) in enumerate(limits):
        name = printable(channels[row], LONGEST)
        axes.text(-0.62 / width, row + 0.5, name, fontsize=8, rotation=90, ha="center", va="center")
        for value, y in ((high, 0.1), (low, 0.9)):
            axes.text(-0.04 / width, row + y, f"{value:.3g}", fontsize=7, ha="right", va="center")
    bottom = len(limits) + 0.02
    for step, x in ((0, 0.05), (steps - 1, 0.95)):
        axes.text(x, bottom, str(step), fontsize=7, ha="center", va="top")
    axes.text(0.5, bottom, "step", fontsize=8, ha="center", va="top")
    if len(channels) > len(limits):
        more = f"the first {len(limits)} of {len(channels)} channels"
        axes.text(0, bottom + 0.16, more, fontsize=8, ha="left", va="top")


def _heads(axes: Axes, heads: Sequence[str]) -> None:
    """Write what stands above the columns of plots."""
    for column, head in enumerate(heads[:MOST]):
        axes.text(column + 0.5, -0.02, printable(head, LONGEST + 10), fontsize=8, ha="center", va="bottom")
