"""Recurrent layers over the steps of series that are there.

B data, T steps, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class MaskedLayers(nn.Module):
    """The last states of recurrent layers that read some steps of each series, in their order, and no others.

    The steps that are there are moved to the front, in their order or, for the backward direction, in the reverse one;
    what lies behind them comes too late to change a state that is read. There is no loop over steps and no packing,
    so that the layers are exported like others.

    Args:
        cell: the recurrent layer.
        features: the features of a step, F.
        hidden: the width of the state, in each direction.
        layers: the number of layers.
        directions: 1, or 2 for a backward direction too.
    """

    def __init__(
        self, cell: type[nn.LSTM] | type[nn.GRU], features: int, hidden: int, layers: int, directions: int
    ) -> None:
        super().__init__()
        widths = [features, *[directions * hidden] * (layers - 1)]
        self.layers = nn.ModuleList(
            nn.ModuleList(cell(width, hidden, batch_first=True) for _ in range(directions)) for width in widths
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, T, F), mask (B, T) -> the last states of the last layer (B, directions · hidden)."""
        there = (mask > 0).long()
        lengths = there.sum(1, keepdim=True)
        behind = lengths + (1 - there).cumsum(1) - 1
        ahead = there.cumsum(1) - 1
        places = [torch.where(there > 0, order, behind) for order in (ahead, lengths - 1 - ahead)]
        states: Sequence[Tensor] = ()
        for layer in self.layers:
            states = [_moved(x, place) for place in places[: len(layer)]]  # type: ignore[arg-type]
            states = [cell(steps)[0] for cell, steps in zip(layer, states, strict=True)]  # type: ignore[call-overload]
            x = torch.cat([_back(each, place) for each, place in zip(states, places, strict=False)], 2)
        last = (lengths - 1).clamp_min(0).unsqueeze(2)
        return torch.cat([each.gather(1, last.expand(-1, -1, each.shape[2])).squeeze(1) for each in states], 1)


def _moved(x: Tensor, places: Tensor) -> Tensor:
    """The steps of x (B, T, F) at other places (B, T)."""
    return torch.zeros_like(x).scatter(1, places.unsqueeze(2).expand_as(x), x)


def _back(x: Tensor, places: Tensor) -> Tensor:
    """The inverse of `_moved`."""
    return x.gather(1, places.unsqueeze(2).expand_as(x))
