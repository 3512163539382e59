"""A sampler whose posterior and prior are Laplace distributions.

B data, K draws, D latent dimensions.
"""

import math
from typing import Annotated, Literal

import torch
from genkit import Latent, Sampler, Shape, hookimpl, uniform
from pydantic import Field
from torch import Tensor, nn


class SketchSampler(Sampler):
    """q(z|x) = Laplace(mean, scale), p(z) = Laplace(0, 1), independent in each dimension.

    Two linear heads read the features: the mean, and the logarithm of the scale b. The KL per
    dimension is |mean| + b · exp(−|mean| / b) − 1 − log b.

    Args:
        config: the number of latent dimensions.
        features: any shape, which is flattened; None: only the prior, without heads.
    """

    class Config(Sampler.Config):
        """Options of the sampler."""

        name: Literal["sketch"] = "sketch"
        latent: Annotated[int, Field(ge=1, description="the number of latent dimensions, D")] = 2

    origin: Tensor

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.latent_shape = (config.latent,)
        if features is not None:
            self.mean = nn.Linear(math.prod(features), config.latent)
            self.log_scale = nn.Linear(math.prod(features), config.latent)
        self.register_buffer("origin", torch.zeros(config.latent), persistent=False)  # it gives prior() its device

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Features (B, *features) -> z (K, B, D), mean (B, D), kl (B, D), log_ratio (K, B)."""
        flat = features.flatten(1)
        mean, log_scale = self.mean(flat), self.log_scale(flat)
        scale, size = log_scale.exp(), mean.abs()
        eps = _laplace(uniform(draws, *mean.shape, batch=1, like=mean))
        z = mean + scale * eps
        kl = size + scale * torch.exp(-size / scale) - 1 - log_scale
        # log q - log p: the two densities share the constant -D log 2
        log_ratio = (z.abs() - eps.abs() - log_scale).sum(-1)
        return Latent(z, mean, kl, log_ratio)

    def prior(self, n: int) -> Tensor:
        """N draws from p(z): (n, D)."""
        return _laplace(uniform(n, *self.latent_shape, batch=0, like=self.origin))


def _laplace(quantile: Tensor) -> Tensor:
    """Draws from Laplace(0, 1), made of uniform draws from 0 to 1 by the inverse distribution function."""
    centred = (quantile - 0.5).clamp_min(-0.4999999)  # a quantile of 0 would give minus infinity
    return -centred.sign() * torch.log1p(-2 * centred.abs())


@hookimpl
def components() -> list[type[Sampler]]:
    """One sampler."""
    return [SketchSampler]
