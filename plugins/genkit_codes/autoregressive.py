"""An autoregressive prior over codes, which is fitted after training.

N data, n positions, K codes.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from genkit import FittedPrior, Shape, uniform
from genkit.interfaces import Whole
from genkit_codes.transformer import CausalTransformer
from genkit_codes.uniform import coded

ROWS = 1024
"""The most data whose codes are looked up at once."""


class AutoregressivePrior(FittedPrior):
    """p(z) = Π_i p(k_i | k_1, ..., k_(i-1)) of the codes k_i of a datum, row by row, by a small causal transformer.

    The second stage of van den Oord et al. 2017 (arXiv:1711.00937, section 3.3), with a transformer in place of their
    PixelCNN, as in Esser et al. 2021 (arXiv:2012.09841, section 3.2). `fit` learns all positions of a datum at once,
    each from the true codes before it (teacher forcing), by Adam with a cosine schedule; `sample` draws the codes one
    after the other. A datum has n = H·W positions, or H·W·Q of residual codes.

    Args:
        config: the size of the transformer, and how it is fitted.
        latent_shape: any shape that a sampler with codes has.
    """

    support = "codes"
    checked_with = {"partners": {"sampler": {"name": "vq", "size": 8, "latent": 4, "positions": 3}}}  # noqa: RUF012

    class Config(FittedPrior.Config):
        """Options of the autoregressive prior."""

        name: Literal["autoregressive"] = "autoregressive"
        width: Annotated[int, Field(ge=1, description="the width of the transformer")] = 64
        layers: Annotated[int, Field(ge=1, description="the number of its blocks")] = 2
        heads: Annotated[int, Field(ge=1, description="the number of its attention heads, which divides the width")] = 4
        epochs: Annotated[int, Field(ge=1, description="how many times `fit` goes through the training data")] = 10
        batch_size: Annotated[int, Field(ge=1, description="the number of data of a step of `fit`")] = 128
        lr: Annotated[float, Field(gt=0, description="the learning rate of `fit` at its start; it falls to 0")] = 2e-3

        @model_validator(mode="after")
        def _heads_divide_the_width(self) -> AutoregressivePrior.Config:
            if self.width % self.heads:
                raise PydanticCustomError("heads", "the number of heads must divide the width")
            return self

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.config, self.latent_shape = config, latent_shape

    def attach(self, model: Whole) -> None:
        """Make the transformer for the codes of the model; raises ComponentError where latents are none."""
        sampler, config = coded(model), self.config
        self.indices, self.embed, self.positions = sampler.indices, sampler.embed, sampler.positions
        count = math.prod(sampler.positions)
        network = CausalTransformer(count, sampler.codebook_size, config.width, config.layers, config.heads)
        self.network = network.to(next(iter(model.sampler.parameters())).device)

    def _codes(self, z: Tensor) -> Tensor:
        """The codes of z (N, *latent_shape) in their order: (N, n)."""
        return self.indices(z).flatten(1)

    @torch.enable_grad()
    def fit(self, z: Tensor) -> None:
        """Fit anew to the codes of z (N, *latent_shape)."""
        codes = torch.cat([self._codes(part).detach() for part in z.split(ROWS)])
        self.network.start_anew()
        parameters = [parameter.requires_grad_() for parameter in self.network.parameters()]
        optimizer = torch.optim.Adam(parameters, self.config.lr, betas=(0.9, 0.99))
        steps = self.config.epochs * math.ceil(len(codes) / self.config.batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(self.config.epochs):
            for rows in torch.randperm(len(codes), device=codes.device).split(self.config.batch_size):
                optimizer.zero_grad()
                (-self.network(codes[rows]).sum(1).mean()).backward()
                optimizer.step()
                schedule.step()
        optimizer.zero_grad()

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        leading = z.shape[: z.ndim - len(self.latent_shape)]
        nats: Tensor = self.network(self._codes(z.reshape(-1, *self.latent_shape))).sum(1)
        return nats.reshape(leading)

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        chance = uniform(n, self.network.count, batch=0, like=self.is_fitted)
        return self.embed(self.network.sample(chance).unflatten(1, self.positions))
