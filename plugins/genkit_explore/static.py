"""The page in one file: data decoded on a grid over the two main latents, between which the page interpolates.

G places along each side of the grid, D latent dimensions, V numbers of a datum as the page reads it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genkit import DataError
from genkit_explore import planes
from genkit_explore.explorer import Explorer
from genkit_explore.latents import on_support
from genkit_explore.page import page
from genkit_explore.requests import MoveRequest
from genkit_explore.views import ImageView, base64_of

MOST, LEAST = 31, 7
"""The largest and the smallest G."""
ROOM = 2_100_000
"""The largest number of bytes of the decoded data; in a page they take a third more."""
POINTS = 600
"""The largest number of data in the picture; their thumbnails have at most 28 · 28 · 3 bytes each."""


def static_page(explorer: Explorer) -> str:
    """The HTML of the whole page; raises DataError where a datum is too large for it."""
    space = explorer.space()
    first, second = planes.main_latents(explorer.latents)
    name = f"{first}:{second}"
    grid, view = decoded_grid(explorer, first, second)
    chosen = grid["input"]
    space |= {
        "planes": [name],
        "main": [first, second],
        "sliders": [each for each in space["sliders"] if each["index"] in (first, second)],
        "inputs": {key: choice for key, choice in space["inputs"].items() if key == chosen},
        "plane": explorer.seen_in(MoveRequest(plane=name)),
        "move": explorer.move(MoveRequest(plane=name, datum=explorer.middle())),
        "view": view,
        "grid": grid,
        "thumbnails": base64_of(explorer.view.thumbnails(explorer.points.x)[0]),
    }
    return page(space, whole=True)


def decoded_grid(explorer: Explorer, first: int, second: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The decoded data of a grid, and the description of their view.

    The other latents are as of the datum in the middle. Where the page lets choose a class, there is a grid for each.
    """
    chosen, classes = _classes(explorer)
    row = explorer.middle()
    size = len(explorer.view.packed(explorer.points.x[:1]))
    side = min(MOST, int((ROOM / (size * classes)) ** 0.5))
    if side < LEAST and classes > 1:
        chosen, classes = None, 1
        side = min(MOST, int((ROOM / size) ** 0.5))
    reduce = side < LEAST and isinstance(explorer.view, ImageView)
    if side < LEAST and not reduce:
        raise DataError(f"--static: a datum takes {size:,} bytes, too many for a grid in one file; leave --static out")
    z, places = grid_points(explorer, first, second, max(side, LEAST), row)
    own = explorer.side_of(row)
    x = [explorer.decode(z, {**explorer.beside(row, own), **({chosen: k} if chosen else {})}) for k in range(classes)]
    whole, view = torch.cat(x), explorer.view.description()
    if reduce and isinstance(explorer.view, ImageView):
        whole = explorer.view.reduced(whole, int(max(explorer.model.shape) * (ROOM / (size * LEAST**2)) ** 0.5))
        view = ImageView(tuple(whole.shape[1:]), explorer.view.limits).description()
    low, high = places[0].tolist(), places[-1].tolist()
    return {
        "side": max(side, LEAST),
        "low": low,
        "high": high,
        "input": chosen,
        "classes": classes,
        "first": first,
        "second": second,
        "data": base64_of(explorer.view.packed(whole)),
    }, view


def _classes(explorer: Explorer) -> tuple[str | None, int]:
    """The first of the side data that are one class to choose, and the number of classes; None, 1: there is none."""
    for name, choice in explorer.inputs.items():
        if choice["kind"] == "class":
            return name, len(choice["names"])
    return None, 1


def grid_points(explorer: Explorer, first: int, second: int, side: int, row: int) -> tuple[Tensor, Tensor]:
    """The points (G · G, D) of a grid, row by row from the lowest, and the places (G, 2) along its sides."""
    ends = explorer.latents.low, explorer.latents.high
    places = torch.stack([torch.linspace(float(ends[0][i]), float(ends[1][i]), side) for i in (first, second)], 1)
    z = explorer.points.z[row].repeat(side * side, 1)
    z[:, first] = places[:, 0].repeat(side)
    if second != first:
        z[:, second] = places[:, 1].repeat_interleave(side)
    return on_support(explorer.model, z), places
