"""Samplers: features -> a posterior q(z|x), its draws, and the prior p(z).

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from genkit.interfaces.component import Component, Shape
from genkit.interfaces.part import Part

Support = Literal["reals", "unit_interval", "sphere", "simplex", "codes"]
"""The set in which latents lie: R^D, [0, 1]^D, the unit sphere, the probabilities of D classes, vectors of codes."""


class Latent(NamedTuple):
    """The posterior of B data, which a sampler computes from their features."""

    z: Tensor
    """(K, B, *latent_shape): K draws from q(z|x), differentiable with respect to its parameters."""
    mean: Tensor
    """(B, *latent_shape): the point that represents each datum, the same on every call; `encode` returns it."""
    kl: Tensor | None
    """KL(q(z|x) || p(z)) in nats, of the sampler's own prior; None: it has no closed form, or there is no KL.

    Exact: (B, G), a column for each of G groups of dimensions that are independent, such as the dimensions themselves.
    Per draw: (K, B, G), where one group's KL depends on the draws of another."""
    log_ratio: Tensor | None
    """(K, B): log q(z|x) - log p(z) at the draws, in nats; None where q has no density."""
    log_q: Tensor | None = None
    """(K, B): log q(z|x) at the draws, in nats; a sampler that gives it goes with every prior of its support.

    A term that reads it says so (`needs`): in training a sampler may leave it out where nothing needs it."""
    extra: Mapping[str, Tensor] = MappingProxyType({})
    """Further tensors by name, (B, ...): parameters of q(z|x) that `DensitySampler.log_q` reads; for terms of the same
    family pre-activations, indices of codes, distances."""

    @property
    def divergence(self) -> Tensor | None:
        """KL(q(z|x) || p(z)) in nats, (B, G): `kl`, its mean over draws, or the mean of `log_ratio`; None: no KL."""
        if self.kl is not None and self.kl.ndim == 2:
            return self.kl
        if len(self.z) == 0:
            return None
        if self.kl is not None:
            return self.kl.mean(0)
        return None if self.log_ratio is None else self.log_ratio.mean(0).unsqueeze(1)

    def detached(self) -> Latent:
        """The same numbers, without gradients."""
        extra = {name: value.detach() for name, value in self.extra.items()}
        kl, log_ratio, log_q = (None if value is None else value.detach() for value in self[2:5])
        return Latent(self.z.detach(), self.mean.detach(), kl, log_ratio, log_q, extra)


class Sampler(Part, ABC):
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
    """Whether there is a p(z) to draw from; without one the model needs a `prior` to generate."""
    own_prior: ClassVar[str | None] = None
    """The name of the prior that the sampler has of its own: a config that names it keeps the sampler's exact KL."""
    support: ClassVar[Support] = "reals"
    """The set in which latents lie; only priors of the same support go with the sampler."""

    def __init__(self, config: Component.Config, features: Shape | None) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Draw from q(z|x): features (B, *features) -> Latent with K = draws. No random number is drawn for 0 draws."""

    @abstractmethod
    def prior(self, n: int) -> Tensor:
        """Draw n times from p(z): (n, *latent_shape), on the device of the model."""


class DensitySampler(Sampler):
    """A sampler whose q(z|x) is a density that can be evaluated at any z, for terms over pairs and some priors.

    Args:
        config: the sampler's options.
        features: the shape of one datum's features; None: the model has no encoder, and only `prior` is used.
    """

    @abstractmethod
    def log_q(self, z: Tensor, mean: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        """Log q(z|x) in nats at any z, of posteriors with this `mean` and `extra` of their `Latent`.

        z (..., *latent_shape), mean (..., *latent_shape) and extra (..., *) -> (..., G), a column for each of G groups
        of dimensions that are independent, those of an exact `kl`. Leading dimensions broadcast: z of shape
        (K, B, 1, *latent_shape) and the posteriors of N data give (K, B, N, G).
        """


class CodeSampler(Sampler):
    """A sampler whose latents are codes: z holds the vectors of the codes, at some positions of each datum.

    q(z|x) is a point mass, so that log q(z|x) is 0, and a prior is a distribution over the indices of the codes, which
    it learns of in `attach(model)`.

    Args:
        config: the sampler's options.
        features: the shape of one datum's features; None: the model has no encoder, and only `prior` is used.
    """

    support = "codes"
    codebook_size: int
    """The number K of codes at each position; set in `__init__`."""
    positions: Shape
    """The shape of one datum's indices; set in `__init__`."""
    codebooks: int = 1
    """The number of codebooks; where there are several, the last axis of the indices goes through them."""

    @abstractmethod
    def indices(self, z: Tensor) -> Tensor:
        """The indices of codes: z (..., *latent_shape) -> (..., *positions), int64 from 0 to K - 1."""

    @abstractmethod
    def embed(self, indices: Tensor) -> Tensor:
        """The vectors of codes, which `indices` gives back: (..., *positions) -> z (..., *latent_shape)."""
