"""Charts of a page: lines over a common axis, as the page's script draws them, and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from genkit.text import printable

POINTS = 1000
"""The most points of a line that are drawn."""
ROWS = 100
"""The most rows of a chart's table."""
DIGITS = 6
"""The significant digits of a value in a page."""

Values = Sequence[float | None]
"""The values of a line; None where it has none."""


@dataclass(frozen=True)
class Line:
    """A line of a chart."""

    name: str
    y: Values
    """A value for each place on the chart's axis."""
    style: int | None = None
    """The number of its colour and dashes, the same for what is the same in several charts; None: its place."""


@dataclass(frozen=True)
class Chart:
    """Lines over a common axis."""

    title: str
    lines: Sequence[Line]
    x: Sequence[float]
    """The places on the axis, rising."""
    x_label: str = "epoch"
    unit: str = ""
    """The unit of the values."""
    sentence: str = ""
    """The meaning of the values."""

    def drawn(self) -> dict[str, Any]:
        """What the script draws, as plain values."""
        chart = self.thinned(POINTS)
        lines = [
            {
                "name": printable(line.name),
                "y": [_rounded(y) for y in line.y],
                "style": place if line.style is None else line.style,
            }
            for place, line in enumerate(chart.lines)
        ]
        return {"x": [*chart.x], "x_label": printable(chart.x_label), "lines": lines}

    def rows(self) -> list[tuple[str, ...]]:
        """The rows of the table: the place on the axis, and the value of each line there."""
        chart = self.thinned(ROWS)
        return [(f"{x:g}", *(number(line.y[place]) for line in chart.lines)) for place, x in enumerate(chart.x)]

    def thinned(self, most: int) -> Chart:
        """The chart with at most so many places, in equal steps, the first and the last among them."""
        count = len(self.x)
        if count <= most:
            return self
        places = [round(step * (count - 1) / (most - 1)) for step in range(most)]
        lines = [replace(line, y=[line.y[place] for place in places]) for line in self.lines]
        return replace(self, x=[self.x[place] for place in places], lines=lines)


def number(value: float | None, form: str = ",.4g") -> str:
    """A number as it is shown; a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else format(value, form).replace("-", "−")


def _rounded(value: float | None) -> float | None:
    """A number with fewer digits; None for one that is not finite, which JSON does not have."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")
