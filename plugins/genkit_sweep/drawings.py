"""The drawings of a sweep's page: the rate-distortion plane, and parallel coordinates, as places on a canvas."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from genkit.pages.charts import number
from genkit_sweep.results import Figure, Group, Statistic, Summary, brief, shown

COLOURS = 8
"""The number of colours of a page."""
STEEP = 10.0
"""The ratio of the ends of an axis from which it is logarithmic."""
LABEL = 14
"""The most characters of a label on an axis."""
ROOM = 0.06
"""The part of an axis that is left free at each end."""


class Box(NamedTuple):
    """The part of a canvas inside the axes, in pixels."""

    left: float
    top: float
    right: float
    bottom: float


class Tick(NamedTuple):
    """A place on an axis with its label."""

    at: float
    text: str


class Scale:
    """The places of numbers along an axis.

    Args:
        values: the numbers.
        start: the place of the least, in pixels.
        end: the place of the greatest.
        log: whether the scale is logarithmic.
    """

    def __init__(self, values: Sequence[float], start: float, end: float, log: bool = False) -> None:
        self.log = log
        low, high = self._on(min(values)), self._on(max(values))
        room = (high - low) * ROOM or abs(low) * ROOM or 1.0
        self.low, self.high, self.start, self.end = low - room, high + room, start, end

    def _on(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def at(self, value: float) -> float:
        """The place of a number."""
        part = (self._on(value) - self.low) / (self.high - self.low)
        return round(self.start + part * (self.end - self.start), 2)

    def ticks(self) -> list[Tick]:
        """Round numbers along the axis."""
        from matplotlib.ticker import LogLocator, MaxNLocator

        if self.log:
            low, high = 10**self.low, 10**self.high
            values = LogLocator(subs=(1.0,) if high / low > 20 else (1.0, 2.0, 5.0)).tick_values(low, high)
        else:
            low, high = self.low, self.high
            values = MaxNLocator(6).tick_values(low, high)
        return [Tick(self.at(value), number(float(value))) for value in values if low <= value <= high]


class Dot(NamedTuple):
    """A group, or one of its runs, in the rate-distortion plane."""

    x: float
    y: float
    group: int
    colour: int
    text: str
    bars: tuple[float, float, float, float] | None
    """The ends of its standard deviations: left, right, upper, lower; None: it is a run, or the only one."""
    is_mean: bool


class Diagonal(NamedTuple):
    """A line of equal ELBO."""

    x1: float
    y1: float
    x2: float
    y2: float
    text: str


class Plane(NamedTuple):
    """The rate-distortion plane (Alemi et al. 2018, arXiv:1711.00464): the KL against the reconstruction."""

    box: Box
    x: Sequence[Tick]
    y: Sequence[Tick]
    dots: Sequence[Dot]
    diagonals: Sequence[Diagonal]
    legend: Sequence[tuple[int, str]]
    """The colours, with the values of the first option that they stand for."""
    split: str


def plane(summary: Summary, box: Box) -> Plane | None:
    """The rate-distortion plane of a sweep; None: no run has both figures."""
    rate, distortion = summary.figure("kl"), summary.figure("reconstruction")
    groups = [
        (place, group)
        for place, group in enumerate(summary.groups)
        if rate is not None and distortion is not None and rate.values(group.results)
    ]
    if not groups or rate is None or distortion is None:
        return None
    rates = [value for _, group in groups for value in rate.values(group.results)]
    distortions = [value for _, group in groups for value in distortion.values(group.results)]
    x, y = Scale(rates, box.left, box.right), Scale(distortions, box.bottom, box.top)
    colours, key = colours_of(summary)
    dots = []
    for place, group in groups:
        colour = colours[group.options[key]] if key else 0
        pairs = zip(rate.values(group.results), distortion.values(group.results), strict=True)
        for result, (r, d) in zip(group.results, pairs, strict=True):
            text = f"{brief(result.options)}: KL {r:.2f}, reconstruction {d:.2f}"
            dots.append(Dot(x.at(r), y.at(d), place, colour, text, None, len(group.results) == 1))
        if len(group.results) > 1:
            dots.append(_mean(place, group, colour, (rate, distortion), (x, y)))
    legend = (
        [(colour, f"{key.rpartition('.')[2]} = {shown(value)}") for value, colour in colours.items()] if key else []
    )
    diagonals = _diagonals(x, y, box)
    return Plane(box, x.ticks(), y.ticks(), dots, diagonals, legend[:COLOURS], rate.split)


def colours_of(summary: Summary) -> tuple[dict[str, int], str]:
    """The colour of each value of the first option that varies, and its key; empty where there are too many values."""
    for key in summary.keys:
        values = list(dict.fromkeys(group.options[key] for group in summary.groups))
        if 1 < len(values) <= COLOURS:
            return {value: place for place, value in enumerate(sorted(values, key=_order))}, key
    return {}, ""


def _order(value: str) -> tuple[int, float, str]:
    number_or_none = real(value)
    return (1, 0.0, value) if number_or_none is None else (0, number_or_none, value)


def _mean(place: int, group: Group, colour: int, figures: tuple[Figure, Figure], scales: tuple[Scale, Scale]) -> Dot:
    (rate, distortion), (x, y) = figures, scales
    r, d = Statistic.of(rate.values(group.results)), Statistic.of(distortion.values(group.results))
    assert r is not None and d is not None and r.std is not None and d.std is not None  # noqa: PT018
    bars = (x.at(r.mean - r.std), x.at(r.mean + r.std), y.at(d.mean + d.std), y.at(d.mean - d.std))
    text = f"{brief(group.options)}: KL {r.mean:.2f} ± {r.std:.2f}, reconstruction {d.mean:.2f} ± {d.std:.2f}"
    return Dot(x.at(r.mean), y.at(d.mean), place, colour, text, bars, True)


def _diagonals(x: Scale, y: Scale, box: Box) -> list[Diagonal]:
    """Lines of equal ELBO = −(KL + reconstruction) through the box."""
    from matplotlib.ticker import MaxNLocator

    low, high = x.low + y.low, x.high + y.high
    lines = []
    for total in map(float, MaxNLocator(6).tick_values(low, high)):
        first, last = max(x.low, total - y.high), min(x.high, total - y.low)
        if last > first:
            ends = (x.at(first), y.at(total - first), x.at(last), y.at(total - last))
            lines.append(Diagonal(*ends, number(-total or 0.0)))
    return lines


class Coordinate(NamedTuple):
    """An axis of parallel coordinates."""

    name: str
    x: float
    ticks: Sequence[Tick]


class Way(NamedTuple):
    """A group through all axes."""

    points: str
    places: Sequence[float | None]
    """Its place on each axis; None: it has no figure there."""
    group: int
    tier: int
    """0 for the best group, 1 for the other ones of the best third, then 2 and 3."""
    text: str


class Parallel(NamedTuple):
    """Parallel coordinates: the options of each group, then its figures."""

    box: Box
    axes: Sequence[Coordinate]
    ways: Sequence[Way]


def parallel(summary: Summary, box: Box, log: Sequence[str] = ()) -> Parallel | None:
    """The parallel coordinates of a sweep; None: there are no two groups.

    Args:
        summary: the results.
        box: the part of the canvas inside.
        log: the options on a logarithmic scale.
    """
    if len(summary.groups) < 2 or not summary.keys:
        return None
    first = summary.figure(summary.ranking.key)
    figures = [figure for figure in (summary.figure("kl"), summary.figure("reconstruction"), first) if figure]
    figures = list(dict.fromkeys(figures))
    columns: list[tuple[str, list[Tick], list[float | None]]] = []
    for key, name in zip(summary.keys, summary.names, strict=True):
        columns.append((name, *_option([group.options[key] for group in summary.groups], box, key in log)))
    for figure in figures:
        columns.append((f"{figure.name} {figure.about.arrow}".strip(), *_figure(summary, figure, box)))
    step = (box.right - box.left) / max(1, len(columns) - 1)
    axes = [
        Coordinate(name, round(box.left + step * place, 2), ticks) for place, (name, ticks, _) in enumerate(columns)
    ]
    ways = []
    for place, group in enumerate(summary.groups):
        at = [each[place] for _, _, each in columns]
        points = " ".join(f"{axis.x:g},{y:g}" for axis, y in zip(axes, at, strict=True) if y is not None)
        tier = 0 if place == 0 else 1 + min(2, 3 * place // len(summary.groups))
        ways.append(Way(points, at, place, tier if summary.ranks else 2, text_of(summary, group)))
    return Parallel(box, axes, ways)


def text_of(summary: Summary, group: Group) -> str:
    """A group with its main figures on one line."""
    means = [(figure, Statistic.of(figure.values(group.results))) for figure in summary.main[:4]]
    texts = [
        f"{figure.split} {figure.name} {signed(figure.text(mean.mean))}" for figure, mean in means if mean is not None
    ]
    return f"{brief(group.options) or 'all runs'}: {', '.join(texts)}"


def signed(text: str) -> str:
    """Numbers as text, with a minus sign in place of a hyphen."""
    return text.replace("-", "−")


def real(value: str) -> float | None:
    """The number that a value of an option is; None: it is none."""
    try:
        as_float = float(value)
    except ValueError:
        return None
    return as_float if math.isfinite(as_float) else None


def _option(values: list[str], box: Box, log: bool) -> tuple[list[Tick], list[float | None]]:
    """The ticks of an option's axis, and the places of its values: numbers to scale, all else in even steps."""
    numbers = [real(value) for value in values]
    there = [each for each in numbers if each is not None]
    distinct = sorted(set(values), key=_order)
    if len(there) < len(values) or len(distinct) < 2:
        step = (box.bottom - box.top) / (len(distinct) + 1)
        places = {value: round(box.bottom - step * (place + 1), 2) for place, value in enumerate(distinct)}
        return [Tick(at, _cut(value)) for value, at in places.items()], [places[value] for value in values]
    scale = Scale(there, box.bottom, box.top, min(there) > 0 and (log or max(there) / min(there) >= STEEP))
    ticks = [Tick(scale.at(float(value)), shown(value)) for value in distinct] if len(distinct) < 8 else scale.ticks()
    return ticks, [scale.at(each) for each in there]


def _cut(value: str) -> str:
    return value if len(value) <= LABEL else value[: LABEL - 1] + "…"


def _figure(summary: Summary, figure: Figure, box: Box) -> tuple[list[Tick], list[float | None]]:
    """The ticks of a figure's axis, and the places of the means of each group."""
    means = [Statistic.of(figure.values(group.results)) for group in summary.groups]
    values = [mean.mean for mean in means if mean is not None]
    scale = Scale(values, box.bottom, box.top)
    return scale.ticks(), [None if mean is None else scale.at(mean.mean) for mean in means]
