"""Mosaics: data side by side in one picture, as images or, for other data, as small curves.

N data, C channels, H and W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from genkit.interfaces import Shape
from genkit.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
"""A picture: colours (H, W, 3)."""

CELL = 56
"""The pixels of an image, about: smaller images are enlarged by a whole factor."""


def is_image(shape: Shape) -> bool:
    """Whether data of this shape are shown as images: (1 or 3, H, W). Those with two axes are series (T, F)."""
    return len(shape) == 3 and shape[0] in (1, 3)


def mosaic(x: Tensor, columns: int, limits: tuple[float, float], gap: int = 2) -> Pixels:
    """A picture of data (N, *shape), row by row, with values between the limits from dark to bright.

    A datum of NaN alone leaves its cell empty.
    """
    shape = tuple(x.shape[1:])
    if not is_image(shape):
        return _curves(_sequences(x), columns)
    low, high = limits
    empty = x.flatten(1).isnan().all(1).tolist()
    cells = ((x - low) / max(high - low, 1e-12)).nan_to_num().clamp(0, 1).mul(255).round().to(torch.uint8).cpu()
    enlarge = max(1, CELL // max(cells.shape[2:]))
    cells = cells.expand(-1, 3, -1, -1).repeat_interleave(enlarge, 2).repeat_interleave(enlarge, 3)
    n, _, height, width = cells.shape
    rows = math.ceil(n / columns)
    picture = torch.full((3, rows * (height + gap) + gap, columns * (width + gap) + gap), 60).to(torch.uint8)
    for index, cell in enumerate(cells):
        if empty[index]:
            continue
        top, left = (index // columns) * (height + gap) + gap, (index % columns) * (width + gap) + gap
        picture[:, top : top + height, left : left + width] = cell
    return np.ascontiguousarray(picture.permute(1, 2, 0).numpy())


def framed(pixels: Pixels, title: str, heads: Sequence[str] = (), curves: Sequence[str] = ()) -> Figure:
    """A figure with one picture, pixel for pixel, under a title.

    Args:
        pixels: the picture.
        title: the title.
        heads: what stands above each column of the picture, if anything.
        curves: the names of curves, below the title in the colours of a mosaic, if any; without heads.
    """
    height, width = pixels.shape[0] / 100, pixels.shape[1] / 100
    figure_width, figure_height = max(width, 0.085 * len(title)), height + (0.55 if heads or curves else 0.35)
    left = round((figure_width - width) / 2 * 100)
    figure = bare_figure((figure_width, figure_height))
    figure.figimage(pixels, xo=left)
    figure.suptitle(title, fontsize=9, y=1 - 0.08 / figure_height)
    for place, curve in enumerate(curves):
        x, y = (place + 0.5) / len(curves), (height + 0.05) / figure_height
        text = printable(curve, max(3, int(figure_width / len(curves) / 0.07)))
        figure.text(x, y, text, fontsize=8, ha="center", color=f"C{place % 10}")
    for column, head in enumerate(heads):
        middle = left / 100 + width * (column + 0.5) / len(heads)
        text = printable(head, max(3, int(width / len(heads) / 0.07)))
        figure.text(middle / figure_width, (height + 0.05) / figure_height, text, fontsize=8, ha="center")
    return figure


def _sequences(x: Tensor) -> Tensor:
    """Data (N, *shape) as curves (N, T, features): (T, F) as they are, (C, n, ...) along the longer one of two axes."""
    if x.ndim < 4:
        return x.unsqueeze(-1) if x.ndim == 2 else x
    flat = x.flatten(2)
    return flat if flat.shape[1] >= flat.shape[2] else flat.movedim(1, 2)


def _curves(x: Tensor, columns: int) -> Pixels:
    """A picture with a small framed plot for each datum of x (N, T, features).

    One pair of axes holds all plots, in cells of 1 by 1: a pair of axes per plot takes a hundred times as long.
    """
    from matplotlib.collections import LineCollection

    n, steps, features = x.shape
    rows = math.ceil(n / columns)
    figure = bare_figure((0.9 * columns, 0.7 * rows))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    axes.set_axis_off()
    values = x.cpu().double().nan_to_num(math.nan, math.nan, math.nan).numpy()
    finite = values[~np.isnan(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    across = np.linspace(0.06, 0.94, steps) if steps > 1 else np.full(1, 0.5)
    down = 0.9 - 0.8 * (values - low) / max(high - low, 1e-12)
    filled = [index for index in range(n) if not np.isnan(values[index]).all()]
    corners = np.array([(0.03, 0.04), (0.97, 0.04), (0.97, 0.96), (0.03, 0.96), (0.03, 0.04)])
    cells = {index: np.array([index % columns, index // columns]) for index in filled}
    axes.add_collection(LineCollection([corners + cell for cell in cells.values()], linewidths=0.8, colors="black"))
    for feature in range(features):
        lines = [np.stack([across, down[index, :, feature]], 1) + cell for index, cell in cells.items()]
        axes.add_collection(LineCollection(lines, linewidths=0.8, colors=f"C{feature % 10}"))
    return rendered(figure)


def rendered(figure: Figure) -> Pixels:
    """The pixels of a figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[:, :, :3].copy()


def bare_figure(size: tuple[float, float]) -> Figure:
    """An empty figure without pyplot: no global state, no window, in any thread."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=100)
