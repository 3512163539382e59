"""Pictures of series: each named channel over its steps, data beside or over each other.

N data, T steps, F channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from genkit.data.steps import blank
from genkit.interfaces import Shape, Split
from genkit.interfaces.component import MASK
from genkit.model.model import Model
from genkit.pictures.latent_space import NAME, Data, values
from genkit.text import printable

if TYPE_CHECKING:
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
    groups = {name: x[:MOST] for name, x in groups.items()}
    count = len(next(iter(groups.values())))
    figure, grid = _grid(channels, count, 1.7)
    for column in range(count):
        for row, axes in enumerate(grid[:, column]):
            for colour, (name, x) in zip(COLOURS, groups.items(), strict=False):
                axes.plot(x[column, :, row].numpy(), label=name, color=colour, linewidth=1)
        if heads:
            grid[0, column].set_title(printable(heads[column], NAME), fontsize=8)
    if len(groups) > 1:
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper right", ncols=len(groups), fontsize=8)
    return figure


def overlays(groups: Mapping[str, Tensor], channels: Sequence[str]) -> Figure:
    """A plot for each channel (down) of each group (across), with all of the group's series over each other."""
    figure, grid = _grid(channels, len(groups), 4.2)
    for column, (name, x) in enumerate(groups.items()):
        grid[0, column].set_title(f"{name} ({len(x)} series)", fontsize=9)
        for row, axes in enumerate(grid[:, column]):
            axes.plot(x[:, :, row].T.numpy(), linewidth=0.7, alpha=0.5, color=f"C{column}")
    return figure


def _grid(channels: Sequence[str], across: int, width: float) -> tuple[Figure, Any]:
    """A figure with a row of plots per channel, that share their scales, and the plots (rows, across)."""
    from matplotlib.figure import Figure

    rows = min(len(channels), CHANNELS)
    figure = Figure(figsize=(width * across + 0.6, 1.2 * rows + 0.7), dpi=100, layout="constrained")
    grid = figure.subplots(rows, across, sharex=True, sharey="row", squeeze=False)
    for row, axes in enumerate(grid[:, 0]):
        axes.set_ylabel(printable(channels[row], NAME), fontsize=8)
    for axes in grid.flat:
        axes.tick_params(labelsize=7)
    more = f" (the first {rows} of {len(channels)} channels)" if len(channels) > rows else ""
    figure.supxlabel(f"step{more}", fontsize=8)
    return figure, grid
