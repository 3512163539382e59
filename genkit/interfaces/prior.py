"""Priors: the p(z) of a model, where it is not the sampler's own.

K draws, B data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from genkit.interfaces.component import Component, Shape
from genkit.interfaces.part import Part
from genkit.interfaces.sampler import Support


class Prior(Part, ABC):
    """p(z). It goes with every sampler that gives `Latent.log_q` and has the same support.

    Args:
        config: the prior's options.
        latent_shape: the shape of one datum's z.
    """

    kind = "prior"
    support: ClassVar[Support] = "reals"
    """The set in which its z lie."""

    def __init__(self, config: Component.Config, latent_shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Log p(z) in nats: (..., *latent_shape) -> (...)."""

    @abstractmethod
    def sample(self, n: int) -> Tensor:
        """Draw n times from p(z): (n, *latent_shape), on the device of the model."""


class FittedPrior(Prior, ABC):
    """A prior that is fitted to the latents of the training data once training is done.

    Until then the model has the sampler's own prior, if it has one. With a fitted prior even an autoencoder generates.

    Args:
        config: the prior's options.
        latent_shape: the shape of one datum's z.
    """

    is_fitted: Tensor
    """(): 1 once `fit` is done, else 0; it is kept with the weights."""

    def __init__(self, config: Component.Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.register_buffer("is_fitted", torch.zeros(()))

    @abstractmethod
    def fit(self, z: Tensor) -> None:
        """Fit the prior to latents of the training data (N, *latent_shape), draws where there is a posterior.

        Its numbers go into buffers or parameters whose shapes do not depend on the data. Random numbers come from
        torch's or numpy's random state, which the run's seed sets.
        """
