"""The uniform prior on the sphere.

D coordinates of a point.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit import normal
from genkit.errors import ComponentError
from genkit.interfaces import Prior, Shape
from genkit_sphere.polar import log_area


class SpherePrior(Prior):
    """p(z) uniform on the unit sphere, −log of its area everywhere (Davidson et al. 2018, arXiv:1804.00891, eq. 5).

    A sampler that has it of its own keeps its exact KL. Latents with several axes are points on several spheres, each
    along the last axis.

    Args:
        config: the name alone; there are no options.
        latent_shape: at least two coordinates along the last axis.

    Raises:
        ComponentError: a point has fewer than two coordinates.
    """

    class Config(Prior.Config):
        """The uniform prior on the sphere has no options."""

        name: Literal["sphere"] = "sphere"

    support = "sphere"
    checked_with: ClassVar[dict[str, Any]] = {"partners": {"sampler": {"name": "vmf", "latent": 3}}}
    origin: Tensor

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        if not latent_shape or latent_shape[-1] < 2:
            raise ComponentError(
                f"prior 'sphere': points of a sphere have at least 2 coordinates, and latents have the shape "
                f"{latent_shape}; let sampler.latent be 2 or more"
            )
        self.register_buffer("origin", torch.zeros(latent_shape), persistent=False)
        spheres = self.origin[..., 0].numel()
        self.log_density = -spheres * log_area(latent_shape[-1])

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats per area of the sphere."""
        return z.new_full(z.shape[: z.ndim - self.origin.ndim], self.log_density)

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        return F.normalize(normal(n, *self.origin.shape, batch=0, like=self.origin), dim=-1)
