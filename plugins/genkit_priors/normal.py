"""The standard normal prior.

D latent dimensions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from genkit import normal
from genkit.interfaces import Prior, Shape


class NormalPrior(Prior):
    """p(z) = N(0, I). A sampler that has it of its own keeps its exact KL.

    Args:
        config: the name alone; there are no options.
        latent_shape: any shape.
    """

    class Config(Prior.Config):
        """The standard normal prior has no options."""

        name: Literal["normal"] = "normal"

    origin: Tensor

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.register_buffer("origin", torch.zeros(latent_shape), persistent=False)

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        flat = z.flatten(z.ndim - self.origin.ndim)
        return -(flat.square() + math.log(2 * math.pi)).sum(-1) / 2

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        return normal(n, *self.origin.shape, batch=0, like=self.origin)
