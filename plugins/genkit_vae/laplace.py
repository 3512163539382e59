"""A sampler whose posterior and prior have heavier tails than a Gaussian, and a peak.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit import DensitySampler, Latent, Shape, uniform


class LaplaceSampler(DensitySampler):
    """q(z|x) = Laplace(mean, exp(log_scale)) for each dimension, p(z) = Laplace(0, 1).

    Two linear heads read the features side by side. A draw is z = mean + exp(log_scale) · eps, with eps ~ Laplace(0, 1)
    by the inverse of its distribution function (Kingma & Welling 2014, arXiv:1312.6114, section 2.4). With the scale b
    the KL per dimension is |mean| + b exp(−|mean| / b) − 1 − log b (Gil et al. 2013,
    doi:10.1016/j.ins.2013.06.018).

    Args:
        config: the number of latent dimensions.
        features: any shape, which is flattened; None: only the prior, without heads.

    Example:
        >>> sampler = LaplaceSampler(LaplaceSampler.Config(latent=2), features=(128,))
        >>> latent = sampler(torch.zeros(5, 128), draws=3)
        >>> latent.z.shape, latent.kl.shape
        (torch.Size([3, 5, 2]), torch.Size([5, 2]))
    """

    class Config(DensitySampler.Config):
        """Options of the Laplace sampler."""

        name: Literal["laplace"] = "laplace"
        latent: Annotated[int, Field(ge=1, description="the number of latent dimensions, D")] = 2

    own_prior = "laplace"
    origin: Tensor

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.latent_shape = (config.latent,)
        if features is not None:
            self.mean = nn.Linear(math.prod(features), config.latent)
            self.log_scale = nn.Linear(math.prod(features), config.latent)
        self.register_buffer("origin", torch.zeros(config.latent), persistent=False)

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Features (B, *features) -> z (K, B, D), mean (B, D), kl (B, D), log_ratio and log_q (K, B).

        `extra` has log_scale (B, D).
        """
        flat = features.flatten(1)
        mean, log_scale = self.mean(flat), self.log_scale(flat)
        eps = standard_laplace(draws, *mean.shape, batch=1, like=mean)
        z = mean + torch.exp(log_scale) * eps
        away = mean.abs()
        kl = away + torch.exp(log_scale - away * torch.exp(-log_scale)) - 1 - log_scale
        logs = eps.abs() + log_scale
        log_q = -(logs + math.log(2)).sum(-1)
        return Latent(z, mean, kl, (z.abs() - logs).sum(-1), log_q, {"log_scale": log_scale})

    def prior(self, n: int) -> Tensor:
        """N draws from Laplace(0, 1): (n, D)."""
        return standard_laplace(n, *self.latent_shape, batch=0, like=self.origin)

    def log_q(self, z: Tensor, mean: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        """Log Laplace(z; mean, exp(log_scale)) for each dimension, (..., D)."""
        log_scale = extra["log_scale"]
        return -((z - mean).abs() * torch.exp(-log_scale) + log_scale + math.log(2))


def standard_laplace(*shape: int, batch: int, like: Tensor) -> Tensor:
    """Draws from Laplace(0, 1), of a shape with the batch dimension `batch`, in the type and on the device of `like`.

    The largest has the size of −log of the grid of uniform numbers, 16.6 in float32.
    """
    grid = torch.finfo(like.dtype).eps / 2
    centred = uniform(*shape, batch=batch, like=like) - (0.5 - grid / 2)  # symmetric, and never at an end
    return -centred.sign() * torch.log1p(-2 * centred.abs())
