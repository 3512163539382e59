"""Likelihoods p(x|z): how the decoder's output is read.

B data, K draws.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit.interfaces import FactorizedLikelihood, Shape
from genkit_vae.scales import ScaledLikelihood


class BernoulliLikelihood(FactorizedLikelihood):
    """p(x|z) = Π Bernoulli(x; sigmoid(params)); params are logits.

    -log p is the binary cross-entropy summed over the datum, written as softplus(l) − x·l, which never overflows.
    For grey values in [0, 1] it is the usual objective, but not their likelihood (Loaiza-Ganem & Cunningham 2019,
    arXiv:1907.06845).

    Args:
        config: the name alone; there are no options.
        shape: any shape; values from 0 to 1.
    """

    support = (0.0, 1.0)

    class Config(FactorizedLikelihood.Config):
        """The Bernoulli likelihood has no options."""

        name: Literal["bernoulli"] = "bernoulli"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.params_shape = shape

    def log_density(self, x: Tensor, params: Tensor) -> Tensor:
        """x (B, *shape), logits (K, B, *shape) -> (K, B, *shape) nats."""
        return x * params - F.softplus(params)

    def mean(self, params: Tensor) -> Tensor:
        """The probabilities."""
        return torch.sigmoid(params)

    def sample(self, params: Tensor) -> Tensor:
        """Zeros and ones."""
        return torch.bernoulli(torch.sigmoid(params))


class GaussianLikelihood(ScaledLikelihood):
    """p(x_i|z) = N(x_i; m_i, s²), with the mean m from the decoder and the scale that `ScaledLikelihood` states.

    With a fixed scale of 1, -log p is half the squared error plus a constant.

    Args:
        config: the scale.
        shape: any shape.
    """

    class Config(ScaledLikelihood.Config):
        """Options of the Gaussian likelihood."""

        name: Literal["gaussian"] = "gaussian"

    def log_standard(self, u: Tensor) -> Tensor:
        """−u² / 2."""
        return u.square() / -2

    def log_constant(self) -> float:
        """log √(2π)."""
        return math.log(2 * math.pi) / 2

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal draws."""
        return torch.randn_like(like)
