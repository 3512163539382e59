"""Samplers with draws by reparameterization.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit import DensitySampler, Latent, Shape, normal
from genkit.interfaces import Whole


class GaussianSampler(DensitySampler):
    """q(z|x) = N(mean, diag exp(log_var)), p(z) = N(0, I).

    Two linear heads read the features side by side. A draw is z = mean + exp(log_var / 2) · eps with eps ~ N(0, I), so
    that gradients reach both heads; the KL per dimension is ½ (mean² + exp(log_var) − 1 − log_var).
    Kingma & Welling 2014 (arXiv:1312.6114), section 2.4 and appendix B.

    Args:
        config: the number of latent dimensions.
        features: any shape, which is flattened; None: only the prior, without heads.

    Example:
        >>> sampler = GaussianSampler(GaussianSampler.Config(latent=2), features=(128,))
        >>> latent = sampler(torch.zeros(5, 128), draws=3)
        >>> latent.z.shape, latent.kl.shape
        (torch.Size([3, 5, 2]), torch.Size([5, 2]))
    """

    class Config(DensitySampler.Config):
        """Options of the Gaussian sampler."""

        name: Literal["gaussian"] = "gaussian"
        latent: Annotated[int, Field(ge=1, description="the number of latent dimensions, D")] = 2

    own_prior = "normal"
    origin: Tensor

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.latent_shape = (config.latent,)
        if features is not None:
            self.mean = nn.Linear(math.prod(features), config.latent)
            self.log_var = nn.Linear(math.prod(features), config.latent)
        self.register_buffer("origin", torch.zeros(config.latent), persistent=False)
        self.needs_log_q = True

    def attach(self, model: Whole) -> None:
        """Compute log q in training only where a prior or a term needs it."""
        self.needs_log_q = model.prior is not None or any("log_q" in loss.needs for loss in model.losses.values())

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Features (B, *features) -> z (K, B, D), mean (B, D), kl (B, D), log_ratio and log_q (K, B).

        In training log_q is None where nothing needs it. `extra` has log_var (B, D).
        """
        flat = features.flatten(1)
        mean, log_var = self.mean(flat), self.log_var(flat)
        eps = normal(draws, *mean.shape, batch=1, like=mean)
        z = mean + torch.exp(log_var / 2) * eps
        kl = (mean.square() + log_var.exp() - 1 - log_var) / 2
        # log q - log p: the two densities share the constant -D/2 log 2π
        squares = z.square()
        log_ratio = (squares - eps.square() - log_var).sum(-1) / 2
        if self.training and not self.needs_log_q:
            return Latent(z, mean, kl, log_ratio, extra={"log_var": log_var})
        log_q = torch.sub(log_ratio - mean.shape[1] * math.log(2 * math.pi) / 2, squares.sum(-1), alpha=0.5)
        return Latent(z, mean, kl, log_ratio, log_q, {"log_var": log_var})

    def prior(self, n: int) -> Tensor:
        """N draws from N(0, I): (n, D)."""
        return normal(n, *self.latent_shape, batch=0, like=self.origin)

    def log_q(self, z: Tensor, mean: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        """Log N(z; mean, exp(log_var)) for each dimension, (..., D)."""
        log_var = extra["log_var"]
        return -((z - mean).square() * torch.exp(-log_var) + log_var + math.log(2 * math.pi)) / 2
