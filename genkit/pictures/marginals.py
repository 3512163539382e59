"""Marginals of a table: each named column on its own, as it is in some tables beside each other.

N rows, D places of a datum.
"""

from __future__ import annotations

import datetime
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from genkit.data.tables import EPOCH, table_of
from genkit.interfaces import Column, Split
from genkit.model.model import Model
from genkit.model.side import own_side
from genkit.pictures.latent_space import NAME
from genkit.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = 5000
"""The largest number of rows that a picture compares."""
ACROSS = 4
"""The number of columns of a table side by side."""
MOST = 48
"""The largest number of columns of a table in a picture."""
BARS = 12
"""The largest number of categories of a column; the rarer ones are one bar."""
BINS = 24
MISSING, OTHERS = "missing", "others"


def real_and_sampled(model: Model, split: Split, seed: int = 0) -> dict[str, Tensor]:
    """Rows (N, D) of a split, `data`, and as many drawn from the model with the same side data, `samples`."""
    some = split.first(ROWS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sampled = model.sample(len(some.x), noise=True, **own_side(model.decoder_inputs, some.named()))
    return {"data": some.x[:], "samples": sampled}


def marginals(columns: Sequence[Column], tables: Mapping[str, Tensor]) -> Figure:
    """One small plot per column that varies: shares of categories and truths, histograms of numbers and dates.

    Args:
        columns: the columns.
        tables: data (N, D) by what they are; all are drawn over each other.
    """
    from matplotlib.figure import Figure

    shown = [column for column in columns if column.width or column.mark is not None][:MOST]
    down = math.ceil(len(shown) / ACROSS)
    figure = Figure(figsize=(3.2 * ACROSS, 2.4 * down + 0.4), dpi=100, layout="constrained")
    values = {name: table_of(x[:ROWS], shown) for name, x in tables.items()}
    for place, column in enumerate(shown):
        axes = figure.add_subplot(down, ACROSS, place + 1)
        of_column = {name: table[column.name] for name, table in values.items()}
        (_histograms if column.is_number else _bars)(axes, of_column)
        gone = [f"{sum(value is None for value in each) / max(1, len(each)):.0%}" for each in of_column.values()]
        missing = "" if column.mark is None or not column.is_number else f" ({MISSING}: {', '.join(gone)})"
        axes.set_title(printable(column.name, NAME) + missing, fontsize=9)
        axes.tick_params(labelsize=7)
        if place == 0:
            axes.legend(fontsize=7)
    figure.suptitle(f"each column: {' and '.join(tables)}, as shares of the rows", fontsize=10)
    return figure


def _histograms(axes: Axes, tables: Mapping[str, list[Any]]) -> None:
    """Histograms over common bins; each table's values have one weight in all."""
    numbers = {name: np.array([in_years(v) for v in values if v is not None]) for name, values in tables.items()}
    there = np.concatenate(list(numbers.values()))
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    for index, (name, each) in enumerate(numbers.items()):
        counts, _ = np.histogram(each, edges)
        axes.stairs(counts / max(1, len(each)), edges, label=name, fill=index == 0, alpha=0.5 if index == 0 else 1)


def in_years(value: float | datetime.date) -> float:
    """A number, or a date as its year."""
    if isinstance(value, datetime.date):
        return 1970 + (value.toordinal() - EPOCH) / 365.2425
    return float(value)


def _bars(axes: Axes, tables: Mapping[str, list[Any]]) -> None:
    """Shares of categories, the most frequent of the first table on top."""
    counts = {name: Counter(_name(value) for value in values) for name, values in tables.items()}
    total = sum(counts.values(), Counter[str]())
    names = [name for name, _ in next(iter(counts.values())).most_common()]
    names += sorted(total.keys() - set(names))
    if len(names) > BARS:
        rare = set(names[BARS - 1 :])
        names = [*names[: BARS - 1], OTHERS]
        for each in counts.values():
            each[OTHERS] = sum(each.pop(name, 0) for name in rare)
    places, height = np.arange(len(names)), 0.8 / len(counts)
    for index, (title, each) in enumerate(counts.items()):
        shares = [each[name] / max(1, each.total()) for name in names]
        axes.barh(places + height * index, shares, height, label=title)
    axes.set_yticks(places + height * (len(counts) - 1) / 2, [printable(name, 20) for name in names])
    axes.invert_yaxis()


def _name(value: Any) -> str:
    return MISSING if value is None else str(value)
