"""Mosaics: data side by side in one picture, as images or, for other data, as small curves.

N data, C channels, H and W pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

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


def apart(pixels: Pixels, rows: int, together: int, gap: int = 14) -> Pixels:
    """A mosaic of so many rows with a white gap of some pixels after each few rows that belong together."""
    edges = [round(len(pixels) * row / rows) for row in range(0, rows, together)] + [len(pixels)]
    white = np.full((gap, *pixels.shape[1:]), 255, dtype=np.uint8)
    pieces = [piece for start, end in pairwise(edges) for piece in (pixels[start:end], white)]
    return np.concatenate(pieces[:-1])


LETTER = 0.068
"""The width of a letter beside a picture in inches, about."""


def framed(
    pixels: Pixels,
    title: str,
    heads: Sequence[str] = (),
    curves: Sequence[str] = (),
    rows: Sequence[str] = (),
    ends: Sequence[str] = (),
    feet: Sequence[str] = (),
) -> Figure:
    """A figure with one picture, pixel for pixel, under a title.

    Args:
        pixels: the picture.
        title: the title.
        heads: what stands above each column of the picture, if anything.
        curves: the names of curves, below the title in the colours of a mosaic, if any; without heads.
        rows: what stands to the left of each row.
        ends: what stands to the right of each row.
        feet: what stands below each column.
    """
    height, width = pixels.shape[0] / 100, pixels.shape[1] / 100
    before, after = (LETTER * max(map(len, texts), default=0) + 0.1 * bool(texts) for texts in (rows, ends))
    below = 0.2 if feet else 0.0
    figure_width = max(before + width + after, 0.085 * len(title))
    figure_height = below + height + (0.55 if heads or curves else 0.35 if title else 0.0)
    left = round((figure_width - width + before - after) / 2 * 100)
    figure = bare_figure((figure_width, figure_height))
    figure.figimage(pixels, xo=left, yo=round(below * 100))
    figure.suptitle(title, fontsize=9, y=1 - 0.08 / figure_height)
    place = _Place(figure, (left / 100, below), (width, height))
    place.write_curves(curves, figure_width)
    for column, head in enumerate(heads):
        text = printable(head, max(3, int(width / len(heads) / 0.07)))
        place.write(text, place.across(column, len(heads)), below + height + 0.05)
    place.write_around(rows, ends, feet)
    return figure


class _Place(NamedTuple):
    """A picture in a figure, in inches from the figure's lower left corner."""

    figure: Figure
    corner: tuple[float, float]
    size: tuple[float, float]

    def write_curves(self, names: Sequence[str], width: float) -> None:
        """Write the names of curves above the picture in their colours, over the width of the figure."""
        for number, name in enumerate(names):
            most = max(3, int(width / len(names) / 0.07))
            x, y = width * (number + 0.5) / len(names), self.corner[1] + self.size[1] + 0.05
            self.write(printable(name, most), x, y, color=f"C{number % 10}")

    def across(self, column: int, columns: int) -> float:
        """The middle of a column."""
        return self.corner[0] + self.size[0] * (column + 0.5) / columns

    def down(self, row: int, rows: int) -> float:
        """The middle of a row."""
        return self.corner[1] + self.size[1] * (1 - (row + 0.5) / rows)

    def write_around(self, rows: Sequence[str], ends: Sequence[str], feet: Sequence[str]) -> None:
        """Write what stands to the left and to the right of rows, and below columns."""
        left, right = self.corner[0] - 0.06, self.corner[0] + self.size[0] + 0.06
        for column, foot in enumerate(feet):
            self.write(printable(foot), self.across(column, len(feet)), 0.06)
        for texts, x, side in ((rows, left, "right"), (ends, right, "left")):
            for row, text in enumerate(texts):
                self.write(printable(text), x, self.down(row, len(texts)), ha=side, va="center")

    def write(self, text: str, x: float, y: float, **style: Any) -> None:
        """Write a text in the figure."""
        width, height = self.figure.get_size_inches()
        self.figure.text(x / width, y / height, text, **{"fontsize": 8, "ha": "center", **style})


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
