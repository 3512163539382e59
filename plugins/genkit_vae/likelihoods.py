"""Likelihoods p(x|z): how the decoder's output is read.

B data, K draws.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from genkit.interfaces import FactorizedLikelihood, Shape


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


def _number_or_learned(value: Any) -> Any:
    if value == "learned" or (isinstance(value, int | float) and not isinstance(value, bool) and value > 0):
        return value
    raise PydanticCustomError("scale", "must be a number above 0, or 'learned'")


class GaussianLikelihood(FactorizedLikelihood):
    """p(x|z) = N(x; params, scale² I), with a fixed or a learned scale.

    A learned scale is one number for all values, fitted with the weights (Rybkin et al. 2021, arXiv:2006.13202,
    section 3). With a fixed scale of 1, -log p is half the squared error plus a constant.

    Args:
        config: the scale.
        shape: any shape.
    """

    class Config(FactorizedLikelihood.Config):
        """Options of the Gaussian likelihood."""

        name: Literal["gaussian"] = "gaussian"
        scale: Annotated[
            float | Literal["learned"],
            BeforeValidator(
                _number_or_learned, json_schema_input_type=Annotated[float, Field(gt=0)] | Literal["learned"]
            ),
            Field(description="the standard deviation of each value: a number, or learned"),
        ] = 1.0

    log_scale: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.params_shape = shape
        if config.scale == "learned":
            self.log_scale = nn.Parameter(torch.zeros(()))
        else:
            self.register_buffer("log_scale", torch.tensor(math.log(config.scale)), persistent=False)

    def log_density(self, x: Tensor, params: Tensor) -> Tensor:
        """x (B, *shape), means (K, B, *shape) -> (K, B, *shape) nats."""
        squares = ((x - params) * torch.exp(-self.log_scale)).square()
        return squares / -2 - self.log_scale - math.log(2 * math.pi) / 2

    def mean(self, params: Tensor) -> Tensor:
        """The params themselves."""
        return params

    def sample(self, params: Tensor) -> Tensor:
        """The mean and Gaussian noise."""
        return params + torch.exp(self.log_scale) * torch.randn_like(params)
