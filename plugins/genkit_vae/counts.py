"""Likelihoods of counts: whole numbers from 0, such as the molecules of each gene in a cell.

B data, K draws, D values of a datum.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit.errors import ComponentError, DataError
from genkit.interfaces import FactorizedLikelihood, Shape, Side

LARGEST = 80.0
"""The largest log-mean: float32 holds exp(80), which no count comes near."""


class CountLikelihood(FactorizedLikelihood, ABC):
    """p(x|z) = Π_g p(x_g; μ_g) over whole numbers, with the means μ from the decoder's output h.

    Where the data have the side data `library`, the total l of each datum, μ = l · softmax(h): the latents say which
    share each value has, and not how deeply a cell was sequenced (Lopez et al. 2018, Nat. Methods 15:1053, doi
    10.1038/s41592-018-0229-2, equations 1 to 6, with the library size observed). Without it, μ = exp(h), and the total
    is of the latents too. A share of zero inflation π makes p(x_g) = π_g [x_g = 0] + (1 − π_g) p(x_g; μ_g), with logits
    of π from the decoder, as there.

    Args:
        config: whether zeros are inflated.
        shape: any shape.
        library: what the side data `library` hold, one real number per datum; None: the data have none.

    Raises:
        ComponentError: `library` holds classes, or more than one number per datum.
    """

    may_read = ("library",)
    support = (0.0, math.inf)
    whole_numbers = True

    class Config(FactorizedLikelihood.Config):
        """Options of every likelihood of counts."""

        zero_inflated: Annotated[
            bool,
            Field(description="whether each value has a share of zeros beside those of the distribution itself"),
        ] = False

    def __init__(self, config: Config, shape: Shape, library: Side | None = None) -> None:
        super().__init__(config, shape)
        self.shape, self.zero_inflated = shape, config.zero_inflated
        self.params_shape = (2, *shape) if config.zero_inflated else shape
        if library is not None and (library.classes is not None or math.prod(library.shape) != 1):
            raise ComponentError("the side data 'library' are the total of each datum: one number, no classes")

    @abstractmethod
    def log_mass(self, x: Tensor, log_mean: Tensor) -> Tensor:
        """log p(x; μ) of each value without zero inflation: x (B, *shape), log μ (K, B, *shape) -> (K, B, *shape)."""

    @abstractmethod
    def draw(self, mean: Tensor) -> Tensor:
        """A draw for each mean (..., *shape), without zero inflation."""

    def _log_mean(self, params: Tensor, library: Tensor | None) -> Tensor:
        """log μ, (..., *params_shape) -> (..., *shape), with the libraries (...) or (..., 1)."""
        values = params.select(-1 - len(self.shape), 0) if self.zero_inflated else params
        if library is None:
            return values.clamp(max=LARGEST)
        shares = values.flatten(-len(self.shape)).log_softmax(-1).view_as(values)
        return shares + library.log().reshape(-1, *[1] * len(self.shape))

    def _logits(self, params: Tensor) -> Tensor:
        """The logits of the share of zeros, (..., *params_shape) -> (..., *shape)."""
        return params.select(-1 - len(self.shape), 1)

    def log_density(self, x: Tensor, params: Tensor, library: Tensor | None = None) -> Tensor:
        """x (B, *shape), the decoder's output (K, B, *params_shape), totals (B,) or (B, 1) -> (K, B, *shape) nats."""
        log_mass = self.log_mass(x, self._log_mean(params, library))
        if self.zero_inflated:
            logits = self._logits(params)
            log_mass = log_mass - F.softplus(logits)  # log (1 − π) p(x)
            log_mass = torch.where(x == 0, torch.logaddexp(log_mass, F.logsigmoid(logits)), log_mass)
        return log_mass

    def _check(self, library: Tensor | None) -> None:
        """Refuse a total below 0, which a caller may give; in training and in exported programs there is none."""
        if library is None or self.training or torch.compiler.is_compiling() or library.is_meta:
            return
        if bool((library < 0).any()):
            raise DataError(f"library: the total of a datum is 0 or more, and not {float(library.min()):g}")

    def mean(self, params: Tensor, library: Tensor | None = None) -> Tensor:
        """(1 − π) μ: (..., *params_shape), totals (...) -> (..., *shape)."""
        self._check(library)
        mean = self._log_mean(params, library).exp()
        return mean * torch.sigmoid(-self._logits(params)) if self.zero_inflated else mean

    def sample(self, params: Tensor, library: Tensor | None = None) -> Tensor:
        """Whole numbers: (..., *params_shape), totals (...) -> (..., *shape)."""
        self._check(library)
        drawn = self.draw(self._log_mean(params, library).exp())
        return drawn * torch.bernoulli(torch.sigmoid(-self._logits(params))) if self.zero_inflated else drawn


class PoissonLikelihood(CountLikelihood):
    """log p(x; μ) = x log μ − μ − log x!, with the means that `CountLikelihood` states.

    Args:
        config: whether zeros are inflated.
        shape: any shape.
        library: what the side data `library` hold; None: the data have none.
    """

    class Config(CountLikelihood.Config):
        """Options of the Poisson likelihood."""

        name: Literal["poisson"] = "poisson"

    def log_mass(self, x: Tensor, log_mean: Tensor) -> Tensor:
        """x (B, *shape), log μ (K, B, *shape) -> (K, B, *shape)."""
        return x * log_mean - log_mean.exp() - torch.lgamma(x + 1)

    def draw(self, mean: Tensor) -> Tensor:
        """A draw for each mean (..., *shape)."""
        return torch.poisson(mean)


class NegativeBinomialLikelihood(CountLikelihood):
    """Counts with mean μ and variance μ + μ² / θ, with an inverse dispersion θ per value, fitted with the weights.

    log p(x; μ, θ) = log Γ(x + θ) − log Γ(θ) − log x! + θ log(θ / (θ + μ)) + x log(μ / (θ + μ)): a Poisson whose rate is
    drawn from a gamma distribution of shape θ and mean μ. The means are those that `CountLikelihood` states.

    Args:
        config: whether zeros are inflated.
        shape: any shape.
        library: what the side data `library` hold; None: the data have none.
    """

    class Config(CountLikelihood.Config):
        """Options of the negative binomial likelihood."""

        name: Literal["negative_binomial"] = "negative_binomial"

    def __init__(self, config: Config, shape: Shape, library: Side | None = None) -> None:
        super().__init__(config, shape, library)
        self.log_theta = nn.Parameter(torch.zeros(shape))

    def log_mass(self, x: Tensor, log_mean: Tensor) -> Tensor:
        """x (B, *shape), log μ (K, B, *shape) -> (K, B, *shape)."""
        log_theta, theta = self.log_theta, self.log_theta.exp()
        log_total = torch.logaddexp(log_theta, log_mean)
        ways = torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)
        return ways + theta * (log_theta - log_total) + x * (log_mean - log_total)

    def draw(self, mean: Tensor) -> Tensor:
        """A draw for each mean (..., *shape)."""
        gamma = torch.distributions.Gamma(self.log_theta.exp().expand_as(mean), torch.ones_like(mean))
        return torch.poisson(gamma.sample() * mean * (-self.log_theta).exp())
