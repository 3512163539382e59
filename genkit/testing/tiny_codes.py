"""A small sampler with codes, for metrics that need one; it is not registered.

B data, K draws.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genkit.interfaces import CodeSampler, Component, Latent, Shape
from genkit.parallel.draws import uniform


class TinyCodes(CodeSampler):
    """The signs of the first features: codes of two dimensions, -1 or 1 each."""

    codebook_size, latent_shape, positions = 4, (1, 2), (1,)

    def __init__(self, config: Component.Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.register_buffer("places", torch.tensor([1.0, 2.0]), persistent=False)

    places: Tensor

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Features (B, *features) -> Latent."""
        first = features.flatten(1)[:, None, :2]
        z = first.sign() + (first - first.detach())
        kl = z.new_full((z.shape[0], 1), math.log(4))
        log_ratio = kl[:, 0].expand(draws, -1)
        return Latent(z.expand(draws, *z.shape), z, kl, log_ratio, torch.zeros_like(log_ratio))

    def prior(self, n: int) -> Tensor:
        """The vectors of n uniform codes: (n, 1, 2)."""
        return self.embed((uniform(n, 1, batch=0, like=self.places) * 4).long())

    def indices(self, z: Tensor) -> Tensor:
        """(..., 1, 2) -> (..., 1)."""
        return ((z > 0) * self.places).sum(-1).long()

    def embed(self, indices: Tensor) -> Tensor:
        """(..., 1) -> (..., 1, 2)."""
        return (indices.unsqueeze(-1) // self.places.long() % 2 * 2 - 1).to(self.places)
