"""Planar flows.

D numbers of a latent, T transformations; `*` stands for any leading dimensions, which broadcast.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit_flows.flow import Flow

NARROWEST = 0.95
"""How far ûᵀw may go below 0."""
HALVINGS = 40
"""How often the interval in which an inverse lies is halved."""


class PlanarFlow(Flow):
    """T times z' = z + û tanh(wᵀz + b), with log|det| = log(1 + ûᵀw (1 − tanh²(wᵀz + b))).

    Rezende & Mohamed 2015 (arXiv:1505.05770), equations 10 to 12; the context holds u, w and b of each transformation,
    and û = u + (softplus(wᵀu) − c − wᵀu) w / ‖w‖² makes it a bijection (appendix A.1). There c is 1; here it is 0.95,
    so that no direction is made narrower than by a factor of 20, and float32 can invert it. The inverse has one
    unknown, wᵀz, which is found by halving an interval, with a step of Newton's method for the last digits and the
    gradient.

    Args:
        size: D.
        transforms: T.
    """

    def __init__(self, size: int, transforms: int) -> None:
        super().__init__()
        self.size, self.transforms = size, transforms
        self.context_size = transforms * (2 * size + 1)

    def forward(self, noise: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """noise (*, D), context (*, T (2D + 1)) -> z (*, D) and log|det dz/dnoise| (*)."""
        z, total = noise, noise.new_zeros(())
        for u, w, b in self._parameters_of(context):
            height = torch.tanh((w * z).sum(-1, keepdim=True) + b)
            slope = 1 + (u * w).sum(-1, keepdim=True) * (1 - height.square())
            z, total = z + u * height, total + slope.squeeze(-1).log()
        return z, total

    def back(self, z: Tensor, context: Tensor | None) -> Tensor:
        """z (*, D), context (*, T (2D + 1)) -> noise (*, D)."""
        for u, w, b in reversed([*self._parameters_of(context)]):
            place = _inverse((w * z).sum(-1, keepdim=True), (u * w).sum(-1, keepdim=True), b)
            z = z - u * torch.tanh(place + b)
        return z

    @torch.no_grad()
    def start(self, context: Tensor) -> None:
        """Set a context (T (2D + 1)) to directions w at random, with u and b of 0; w = 0 is no direction."""
        context.zero_()
        for one in context.chunk(self.transforms):
            one[self.size : 2 * self.size].normal_()

    def _parameters_of(self, context: Tensor | None) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """û (*, D), w (*, D) and b (*, 1) of each transformation."""
        assert context is not None
        for one in context.chunk(self.transforms, -1):
            u, w, b = one.split([self.size, self.size, 1], -1)
            product = (u * w).sum(-1, keepdim=True)
            moved = F.softplus(product) - NARROWEST - product
            yield u + moved * w / w.square().sum(-1, keepdim=True), w, b


def _inverse(y: Tensor, factor: Tensor, b: Tensor) -> Tensor:
    """The s of y = s + factor · tanh(s + b), for factor > −1."""
    with torch.no_grad():
        low, high = y - factor.abs(), y + factor.abs()
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = middle + factor * torch.tanh(middle + b) < y
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    height = torch.tanh(low + b)
    return low - (low + factor * height - y) / (1 + factor * (1 - height.square()))
