"""Likelihoods of values that lie on levels, such as the grey values of an image: each level has a probability.

B data, K draws, L levels.
"""

from __future__ import annotations

import math
from abc import ABC
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from torch import Tensor

from genkit.interfaces import FactorizedLikelihood, Shape, per_value, with_channels


def _rising(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    if ends is not None and ends[0] >= ends[1]:
        raise PydanticCustomError("range", f"the first level, {ends[0]:g}, must lie below the last, {ends[1]:g}")
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_rising)]


class LevelsLikelihood(FactorizedLikelihood, ABC):
    """p(x|z) = Π P(x_i|z) over levels in equal steps: level l has the value low + l · (high − low) / (L − 1).

    Bytes are read as x / 255, so that images of bytes have 256 levels from 0 to 1. Data between the levels are refused.

    Args:
        levels: the number of levels, L.
        ends: the values of the first and the last.
        shape: any shape.
        count: the number of parameters of each value.
    """

    def __init__(
        self, config: FactorizedLikelihood.Config, shape: Shape, levels: int, ends: tuple[float, float], count: int
    ) -> None:
        super().__init__(config, shape)
        self.shape, self.levels, self.support, self.count = shape, levels, ends, count
        self.last = levels - 1
        self.low, self.step = ends[0], (ends[1] - ends[0]) / self.last
        self.params_shape = with_channels(shape, count)

    def places(self, x: Tensor) -> Tensor:
        """The numbers of the levels, from 0: (...) -> (...), int64."""
        return ((x - self.low) / self.step).round().long().clamp(0, self.last)

    def values(self, places: Tensor) -> Tensor:
        """The values of levels, whole or between: (...) -> (...)."""
        low, high = self.support
        return (self.low + self.step * places).clamp(low, high)

    def stacked(self, params: Tensor) -> Tensor:
        """The parameters of each value along a last axis: (..., *params_shape) -> (..., *shape, count)."""
        return torch.stack(per_value(params, self.shape, self.count), -1)


class CategoricalLikelihood(LevelsLikelihood):
    """P(x_i = level l|z) = softmax(params)_l: each level has a logit of its own, and none knows of its neighbours.

    Without a range the data are the whole numbers 0 … L − 1, such as indices of classes. The mean, which
    reconstructions show, is that of the levels as numbers.

    Args:
        config: the number of levels, and their range.
        shape: any shape.
    """

    class Config(FactorizedLikelihood.Config):
        """Options of the categorical likelihood."""

        name: Literal["categorical"] = "categorical"
        levels: Annotated[int, Field(ge=2, le=65_536, description="the number of levels of each value")]
        range: Annotated[
            Range | None,
            Field(
                description="the values of the first and the last level, [0, 1] for images; null: the levels are the "
                "whole numbers from 0"
            ),
        ] = None

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape, config.levels, config.range or (0.0, config.levels - 1.0), config.levels)
        self.whole_numbers = config.range is None

    def log_density(self, x: Tensor, params: Tensor) -> Tensor:
        """x (B, *shape), logits (K, B, *params_shape) -> (K, B, *shape) nats."""
        logits = self.stacked(params)
        places = self.places(x).expand(logits.shape[:-1]).unsqueeze(-1)
        return logits.gather(-1, places).squeeze(-1) - logits.logsumexp(-1)

    def mean(self, params: Tensor) -> Tensor:
        """The mean of the levels' values."""
        logits = self.stacked(params)
        levels = torch.arange(self.last + 1, device=logits.device, dtype=logits.dtype)
        return self.values((logits.softmax(-1) * levels).sum(-1))

    def sample(self, params: Tensor) -> Tensor:
        """A level for each value."""
        return self.values(drawn_class(self.stacked(params)).to(params.dtype))


def drawn_class(logits: Tensor) -> Tensor:
    """A class drawn by its logits: (..., K) -> (...), int64. The largest logit with Gumbel noise (Gumbel 1954)."""
    uniform = torch.rand_like(logits).clamp_min(math.ulp(0.0) if logits.dtype == torch.float64 else 1e-38)
    return (logits - torch.log(-uniform.log())).argmax(-1)
