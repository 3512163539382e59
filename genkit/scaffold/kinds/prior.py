"""A prior whose dimensions are logistic distributions, with scales that are learned.

B data, D numbers of a latent.
"""

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from genkit import Prior, Shape, hookimpl, uniform
from pydantic import Field
from torch import Tensor, nn


class SketchPrior(Prior):
    """p(z) = Logistic(0, scale) in each dimension: its tails are heavier than those of a Gaussian.

    Args:
        config: the scale with which training begins.
        latent_shape: any shape.
    """

    class Config(Prior.Config):
        """Options of the prior."""

        name: Literal["sketch"] = "sketch"
        scale: Annotated[float, Field(gt=0, description="the scale of each dimension at first")] = 0.5

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.log_scale = nn.Parameter(torch.full(latent_shape, math.log(config.scale)))

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        scaled = z / self.log_scale.exp()
        each = F.logsigmoid(scaled) + F.logsigmoid(-scaled) - self.log_scale
        return each.flatten(z.ndim - self.log_scale.ndim).sum(-1)

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape), made of uniform ones by the inverse distribution function."""
        quantile = uniform(n, *self.log_scale.shape, batch=0, like=self.log_scale)
        return torch.logit(quantile, eps=1e-6) * self.log_scale.exp()


@hookimpl
def components() -> list[type[Prior]]:
    """One prior."""
    return [SketchPrior]
