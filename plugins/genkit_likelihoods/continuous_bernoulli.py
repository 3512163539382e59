"""The likelihood of values between 0 and 1 that need not be 0 or 1.

B data, K draws.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from genkit.interfaces import FactorizedLikelihood, Shape

SMALL = 0.25
"""The size of half a logit below which series stand for quotients of two numbers near 0."""
TINY = 1e-6


class ContinuousBernoulliLikelihood(FactorizedLikelihood):
    """p(x_i|z) = C(λ_i) λ_i^x_i (1 − λ_i)^(1 − x_i) on [0, 1], with the logits η of λ from the decoder.

    It is the density of which the Bernoulli likelihood of grey values lacks the constant (Loaiza-Ganem & Cunningham
    2019, arXiv:1907.06845, equations 5 and 6). In terms of the logits, 1 / C(λ) = (1 − λ) (exp η − 1) / η, so that
    log p = η (x − ½) − log(sinh(η/2) / (η/2)): λ = ½ is no special case, and a series takes the place of the quotient
    around it. The mean is not λ: it is ½ + (coth(η/2) − 2/η) / 2, nearer to ½.

    Args:
        config: the name alone; there are no options.
        shape: any shape; values from 0 to 1.
    """

    support = (0.0, 1.0)

    class Config(FactorizedLikelihood.Config):
        """The continuous Bernoulli likelihood has no options."""

        name: Literal["continuous_bernoulli"] = "continuous_bernoulli"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.params_shape = shape

    def log_density(self, x: Tensor, params: Tensor) -> Tensor:
        """x (B, *shape), logits (K, B, *shape) -> (K, B, *shape) nats."""
        return params * (x - 0.5) - _log_sinh_quotient(params / 2)

    def mean(self, params: Tensor) -> Tensor:
        """The means, which are no probabilities."""
        half = params / 2
        wide = half.abs().clamp_min(SMALL)
        outside = (1 / torch.tanh(wide) - 1 / wide) * half.sign()
        series = half / 3 - half**3 / 45 + 2 * half**5 / 945 - half**7 / 4725
        return 0.5 + torch.where(half.abs() < SMALL, series, outside) / 2

    def sample(self, params: Tensor) -> Tensor:
        """Values from 0 to 1: the quantiles of uniform draws."""
        size = params.abs().clamp_min(TINY)
        below = torch.log1p(torch.rand_like(params) * torch.expm1(-size)) / -size  # of the logit −|η|
        return torch.where(params > 0, 1 - below, below).clamp(0, 1)


def _log_sinh_quotient(half: Tensor) -> Tensor:
    """log(sinh(h) / h): (...) -> (...)."""
    wide = half.abs().clamp_min(SMALL)
    outside = wide + torch.log1p(-torch.exp(-2 * wide)) - torch.log(2 * wide)
    square = half.clamp(-SMALL, SMALL).square()
    series = square * (1 / 6 - square * (1 / 180 - square * (1 / 2835 - square / 37800)))
    return torch.where(half.abs() < SMALL, series, outside)
