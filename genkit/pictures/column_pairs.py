"""Pairs of columns of a table: how real rows and sampled ones lie in the plane of each two columns.

N rows, D places of a datum, C columns.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from torch import Tensor

from genkit.data.tables import table_of
from genkit.errors import DataError
from genkit.interfaces import Column
from genkit.pictures.latent_space import NAME
from genkit.pictures.marginals import in_years
from genkit.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

ROWS = 1000
"""The largest number of rows of each table in a plot."""
MOST = 5
"""The largest number of columns in the picture."""
NUMBERS = 2
"""The number of columns of numbers that come first: of many levels each, they would tell less than categories."""
LEVELS = 8
"""The number of levels of a column, by which its dependence on others is measured; categories in a plot."""
ALIKE = 0.7
"""The dependence from which two columns say the same, and only the first of them is shown."""
WIDTH = 0.3
"""How far points of one category are spread to both sides."""


class _Axis(NamedTuple):
    """A column as numbers along an axis."""

    name: str
    values: dict[str, Array]
    """(N,) of each table; NaN where a value is missing."""
    names: tuple[str, ...]
    """The categories, at 0, 1, ...; (): the values are numbers."""


def pairs(columns: Sequence[Column], tables: Mapping[str, Tensor]) -> Figure:
    """Each two of the columns that tell most of each other: the first table below the diagonal, the second above it.

    Args:
        columns: the columns.
        tables: two data (N, D) by what they are; the first one chooses the columns.

    Raises:
        DataError: fewer than two columns vary and differ.
    """
    from matplotlib.figure import Figure

    axes_of = _chosen([_axis(column, tables) for column in columns if column.width])
    count = len(axes_of)
    if count < 2:
        raise DataError("fewer than two columns vary and differ from each other")
    figure = Figure(figsize=(2.2 * count + 0.6, 2.2 * count + 0.6), dpi=100, layout="constrained")
    grid = figure.subplots(count, count, squeeze=False)
    below, above = tables
    for row, down in enumerate(axes_of):
        for column, across in enumerate(axes_of):
            axes = grid[row][column]
            if row == column:
                axes.text(0.5, 0.5, printable(down.name, NAME), ha="center", va="center", transform=axes.transAxes)
                axes.set_axis_off()
                continue
            one = row > column
            _scatter(axes, across, down, below if one else above, "C0" if one else "C1")
            last = (row == count - 1) or (column == count - 1 and row == count - 2)
            _label(axes, across, down, at_edge=(last, column == 0 or (row == 0 and column == 1)))
    figure.suptitle(f"below the diagonal: {below}; above it: {above}", fontsize=10)
    return figure


def _axis(column: Column, tables: Mapping[str, Tensor]) -> _Axis:
    """A column as numbers; of many categories the rare ones are one, `others`."""
    values = {name: table_of(x[:ROWS], [column])[column.name] for name, x in tables.items()}
    if column.is_number:
        return _Axis(column.name, {name: np.array(list(map(_number, each))) for name, each in values.items()}, ())
    present = [str(value) for value in next(iter(values.values())) if value is not None]
    names = [name for name, _ in Counter(present).most_common()]
    if len(names) > LEVELS:
        names = [*names[: LEVELS - 1], "others"]
    elif all(name.isdecimal() for name in names):
        names = sorted(names, key=int)
    places = {name: place for place, name in enumerate(names)}
    last = float(len(names) - 1)
    numbers = {
        table: np.array([np.nan if value is None else places.get(str(value), last) for value in each], float)
        for table, each in values.items()
    }
    return _Axis(column.name, numbers, tuple(names))


def _number(value: float | datetime.date | None) -> float:
    return float("nan") if value is None else in_years(value)


def _chosen(axes: Sequence[_Axis]) -> list[_Axis]:
    """The columns that vary and tell most of each other, by the mean of their dependence, in their own order."""
    all_levels = [_levels(next(iter(each.values.values())), bool(each.names)) for each in axes]
    varying = [pair for pair in zip(axes, all_levels, strict=True) if len(set(pair[1].tolist()) - {-1}) > 1]
    levels = [each for _, each in varying]
    dependence = np.array([[_dependence(one, other) for other in levels] for one in levels]).reshape(len(levels), -1)
    ranked = np.argsort(-dependence.mean(1), kind="stable").tolist()
    numbers = [place for place in ranked if not varying[place][0].names]
    chosen: list[int] = []
    for place in [*numbers[:NUMBERS], *ranked]:
        if len(chosen) < MOST and all(dependence[place, other] < ALIKE for other in chosen):
            chosen.append(place)
    return [varying[place][0] for place in sorted(chosen)]


def _levels(values: Array, is_category: bool) -> Array:
    """Values (N,) as levels from 0 on, by quantiles where they are numbers; -1 where they are missing."""
    there = np.isfinite(values)
    if is_category:
        return np.where(there, values, -1).astype(int)
    edges = np.unique(np.quantile(values[there], np.linspace(0, 1, LEVELS + 1)[1:-1])) if there.any() else np.zeros(0)
    return np.where(there, np.searchsorted(edges, values), -1)


def _dependence(one: Array, other: Array) -> float:
    """The mutual information of two columns of levels over the larger of their entropies: 0 to 1."""
    from sklearn.metrics import mutual_info_score

    larger = max(mutual_info_score(one, one), mutual_info_score(other, other))
    return float(mutual_info_score(one, other) / larger) if larger > 0 else 0.0


def _scatter(axes: Axes, across: _Axis, down: _Axis, table: str, colour: str) -> None:
    """The rows of a table as points; those of one category are spread, so that they do not hide each other."""
    generator = np.random.default_rng(0)
    x, y = (
        each.values[table] + (generator.uniform(-WIDTH, WIDTH, len(each.values[table])) if each.names else 0.0)
        for each in (across, down)
    )
    axes.scatter(x, y, s=6, alpha=0.45, linewidths=0, color=colour)
    for each, limit in ((across, axes.set_xlim), (down, axes.set_ylim)):
        both = np.concatenate(list(each.values.values()))
        low, high = float(np.nanmin(both)), float(np.nanmax(both))
        room = 0.5 if each.names else 0.05 * ((high - low) or 1.0)
        limit(low - room, high + room)


def _label(axes: Axes, across: _Axis, down: _Axis, at_edge: tuple[bool, bool]) -> None:
    """Ticks with the names of categories, at the lower and the left edge of the picture alone."""
    axes.tick_params(labelsize=7)
    for each, axis, shown in ((across, axes.xaxis, at_edge[0]), (down, axes.yaxis, at_edge[1])):
        names = [printable(name, 12) for name in each.names]
        if names:
            axis.set_ticks(range(len(names)), names, rotation=60 if axis is axes.xaxis and len(names) > 2 else 0)
        axis.set_tick_params(labelleft=shown) if axis is axes.yaxis else axis.set_tick_params(labelbottom=shown)
