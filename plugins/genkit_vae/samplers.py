"""Samplers with draws by reparameterization.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit import DensitySampler, Latent, Shape, normal
from genkit.interfaces import Whole


class GaussianSampler(DensitySampler):
    """q(z|x) = N(mean, diag exp(log_var)) or N(mean, L Lᵀ), p(z) = N(0, I).

    Linear heads read the features side by side. A draw is z = mean + exp(log_var / 2) · eps with eps ~ N(0, I), so
    that gradients reach the heads; the KL per dimension is ½ (mean² + exp(log_var) − 1 − log_var).
    Kingma & Welling 2014 (arXiv:1312.6114), section 2.4 and appendix B.

    With a full covariance a third head gives what is below the diagonal of L, whose diagonal is exp(log_var / 2), and
    z = mean + L eps. The KL, ½ (|mean|² + |L|² − D) − Σ log L_dd, is that of all dimensions together, one group.
    Kingma & Welling 2019 (arXiv:1906.02691), section 2.5.1.

    Args:
        config: the number of latent dimensions, and the form of the covariance.
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
        covariance: Annotated[
            Literal["diagonal", "full"],
            Field(description="the form of the covariance of q(z|x): independent dimensions, or any covariances"),
        ] = "diagonal"

    own_prior = "normal"
    origin: Tensor
    places: Tensor

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.latent_shape = (config.latent,)
        if features is not None:
            self.mean = nn.Linear(math.prod(features), config.latent)
            self.log_var = nn.Linear(math.prod(features), config.latent)
        self.register_buffer("origin", torch.zeros(config.latent), persistent=False)
        self.needs_log_q = True
        self.is_full = config.covariance == "full" and config.latent > 1
        if self.is_full:
            self._add_triangle(config.latent, features)

    def _add_triangle(self, size: int, features: Shape | None) -> None:
        """Add the head of the D (D − 1) / 2 numbers below the diagonal, and their places in a matrix (D · D,).

        The D numbers of the diagonal lie behind them, and a 0 behind these.
        """
        count = size * (size - 1) // 2
        places = torch.full((size, size), count + size)
        rows, columns = torch.tril_indices(size, size, -1)
        places[rows, columns] = torch.arange(count)
        diagonal = torch.arange(size)
        places[diagonal, diagonal] = count + diagonal
        self.register_buffer("places", places.flatten(), persistent=False)
        if features is not None:
            self.lower = nn.Linear(math.prod(features), count)

    def attach(self, model: Whole) -> None:
        """Compute log q in training only where a prior or a term needs it."""
        self.needs_log_q = model.prior is not None or any("log_q" in loss.needs for loss in model.losses.values())

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Features (B, *features) -> z (K, B, D), mean (B, D), kl (B, D), log_ratio and log_q (K, B).

        In training log_q is None where nothing needs it. `extra` has log_var (B, D). With a full covariance kl is
        (B, 1), and `extra` has the factor L (B, D, D) too.
        """
        flat = features.flatten(1)
        mean, log_var = self.mean(flat), self.log_var(flat)
        eps = normal(draws, *mean.shape, batch=1, like=mean)
        if self.is_full:
            return self._correlated(mean, log_var, self.lower(flat), eps)
        z = mean + torch.exp(log_var / 2) * eps
        kl = (mean.square() + log_var.exp() - 1 - log_var) / 2
        # log q - log p: the two densities share the constant -D/2 log 2π
        squares = z.square()
        log_ratio = (squares - eps.square() - log_var).sum(-1) / 2
        if self.training and not self.needs_log_q:
            return Latent(z, mean, kl, log_ratio, extra={"log_var": log_var})
        log_q = torch.sub(log_ratio - mean.shape[1] * math.log(2 * math.pi) / 2, squares.sum(-1), alpha=0.5)
        return Latent(z, mean, kl, log_ratio, log_q, {"log_var": log_var})

    def _correlated(self, mean: Tensor, log_var: Tensor, lower: Tensor, eps: Tensor) -> Latent:
        """The posteriors with a full covariance: lower (B, D (D − 1) / 2), eps (K, B, D)."""
        size = mean.shape[1]
        numbers = F.pad(torch.cat([lower, torch.exp(log_var / 2)], 1), (0, 1))
        factor = numbers.index_select(1, self.places).unflatten(1, (size, size))
        z = mean + torch.einsum("bij,kbj->kbi", factor, eps)
        squares, logs = factor.square().sum((1, 2)), log_var.sum(1)
        kl = (mean.square().sum(1) + squares - size - logs) / 2
        log_q = -(eps.square().sum(2) + logs + size * math.log(2 * math.pi)) / 2
        log_ratio = (z.square() - eps.square()).sum(2) / 2 - logs / 2
        return Latent(z, mean, kl.unsqueeze(1), log_ratio, log_q, {"log_var": log_var, "factor": factor})

    def prior(self, n: int) -> Tensor:
        """N draws from N(0, I): (n, D)."""
        return normal(n, *self.latent_shape, batch=0, like=self.origin)

    def log_q(self, z: Tensor, mean: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        """Log N(z; mean, exp(log_var)) for each dimension, (..., D); with a full covariance of all, (..., 1)."""
        if self.is_full:
            factor = extra["factor"]
            identity = torch.eye(mean.shape[-1], dtype=mean.dtype, device=mean.device).expand_as(factor)
            inverse = torch.linalg.solve_triangular(factor, identity, upper=False)
            squares = torch.einsum("...ij,...j->...i", inverse, z - mean).square()
            return -(squares + extra["log_var"] + math.log(2 * math.pi)).sum(-1, keepdim=True) / 2
        log_var = extra["log_var"]
        return -((z - mean).square() * torch.exp(-log_var) + log_var + math.log(2 * math.pi)) / 2
