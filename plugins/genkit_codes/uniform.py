"""The uniform prior over codes.

K codes at each position.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from genkit import CodeSampler, Prior, Shape
from genkit.errors import ComponentError
from genkit.interfaces import Whole


class UniformPrior(Prior):
    """p(z) = 1 / K at each position. A sampler that has it of its own keeps its exact KL.

    Args:
        config: the name alone; there are no options.
        latent_shape: any shape.
    """

    support = "codes"
    checked_with = {"partners": {"sampler": {"name": "vq", "size": 8, "latent": 4}}}  # noqa: RUF012

    class Config(Prior.Config):
        """The uniform prior has no options."""

        name: Literal["uniform"] = "uniform"

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.latent_shape = latent_shape

    def attach(self, model: Whole) -> None:
        """Learn of the codes; raises ComponentError where latents are none."""
        sampler = coded(model)
        self.draw, self.nats = sampler.prior, math.prod(sampler.positions) * math.log(sampler.codebook_size)

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        return torch.full_like(z.flatten(z.ndim - len(self.latent_shape)).sum(-1), -self.nats)

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        return self.draw(n)


def coded(model: Whole) -> CodeSampler:
    """The sampler of a model; raises ComponentError where it has no codes."""
    sampler = model.sampler
    if not isinstance(sampler, CodeSampler):
        raise ComponentError("it is a distribution over codes: choose a sampler with codes (a genkit.CodeSampler)")
    return sampler
