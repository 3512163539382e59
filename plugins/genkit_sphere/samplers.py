"""The von Mises-Fisher sampler.

B data, K draws, D latent dimensions: the coordinates of points on the unit sphere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit import DensitySampler, Latent, Shape, normal, uniform
from genkit_sphere.polar import Polar, log_area


class VonMisesFisherSampler(DensitySampler):
    """q(z|x) = vMF(mean, κ) on the unit sphere, density ∝ exp(κ meanᵀz), and p(z) uniform on the sphere.

    It is the hyperspherical VAE of Davidson et al. 2018 (arXiv:1804.00891). A draw is z = cos θ · mean + sin θ · v: the
    angle θ comes from the inverse of its distribution function (`genkit_sphere.polar`), v is a random direction across
    the mean. So gradients are those of the expectation, without the correction for rejected draws of Davidson et al.,
    appendix D. With the mean resultant length A the KL is κ A + log C(κ) + log of the sphere's area (their equation 5).

    Args:
        config: the number of coordinates, and the least concentration.
        features: any shape, which is flattened; None: only the prior, without heads.

    Example:
        >>> sampler = VonMisesFisherSampler(VonMisesFisherSampler.Config(latent=3), features=(128,))
        >>> latent = sampler(torch.randn(5, 128), draws=4)
        >>> latent.z.shape, latent.kl.shape, bool(((latent.z.norm(dim=2) - 1).abs() < 1e-5).all())
        (torch.Size([4, 5, 3]), torch.Size([5, 1]), True)
    """

    class Config(DensitySampler.Config):
        """Options of the von Mises-Fisher sampler."""

        name: Literal["vmf"] = "vmf"
        latent: Annotated[
            int, Field(ge=2, description="the number of coordinates, D, of points on a sphere of D − 1 dimensions")
        ] = 3
        least_concentration: Annotated[
            float,
            Field(
                ge=0,
                description="the least κ; with 1, as in the authors' code, no q(z|x) is the prior, with 0 it can be",
            ),
        ] = 1.0

    support = "sphere"
    own_prior = "sphere"
    bounds = (-1.0, 1.0)
    origin: Tensor

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.latent_shape = (config.latent,)
        self.least = config.least_concentration
        self.log_areas = log_area(config.latent), log_area(config.latent - 1)
        self.polar = Polar(config.latent)
        if features is not None:
            self.mean = nn.Linear(math.prod(features), config.latent)
            self.concentration = nn.Linear(math.prod(features), 1)
        self.register_buffer("origin", torch.zeros(config.latent), persistent=False)

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Features (B, *features) -> z (K, B, D), mean (B, D), kl (B, 1), log_ratio and log_q (K, B).

        `extra` has the concentration κ (B, 1).
        """
        flat = features.flatten(1)
        mean = F.normalize(self.mean(flat), dim=1)
        kappa = F.softplus(self.concentration(flat)) + self.least
        angles = self.polar(kappa.squeeze(1))
        theta = self.polar.draw(uniform(draws, mean.shape[0], batch=1, like=mean), angles)
        across = _across(normal(draws, mean.shape[0], mean.shape[1] - 1, batch=1, like=mean), mean)
        z = torch.cos(theta).unsqueeze(2) * mean + torch.sin(theta).unsqueeze(2) * across
        area, area_across = self.log_areas
        log_z = self.polar.log_normalizer(angles)
        kl = area - area_across - log_z - angles.kappa * angles.height
        log_q = -2 * angles.kappa * torch.sin(theta / 2).square() - log_z - area_across
        return Latent(z, mean, kl.unsqueeze(1), log_q + area, log_q, {"concentration": kappa})

    def prior(self, n: int) -> Tensor:
        """N draws from the uniform distribution on the sphere: (n, D)."""
        return F.normalize(normal(n, *self.latent_shape, batch=0, like=self.origin), dim=1)

    def log_q(self, z: Tensor, mean: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        """Log vMF(z; mean, κ), (..., 1), per area of the sphere."""
        kappa = extra["concentration"]
        log_z = self.polar.log_normalizer(self.polar(kappa.flatten())).reshape(kappa.shape)
        distance = (z - mean).square().sum(-1, keepdim=True)  # 2 (1 − meanᵀz), without cancellation
        return -kappa * distance / 2 - log_z - self.log_areas[1]


def _across(noise: Tensor, mean: Tensor) -> Tensor:
    """Random directions (K, B, D) at right angles to unit vectors (B, D), of Gaussian noise (K, B, D − 1).

    A direction ξ across the first axis e is reflected by the Householder matrix of u = e ± mean, which takes e to the
    mean or its opposite. The sign is that of the longer u: so the gradients are bounded, wherever the mean points.
    """
    directions = F.pad(F.normalize(noise, dim=-1), (1, 0))
    first = mean[:, :1]
    sign = torch.where(first < 0, -1.0, 1.0)
    axis = F.pad(torch.ones_like(first), (0, mean.shape[1] - 1)) + sign * mean
    return directions - axis * (directions * axis).sum(-1, keepdim=True) / (1 + first.abs())
