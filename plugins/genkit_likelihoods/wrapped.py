"""Likelihoods that change another: more zeros than it has, and values that are missing.

B data, K draws.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from genkit.errors import ComponentError
from genkit.interfaces import ChosenByName, FactorizedLikelihood, Likelihood, Shape, Side, channel_axis
from genkit.model.building import build_part


def _inner(who: str, config: Likelihood.Config, shape: Shape) -> FactorizedLikelihood:
    """The likelihood inside of another; raises ComponentError where it has no density per value, or reads side data."""
    component = config.component
    if not issubclass(component, FactorizedLikelihood):
        raise ComponentError(
            f"likelihood '{config.name}' has one density for a whole datum, and {who} needs one per value (a "
            "genkit.FactorizedLikelihood)"
        )
    if component.reads:
        raise ComponentError(
            f"likelihood '{config.name}' reads {', '.join(component.reads)}, which {who} cannot hand on to it"
        )
    likelihood: FactorizedLikelihood = build_part(config, shape)
    return likelihood


class ZeroInflatedLikelihood(FactorizedLikelihood):
    """A share of zeros beside those of another likelihood: π_i [x_i = 0] + (1 − π_i) p(x_i|z).

    The decoder gives the logits of π first, then what the other likelihood reads (Lambert 1992, Technometrics 34:1;
    Lopez et al. 2018, Nat. Methods 15:1053). Where that has probabilities, as of counts and levels, a zero may come
    from either. Where it has a density, a zero comes from the share alone, as the density has none to give to a single
    point, and figures in nats are of densities at other values: rain, spending. Side data that the other likelihood may
    read, such as `library`, are not handed on: `poisson` and `negative_binomial` have `zero_inflated` of their own.

    Args:
        config: the other likelihood.
        shape: any shape that the other likelihood takes.
    """

    class Config(FactorizedLikelihood.Config):
        """Options of zero inflation."""

        name: Literal["zero_inflated"] = "zero_inflated"
        of: Annotated[
            Likelihood.Config,
            ChosenByName("likelihood"),
            Field(description="the likelihood of all values but the share of zeros: any with a density per value"),
        ]

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.of = _inner("likelihood 'zero_inflated'", config.of, shape)
        low, high = self.of.support
        if not low <= 0 <= high:
            raise ComponentError(
                f"likelihood '{config.of.name}' takes values from {low:g} to {high:g}, among which is no zero"
            )
        axis, inner = channel_axis(shape), self.of.params_shape
        if [*inner[:axis], *inner[axis + 1 :]] != [*shape[:axis], *shape[axis + 1 :]]:
            raise ComponentError(
                f"the parameters of likelihood '{config.of.name}' are {inner} for data {shape}; it takes those with "
                "more features or channels, as genkit.interfaces.with_channels gives them"
            )
        self.widths = [shape[axis], inner[axis]]
        self.params_shape = (*shape[:axis], sum(self.widths), *shape[axis + 1 :])
        self.back = axis - len(shape)
        self.support = self.of.support
        self.whole_numbers, self.levels, self.is_mass = self.of.whole_numbers, self.of.levels, _has_masses(self.of)

    def _apart(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of π (..., *shape), and the other likelihood's parameters."""
        logits, rest = params.split(self.widths, self.back)
        return logits, rest

    def log_density(self, x: Tensor, params: Tensor) -> Tensor:
        """x (B, *shape), the decoder's output (K, B, *params_shape) -> (K, B, *shape) nats."""
        logits, rest = self._apart(params)
        others = self.of.log_density(x, rest) - F.softplus(logits)  # log (1 − π) p(x)
        share = F.logsigmoid(logits)
        return torch.where(x == 0, torch.logaddexp(others, share) if self.is_mass else share, others)

    def mean(self, params: Tensor) -> Tensor:
        """(1 − π) times the mean of the other."""
        logits, rest = self._apart(params)
        return torch.sigmoid(-logits) * self.of.mean(rest)

    def sample(self, params: Tensor) -> Tensor:
        """Draws from the other, or zeros."""
        logits, rest = self._apart(params)
        drawn = self.of.sample(rest)
        return torch.where(torch.rand_like(logits) < torch.sigmoid(logits), 0.0, drawn)


def _has_masses(likelihood: Likelihood) -> bool:
    """Whether single values have probabilities."""
    return likelihood.whole_numbers or likelihood.levels is not None


class MaskedLikelihood(FactorizedLikelihood):
    """Another likelihood, of the values that are there: side data `mask`, of the shape of a datum, hold 1 for these.

    A value that is missing counts 0 nats, whatever x holds at its place, as for values that are missing at random given
    z (Nazábal et al. 2020, arXiv:1807.03653, equation 2). Draws and means have all values. Steps of series that are not
    there, a mask (T,), need no such likelihood, nor do the marks of tables, which `mixed` reads.

    Args:
        config: the other likelihood.
        shape: any shape that the other likelihood takes.
        mask: what the side data `mask` hold: numbers of the shape of a datum.
    """

    reads = ("mask",)

    class Config(FactorizedLikelihood.Config):
        """Options of masked values."""

        name: Literal["masked"] = "masked"
        of: Annotated[
            Likelihood.Config,
            ChosenByName("likelihood"),
            Field(description="the likelihood of the values that are there: any with a density per value"),
        ]

    def __init__(self, config: Config, shape: Shape, mask: Side) -> None:
        super().__init__(config, shape)
        if mask.shape != shape or mask.classes is not None:
            raise ComponentError(
                f"the side data 'mask' are {mask.shape} per datum, and it needs one number for each value, {shape}"
            )
        self.of = _inner("likelihood 'masked'", config.of, shape)
        self.params_shape, self.support = self.of.params_shape, self.of.support
        self.whole_numbers, self.levels = self.of.whole_numbers, self.of.levels

    def log_density(self, x: Tensor, params: Tensor, mask: Tensor | None = None) -> Tensor:
        """x and mask (B, *shape), the decoder's output (K, B, *params_shape) -> (K, B, *shape) nats."""
        density = self.of.log_density(x, params)
        return density if mask is None else torch.where(mask > 0, density, 0.0)

    def mean(self, params: Tensor, mask: Tensor | None = None) -> Tensor:
        """The mean of the other, of all values."""
        return self.of.mean(params)

    def sample(self, params: Tensor, mask: Tensor | None = None) -> Tensor:
        """Draws from the other, of all values."""
        return self.of.sample(params)
