"""Penalties that keep most units of a code quiet.

B data, D units.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Forward, Loss, Shape, batch_mean

SMALLEST = 1e-6
"""The least distance of mean activations from 0 and 1, where the logarithms are infinite."""


class Sparsity(Loss):
    """Σ_j KL(Bernoulli(ρ) || Bernoulli(ρ̂_j)), with ρ̂_j the mean activation of unit j over the batch.

    Ng 2011, "Sparse autoencoder" (CS294A lecture notes), section 3; the weight is its β. It is a statistic of the
    batch: a mean over few data is noisy, so use batches of some hundred. It needs activations from 0 to 1.

    Args:
        config: the weight and ρ.
        shape: any shape.
    """

    needs = ("encoder", "unit_interval")
    over = "batch"

    class Config(Loss.Config):
        """Options of the sparsity term."""

        name: Literal["sparsity"] = "sparsity"
        rho: Annotated[float, Field(gt=0, lt=1, description="the mean activation that each unit is pulled to")] = 0.05

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.rho = config.rho

    def forward(self, forward: Forward) -> Tensor:
        """() nats, summed over the units."""
        assert forward.latent is not None
        mean = batch_mean(forward.latent.mean.flatten(1)).clamp(SMALLEST, 1 - SMALLEST)
        rho = self.rho
        return (rho * torch.log(rho / mean) + (1 - rho) * torch.log((1 - rho) / (1 - mean))).sum()


class L1(Loss):
    """Σ_j |z_j|: the sum of the absolute activations of a datum, which is small if most are 0.

    A decoder with larger weights escapes it by a smaller code, unless its atoms keep their norm (`unit_norm` of the
    decoder `mlp`).

    Args:
        config: the weight.
        shape: any shape.
    """

    class Config(Loss.Config):
        """Options of the L1 term."""

        name: Literal["l1"] = "l1"

    def forward(self, forward: Forward) -> Tensor:
        """(B,): the sum of each datum."""
        assert forward.latent is not None
        return forward.latent.mean.flatten(1).abs().sum(1)
