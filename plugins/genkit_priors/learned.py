"""A mixture of Gaussians as a prior that is learned with the model.

C components, D numbers of a latent.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit.interfaces import Prior, Shape
from genkit_priors.mixtures import draws, log_density


class MixturePrior(Prior):
    """p(z) = Σ_c w_c N(mean_c, diag exp(2 log_scale_c)), all of it fitted with the weights of the model.

    It is the mixture of Gaussians of Tomczak & Welling 2018 (arXiv:1705.07120), section 4; with a linear decoder the
    model is a mixture of factor analysers. The means start as draws from N(0, 1), the scales at 1.

    Args:
        config: the number of components.
        latent_shape: any shape, which is flattened.
    """

    class Config(Prior.Config):
        """Options of the mixture."""

        name: Literal["mixture"] = "mixture"
        components: Annotated[int, Field(ge=1, description="the number of Gaussians")] = 10

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.latent_shape = latent_shape
        size = math.prod(latent_shape)
        self.logits = nn.Parameter(torch.zeros(config.components))
        self.means = nn.Parameter(torch.randn(config.components, size))
        self.log_scales = nn.Parameter(torch.zeros(config.components, size))

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        flat = z.flatten(z.ndim - len(self.latent_shape))
        return log_density(flat, self.logits.log_softmax(0), self.means, torch.exp(-self.log_scales))

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        flat = draws(n, self.logits.log_softmax(0), self.means, torch.exp(-self.log_scales))
        return flat.reshape(n, *self.latent_shape)
