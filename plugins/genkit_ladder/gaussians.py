"""Gaussians with independent dimensions, by mean and log-variance: their densities, KL and product.

D dimensions.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """N(mean, diag exp(log_var)); shapes broadcast."""

    mean: Tensor
    """(..., D)"""
    log_var: Tensor
    """(..., D)"""

    def at(self, eps: Tensor) -> Tensor:
        """The draws of standard normal noise (..., D)."""
        return self.mean + torch.exp(self.log_var / 2) * eps

    def log_prob(self, z: Tensor) -> Tensor:
        """The log-density in nats, (..., D) -> (...)."""
        squares = (z - self.mean).square() * torch.exp(-self.log_var)
        return -(squares + self.log_var + math.log(2 * math.pi)).sum(-1) / 2

    def kl(self, other: Gaussian) -> Tensor:
        """KL(self || other) in nats, (...)."""
        difference = self.log_var - other.log_var
        squares = (self.mean - other.mean).square() * torch.exp(-other.log_var)
        return (squares + difference.exp() - 1 - difference).sum(-1) / 2

    def times(self, other: Gaussian) -> Gaussian:
        """The product of the two densities, normalized: the precisions add up (Sønderby et al. 2016, section 2)."""
        share = torch.sigmoid(other.log_var - self.log_var)  # of the precision
        mean = share * self.mean + (1 - share) * other.mean
        return Gaussian(mean, -torch.logaddexp(-self.log_var, -other.log_var))
