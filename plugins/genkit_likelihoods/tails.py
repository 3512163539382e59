"""Likelihoods with heavier tails than a Gaussian: a value far off costs less, and pulls less.

B data, K draws.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from genkit.interfaces import Shape
from genkit_vae import ScaledLikelihood

LEAST = 2.0
"""Degrees of freedom that are learned stay above it, so that a variance exists."""


class LaplaceLikelihood(ScaledLikelihood):
    """p(x_i|z) = exp(−|x_i − m_i| / s) / (2 s), with the location m from the decoder.

    With a scale of 1, −log p is the absolute error plus a constant. The scale is that which `ScaledLikelihood` states;
    the standard deviation is √2 · s.

    Args:
        config: the scale.
        shape: any shape.
    """

    class Config(ScaledLikelihood.Config):
        """Options of the Laplace likelihood."""

        name: Literal["laplace"] = "laplace"

    def log_standard(self, u: Tensor) -> Tensor:
        """−|u|."""
        return -u.abs()

    def log_constant(self) -> float:
        """log 2."""
        return math.log(2)

    def noise(self, like: Tensor) -> Tensor:
        """Standard Laplace draws: the difference of two exponential ones."""
        return torch.empty_like(like).exponential_() - torch.empty_like(like).exponential_()


def _number_or_learned(value: Any) -> Any:
    if value == "learned" or (isinstance(value, int | float) and not isinstance(value, bool) and value > 1):
        return value
    raise PydanticCustomError("degrees", "must be a number above 1, as there is no mean at 1 or below, or 'learned'")


class StudentTLikelihood(ScaledLikelihood):
    """p(x_i|z) = St(x_i; m_i, s, ν): Γ((ν+1)/2) / (Γ(ν/2) √(νπ) s) · (1 + ((x_i − m_i) / s)² / ν)^(−(ν+1)/2).

    The scale is that which `ScaledLikelihood` states; the standard deviation is s · √(ν / (ν − 2)) for ν > 2. Learned
    degrees of freedom are one number above 2 for all values, fitted with the weights, from 5 on.

    Args:
        config: the scale and the degrees of freedom.
        shape: any shape.
    """

    class Config(ScaledLikelihood.Config):
        """Options of the Student-t likelihood."""

        name: Literal["student_t"] = "student_t"
        degrees: Annotated[
            float | Literal["learned"],
            BeforeValidator(
                _number_or_learned, json_schema_input_type=Annotated[float, Field(gt=1)] | Literal["learned"]
            ),
            Field(
                description="the degrees of freedom: a number above 1, where few let values lie far off; learned, one "
                "number above 2, fitted with the weights"
            ),
        ] = 5.0

    log_degrees: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.least = LEAST if config.degrees == "learned" else 0.0
        if config.degrees == "learned":
            self.log_degrees = nn.Parameter(torch.tensor(math.log(3)))
        else:
            self.register_buffer("log_degrees", torch.tensor(math.log(config.degrees)), persistent=False)

    @property
    def degrees(self) -> Tensor:
        """ν, ()."""
        return self.least + self.log_degrees.exp()

    def log_standard(self, u: Tensor) -> Tensor:
        """−(ν + 1) / 2 · log(1 + u² / ν)."""
        return (self.degrees + 1) / -2 * torch.log1p((u * self.degrees.rsqrt()).square())

    def log_constant(self) -> Tensor:
        """log (Γ(ν/2) √(νπ) / Γ((ν+1)/2))."""
        half = self.degrees / 2
        return torch.lgamma(half) - torch.lgamma(half + 0.5) + (2 * math.pi * half).log() / 2

    def noise(self, like: Tensor) -> Tensor:
        """Standard draws: a normal one, divided by the root of a chi-squared one over ν."""
        half = (self.degrees / 2).detach().expand_as(like)
        chi_squared = torch.distributions.Gamma(half, half, validate_args=False).sample()  # over ν
        return torch.randn_like(like) * chi_squared.rsqrt()
