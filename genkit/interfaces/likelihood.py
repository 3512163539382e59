"""Likelihoods: the decoder's output read as p(x|z).

B data, K draws.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from genkit.interfaces.component import Component, Shape
from genkit.interfaces.part import Part


class Likelihood(Part, ABC):
    """p(x|z), read from the decoder's output for z.

    Args:
        config: the likelihood's options.
        shape: the shape of one datum.
    """

    kind = "likelihood"
    params_shape: Shape
    """The shape of the decoder's output for one datum; set in `__init__`."""
    support: tuple[float, float] = (-math.inf, math.inf)
    """The least and the greatest value of x that has a density; data outside are refused before training."""
    whole_numbers: bool = False
    """Whether whole numbers alone have a density, as counts do; other data are refused before training."""
    levels: int | None = None
    """How many values alone have a density, in equal steps from the least to the greatest of `support`.

    None: any value between may have one. Data between the levels are refused before training."""
    is_density: ClassVar[bool] = True
    """Whether `log_prob` is a log-likelihood in nats; where it is not, no figure is called an ELBO."""

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """Log p(x|z) in nats per datum: x (B, *shape), params (K, B, *params_shape) -> (K, B)."""

    @abstractmethod
    def mean(self, params: Tensor) -> Tensor:
        """The mean of p(x|z): (..., *params_shape) -> (..., *shape)."""

    @abstractmethod
    def sample(self, params: Tensor) -> Tensor:
        """A draw from p(x|z): (..., *params_shape) -> (..., *shape)."""


class FactorizedLikelihood(Likelihood):
    """p(x|z) = Π_i p(x_i|z): each value has a density of its own, so that values that are not there count nothing.

    Args:
        config: the likelihood's options.
        shape: the shape of one datum.
    """

    @abstractmethod
    def log_density(self, x: Tensor, params: Tensor) -> Tensor:
        """Log p(x_i|z) in nats per value: x (B, *shape), params (K, B, *params_shape) -> (K, B, *shape)."""

    def log_prob(self, x: Tensor, params: Tensor, **side: Tensor) -> Tensor:
        """Log p(x|z) in nats per datum: x (B, *shape), params (K, B, *params_shape) -> (K, B)."""
        return self.log_density(x, params, **side).flatten(2).sum(2)


def channel_axis(shape: Shape) -> int:
    """The axis of a datum along which what belongs to one place lies: features of (D,) and (T, F), channels of maps."""
    return 1 if len(shape) == 2 else 0


def with_channels(shape: Shape, count: int) -> Shape:
    """The shape of `count` parameters for each value of a datum: `count` times as many features or channels.

    Decoders of every kind of data give such parameters: (D,) -> (count · D,), (T, F) -> (T, count · F), (C, H, W) ->
    (count · C, H, W).
    """
    axis = channel_axis(shape)
    return tuple(size * (count if place == axis else 1) for place, size in enumerate(shape))


def per_value(params: Tensor, shape: Shape, count: int) -> tuple[Tensor, ...]:
    """The parameters of each value, one tensor per parameter.

    Args:
        params: (..., *with_channels(shape, count)).
        shape: the shape of one datum.
        count: the number of parameters of each value.

    Returns:
        `count` tensors (..., *shape).
    """
    return params.chunk(count, channel_axis(shape) - len(shape))
