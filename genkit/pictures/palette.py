"""Colours that readers tell apart, those who see few colours too."""

from __future__ import annotations

from typing import Any

COLOURS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
"""Ten colours in an order in which the first few are the farthest apart (Petroff 2021, arXiv:2107.02270, table 1)."""


def colours(count: int) -> list[Any]:
    """A colour for each of `count` classes; of more than ten, an even scale from dark to bright, which has an order."""
    from matplotlib import colormaps

    if count <= len(COLOURS):
        return list(COLOURS[:count])
    scale = colormaps["viridis"]
    return [scale(0.95 * place / (count - 1)) for place in range(count)]
