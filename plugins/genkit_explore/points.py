"""Points: some data of a split in a model's latent space, or, without an encoder, draws from the prior with their data.

N data, D latent dimensions (all of `latent_shape`, flat).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from genkit import Model, Split
from genkit.data.steps import blank
from genkit.data.units import as_float
from genkit.interfaces import Side
from genkit.interfaces.component import MASK
from genkit.model.side import completed, own_side
from genkit.pictures.latent_space import from_prior


class Points(NamedTuple):
    """Data with their points in latent space."""

    z: Tensor
    """(N, D): posterior means, or draws from the prior."""
    x: Tensor
    """(N, *shape): the data in their own units; NaN at the steps of series that are not there."""
    side: Mapping[str, Tensor]
    """The side data by name, (N, ...), labels among them."""
    are_drawn: bool
    """Whether the model has no encoder, and they are draws from the prior."""

    def classes(self, sides: Mapping[str, Side]) -> dict[str, tuple[list[str], list[int]]]:
        """The side data that are one class per datum, by name: the names of the classes, and the classes (N,)."""
        groups = {}
        for name, values in self.side.items():
            side = sides.get(name, Side())
            if values.ndim == 1 and values.dtype == torch.int64:
                count = side.classes or int(values.max()) + 1
                groups[name] = (list(side.names or map(str, range(count))), values.tolist())
        return groups


def points_of(model: Model, split: Split, count: int) -> Points:
    """Points for a picture: data from all over a split, or as many draws where the model has no encoder."""
    return _drawn(model, count) if model.encoder is None else _encoded(model, split, count)


def _encoded(model: Model, split: Split, count: int) -> Points:
    total = len(split.x)
    some = split.rows(torch.linspace(0, total - 1, min(count, total)).long())  # those beside each other are often alike
    z = model.encode(some).flatten(1).cpu()
    x = as_float(some.x[:]).cpu()
    side = {name: values.cpu() for name, values in some.named().items()}
    return Points(z, blank(x, side[MASK]) if model.schema.is_padded else x, side, are_drawn=False)


def _drawn(model: Model, count: int) -> Points:
    side = completed(model, model.decoder_inputs, {}, count, turns=True)
    z = from_prior(model, count)
    x = model.decode(z, **own_side(model.decoder_inputs, side))
    return Points(z.flatten(1).cpu(), x.cpu(), {name: each.cpu() for name, each in side.items()}, are_drawn=True)
