"""Likelihoods with a location and a scale: the decoder gives the location, and the scale has one of four sources.

B data, K draws.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from genkit.interfaces import FactorizedLikelihood, Shape, per_value, with_channels

WORDS = ("learned", "per_value", "decoder")


def _number_or_word(value: Any) -> Any:
    if value in WORDS or (isinstance(value, int | float) and not isinstance(value, bool) and value > 0):
        return value
    raise PydanticCustomError("scale", "must be a number above 0, or 'learned', 'per_value' or 'decoder'")


ScaleWord = Literal["learned", "per_value", "decoder"]
Scale = Annotated[
    float | ScaleWord,
    BeforeValidator(_number_or_word, json_schema_input_type=Annotated[float, Field(gt=0)] | ScaleWord),
    Field(
        description="the scale of each value: a number; learned, one for all values; per_value, one learned for each "
        "value of a datum; decoder, given by the decoder for each datum and value"
    ),
]


class ScaledLikelihood(FactorizedLikelihood, ABC):
    """p(x_i|z) = f((x_i − m_i) / s_i) / s_i, with the location m from the decoder and a scale s.

    A scale that is a number is never fitted; `learned` is one number for all values, fitted with the weights (Rybkin et
    al. 2021, arXiv:2006.13202, section 3). `per_value` has a fitted scale for each value, the same for all data, and
    `decoder` one for each value of each datum (Kingma & Welling 2014, arXiv:1312.6114, appendix C.2): the decoder's
    output has twice as many features or channels, the locations first. These two have the scale s = least_scale +
    exp(h): without a floor, a value that is the same in all data, such as a black corner of an image, would have a
    scale of 0 and an infinite density.

    Args:
        config: the scale.
        shape: any shape.
    """

    class Config(FactorizedLikelihood.Config):
        """Options of every likelihood with a scale."""

        scale: Scale = 1.0
        least_scale: Annotated[
            float,
            Field(
                gt=0,
                lt=1,
                description="the least scale where it is per_value or decoder, in the model's units: the density of "
                "values that are always the same would grow without bound",
            ),
        ] = 0.01

    log_scale: Tensor

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.shape, self.source = shape, config.scale
        self.log_least = math.log(config.least_scale)
        self.params_shape = with_channels(shape, 2) if config.scale == "decoder" else shape
        if config.scale == "learned":
            self.log_scale = nn.Parameter(torch.zeros(()))
        elif config.scale == "per_value":
            self.log_scale = nn.Parameter(torch.full(shape, math.log(1 - config.least_scale)))
        elif config.scale != "decoder":
            self.register_buffer("log_scale", torch.tensor(math.log(config.scale)), persistent=False)

    @abstractmethod
    def log_standard(self, u: Tensor) -> Tensor:
        """log f(u) but for its constant: (..., *shape) -> (..., *shape)."""

    @abstractmethod
    def log_constant(self) -> Tensor | float:
        """What is subtracted from `log_standard` to make f a density."""

    @abstractmethod
    def noise(self, like: Tensor) -> Tensor:
        """Draws from f, one for each value (..., *shape)."""

    def located(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Locations and the logarithms of scales: (..., *params_shape) -> (..., *shape), and one that goes with it."""
        if self.source == "decoder":
            location, free = per_value(params, self.shape, 2)
            return location, self._floored(free)
        return params, self._floored(self.log_scale) if self.source == "per_value" else self.log_scale

    def _floored(self, free: Tensor) -> Tensor:
        """log(least_scale + exp(h))."""
        return self.log_least + F.softplus(free - self.log_least)

    def log_density(self, x: Tensor, params: Tensor) -> Tensor:
        """x (B, *shape), params (K, B, *params_shape) -> (K, B, *shape) nats."""
        location, log_scale = self.located(params)
        return self.log_standard((x - location) * torch.exp(-log_scale)) - log_scale - self.log_constant()

    def mean(self, params: Tensor) -> Tensor:
        """The locations: f is symmetric."""
        return self.located(params)[0]

    def sample(self, params: Tensor) -> Tensor:
        """The location and noise of the scale."""
        location, log_scale = self.located(params)
        return location + torch.exp(log_scale) * self.noise(location)
