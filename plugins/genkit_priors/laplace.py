"""The standard Laplace prior.

D latent dimensions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from genkit import uniform
from genkit.interfaces import Prior, Shape


class LaplacePrior(Prior):
    """p(z) = Π_d Laplace(z_d; 0, 1), with a peak at 0 and heavy tails: most latents of a datum are small, a few large.

    A sampler that has it of its own keeps its exact KL.

    Args:
        config: the name alone; there are no options.
        latent_shape: any shape.
    """

    class Config(Prior.Config):
        """The standard Laplace prior has no options."""

        name: Literal["laplace"] = "laplace"

    origin: Tensor

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.register_buffer("origin", torch.zeros(latent_shape), persistent=False)

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        return -(z.flatten(z.ndim - self.origin.ndim).abs() + math.log(2)).sum(-1)

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape), a random sign times an exponential number."""
        smallest = torch.finfo(self.origin.dtype).eps / 4
        size, side = (uniform(n, *self.origin.shape, batch=0, like=self.origin) for _ in range(2))
        return torch.where(side < 0.5, -1.0, 1.0) * -torch.log(size.clamp_min(smallest))
