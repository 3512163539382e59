"""Fitting a network to latents after training.

N data, B data of a batch, D numbers of a latent.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit.errors import DataError
from genkit.interfaces import FittedPrior, Shape

FEWEST = 16
"""The least number of latents to which a network is fitted."""
NARROWEST = 1e-3
"""The least scale of a number of the latents, as a share of their greatest."""
LARGEST = 10.0
"""The greatest norm of the gradients of a step."""


class NetworkPrior(FittedPrior):
    """A prior whose network is fitted to the latents of the training data by Adam, after they are standardized.

    The rate falls to 0 along a cosine. Training leaves the network alone.

    Args:
        config: the steps.
        latent_shape: any shape, which is flattened.
    """

    class Config(FittedPrior.Config):
        """Options of the fit."""

        steps: Annotated[int, Field(ge=1, description="how many steps of Adam fit the network")] = 1000
        batch_size: Annotated[int, Field(ge=1, description="how many latents each step takes")] = 256
        lr: Annotated[float, Field(gt=0, description="the rate of the first step, which falls to 0")] = 2e-3

    config: Config
    network: nn.Module
    shift: Tensor
    scale: Tensor

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.config, self.latent_shape, self.size = config, latent_shape, math.prod(latent_shape)
        self.register_buffer("shift", torch.zeros(self.size))
        self.register_buffer("scale", torch.ones(self.size))
        self.network = self.new_network().requires_grad_(False)

    def standardized(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (..., D) with mean 0 and deviation 1 over the training data."""
        flat: Tensor = (z.flatten(z.ndim - len(self.latent_shape)) - self.shift) / self.scale
        return flat

    def in_units(self, values: Tensor) -> Tensor:
        """The inverse for N latents: (N, D) -> (N, *latent_shape)."""
        return (values * self.scale + self.shift).reshape(len(values), *self.latent_shape)

    def fit(self, z: Tensor) -> None:
        """Fit a new network to z (N, *latent_shape); raises DataError where there are too few data."""
        if len(z) < FEWEST:
            raise DataError(
                f"{len(z)} training data are too few to fit a network to their latents: at least {FEWEST}; choose "
                "prior: gmm"
            )
        flat = z.flatten(1)
        scale = flat.std(0)
        self.shift.copy_(flat.mean(0))
        self.scale.copy_(scale.clamp_min(max(NARROWEST * float(scale.max()), torch.finfo(scale.dtype).tiny)))
        self.network.load_state_dict(self.new_network().state_dict())
        self.network.requires_grad_(True)
        with torch.enable_grad():
            self._descend(list(self.network.parameters()), self.standardized(z))
        self.network.requires_grad_(False)

    def _descend(self, parameters: list[nn.Parameter], values: Tensor) -> None:
        optimizer = torch.optim.Adam(parameters, self.config.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.config.steps)
        for _ in range(self.config.steps):
            rows = torch.randint(len(values), (self.config.batch_size,)).to(values.device)
            optimizer.zero_grad()
            self.loss(values[rows]).backward()
            nn.utils.clip_grad_norm_(parameters, LARGEST)
            optimizer.step()
            schedule.step()

    @abstractmethod
    def new_network(self) -> nn.Module:
        """A network before its fit."""

    @abstractmethod
    def loss(self, values: Tensor) -> Tensor:
        """What the fit minimises over standardized latents (B, D): ()."""
