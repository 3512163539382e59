"""Curves of the losses of a run over its epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from genkit.pictures.latent_space import NAME
from genkit.record.scores import EpochRecord, Scores
from genkit.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACROSS = 3
"""The largest number of plots side by side."""
FIRST = 0.05
"""The share of the epochs at the start that may lie outside of a plot, one epoch at least."""
SQUASHED = 1.5
"""How many times as high as the other epochs the first ones make a plot where they are left outside of it."""
MARGIN = 0.06
"""The empty share above and below the curves."""

Curve = list[tuple[int, float]]
"""Epochs with their values."""


def losses(history: Sequence[EpochRecord]) -> Figure:
    """The objective, its unweighted terms and the critics' losses over the epochs, for training and validation.

    A term that is the whole objective has no plot of its own; the first epochs, which would squash all others, may lie
    outside of a plot, which says so.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    plots = _plots(history)
    rows = math.ceil(len(plots) / ACROSS)
    columns = min(ACROSS, len(plots))
    figure = Figure(figsize=(4.0 * columns, 3.2 * rows), dpi=100, layout="constrained")
    for place, (title, (training, validation)) in enumerate(plots.items()):
        axes = figure.add_subplot(rows, columns, place + 1)
        axes.plot(*zip(*training, strict=True), label="training", marker="." if len(history) < 30 else "")
        if validation:
            axes.plot(*zip(*validation, strict=True), label="validation", linestyle="--")
        axes.set(title=title, xlabel="epoch", ylabel="nats per datum")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        _focus(axes, [curve for curve in (training, validation) if curve])
        axes.legend()
    return figure


def _plots(history: Sequence[EpochRecord]) -> dict[str, tuple[Curve, Curve]]:
    """The curves of each plot, of training and of validation data, by its title."""
    plots: dict[str, tuple[Curve, Curve]] = {}
    titles: dict[str, str] = {}
    for name in _figures(history[0].train):
        curves = _curve(history, name, "train"), _curve(history, name, "validation")
        same = next((other for other, drawn in plots.items() if drawn[0] == curves[0]), None)
        if same is None:
            plots[name], titles[name] = curves, name
        else:
            titles[same] += f" = {name}"
    return {printable(titles[name], NAME): curves for name, curves in plots.items()}


def _curve(history: Sequence[EpochRecord], name: str, split: str) -> Curve:
    """A figure of a split over the epochs that have it."""
    scores = [(record.epoch, record.train if split == "train" else record.validation) for record in history]
    figures = [(epoch, _figures(each)) for epoch, each in scores if each is not None]
    return [(epoch, each[name]) for epoch, each in figures if name in each]


def _figures(scores: Scores) -> dict[str, float]:
    """The figures of an epoch that are drawn, by title."""
    critics = {f"critic of {name}": value for name, value in scores.critics.items()}
    return {"objective": scores.loss, **scores.terms, **critics}


def _focus(axes: Axes, curves: Sequence[Curve]) -> None:
    """Leave the first epochs outside of a plot where they would squash the others, and say where they are."""
    start = math.ceil(FIRST * len(curves[0]))
    later = [value for curve in curves for _, value in curve[start:]]
    values = [value for curve in curves for _, value in curve]
    if len(curves[0]) < 3 or max(values) - min(values) <= SQUASHED * (max(later) - min(later)):
        return
    low, high = min(later), max(later)
    margin = MARGIN * (high - low) or MARGIN * max(abs(high), 1e-12)
    axes.set_ylim(low - margin, high + margin)
    (epoch, first), *_ = curves[0]
    is_above, is_below = first > high, first < low
    if is_above or is_below:
        text = f"{'↑' if is_above else '↓'} {first:,.4g} at epoch {epoch}"
        axes.text(0.0, 1.01, text, transform=axes.transAxes, fontsize=8, color="C0", ha="left", va="bottom")
        axes.set_title(axes.get_title(), pad=16)
