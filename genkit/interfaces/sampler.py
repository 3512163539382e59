"""Samplers: features -> a posterior q(z|x), its draws, and the prior p(z).

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

from torch import Tensor, nn

from genkit.interfaces.component import Component, Shape


class Latent(NamedTuple):
    """The posterior of B data, which a sampler computes from their features."""

    z: Tensor
    """(K, B, *latent_shape): K draws from q(z|x), differentiable with respect to its parameters."""
    mean: Tensor
    """(B, *latent_shape): the point that represents each datum, the same on every call; `encode` returns it."""
    kl: Tensor | None
    """KL(q(z|x) || p(z)) in nats: (B, D), one column per dimension, where it factorizes, else (B, 1); None: no KL."""
    log_ratio: Tensor | None
    """(K, B): log q(z|x) - log p(z) at the draws, in nats; None where q has no density."""


class Sampler(Component, nn.Module, ABC):
    """features -> q(z|x), with its prior p(z). A sampler owns its heads (mean, log-variance, ...).

    Args:
        config: the sampler's options.
        features: the shape of one datum's features; None: the model has no encoder, and only `prior` is used.
    """

    kind = "sampler"
    latent_shape: Shape
    """The shape of one draw; set in `__init__`."""
    bounds: tuple[float, float] = (float("-inf"), float("inf"))
    """The least and the greatest value that `Latent.mean` can take."""
    has_prior: ClassVar[bool] = True
    """Whether there is a p(z) to draw from; without one the model cannot generate."""

    def __init__(self, config: Component.Config, features: Shape | None) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Draw from q(z|x): features (B, *features) -> Latent with K = draws. No random number is drawn for 0 draws."""

    @abstractmethod
    def prior(self, n: int) -> Tensor:
        """Draw n times from p(z): (n, *latent_shape), on the device of the model."""
