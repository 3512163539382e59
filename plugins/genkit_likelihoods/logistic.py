"""The discretized mixture of logistic distributions.

B data, K draws, L levels, M components of the mixture.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from genkit.interfaces import FactorizedLikelihood, Shape, per_value
from genkit_likelihoods.levels import LevelsLikelihood, Range, drawn_class


class DiscretizedLogisticLikelihood(LevelsLikelihood):
    """P(x_i = level l|z) = Σ_m π_m [σ((l + ½ − μ_m) / s_m) − σ((l − ½ − μ_m) / s_m)], with −∞ and ∞ at the ends.

    Salimans et al. 2017 (PixelCNN++, arXiv:1701.05517, equation 2), with the levels brought to −1 … 1 as there: the
    mass of a level is what a mixture of logistic distributions has between it and its neighbours, so that neighbours
    get similar probabilities and 256 levels need 3 M numbers. Each value has a mixture of its own, and given z the
    values are independent; PixelCNN++ has one mixture for the three colours of a pixel.

    The mass of an inner level is computed as σ(b) σ(−a) (1 − exp(a − b)) for the edges a < b, in logarithms: the exact
    value, without the approximation that the paper's code has for tiny ones. The decoder gives logits of π, then μ,
    then h, with s = least_scale + exp(h).

    Args:
        config: the levels, their range, and the mixture.
        shape: any shape.
    """

    class Config(FactorizedLikelihood.Config):
        """Options of the discretized logistic mixture."""

        name: Literal["discretized_logistic"] = "discretized_logistic"
        levels: Annotated[int, Field(ge=2, le=65_536, description="the number of levels of each value")] = 256
        range: Annotated[
            Range, Field(description="the values of the first and the last level; bytes are read as x / 255")
        ] = (0.0, 1.0)
        components: Annotated[int, Field(ge=1, le=100, description="the number of logistic distributions, M")] = 1
        least_scale: Annotated[
            float, Field(gt=0, lt=1, description="the least scale of a component, where the range has the length 2")
        ] = 1e-3

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape, config.levels, config.range, 3 * config.components)
        self.components, self.log_least = config.components, math.log(config.least_scale)
        self.half_step = 1 / self.last
        """Half of the step between levels, where they go from −1 to 1."""

    def _mixture(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-weights, means and logarithms of scales, (..., *shape, M) each."""
        parts = per_value(params, self.shape, self.count)
        size = self.components
        logits, means, free = (torch.stack(parts[start : start + size], -1) for start in (0, size, 2 * size))
        return logits.log_softmax(-1), means, self.log_least + F.softplus(free - self.log_least)

    def log_density(self, x: Tensor, params: Tensor) -> Tensor:
        """x (B, *shape), the decoder's output (K, B, *params_shape) -> (K, B, *shape) nats."""
        log_weights, means, log_scales = self._mixture(params)
        places = self.places(x).unsqueeze(-1)
        value = places.to(params.dtype) * 2 * self.half_step - 1
        inverse = torch.exp(-log_scales)
        below = F.logsigmoid((value + self.half_step - means) * inverse)
        above = F.logsigmoid((means - value + self.half_step) * inverse)
        is_first, is_last = places == 0, places == self.last
        inner = torch.where(is_first | is_last, 0.0, _log_one_minus_exp(math.log(2 * self.half_step) - log_scales))
        masses = torch.where(is_last, 0.0, below) + torch.where(is_first, 0.0, above) + inner
        return (log_weights + masses).logsumexp(-1)

    def mean(self, params: Tensor) -> Tensor:
        """The mean of the levels' values: the first, and a step for each edge that lies below x, Σ_l P(x > edge l)."""
        log_weights, means, log_scales = self._mixture(params)
        edges = (2 * torch.arange(self.last, device=params.device, dtype=params.dtype) + 1) * self.half_step
        total = torch.zeros_like(means[..., 0])
        for m in range(self.components):  # one after the other, as the edges of all at once would fill the memory
            beyond = (means[..., m, None] - (edges - 1)) * torch.exp(-log_scales[..., m, None])
            total = total + log_weights[..., m].exp() * torch.sigmoid(beyond).sum(-1)
        return self.values(total)

    def sample(self, params: Tensor) -> Tensor:
        """A level for each value: that next to a draw from the mixture."""
        log_weights, means, log_scales = self._mixture(params)
        chosen = drawn_class(log_weights).unsqueeze(-1)
        mean, log_scale = means.gather(-1, chosen).squeeze(-1), log_scales.gather(-1, chosen).squeeze(-1)
        uniform = torch.rand_like(mean).clamp(1e-7, 1 - 1e-7)
        drawn = mean + log_scale.exp() * torch.logit(uniform)
        return self.values(((drawn + 1) / (2 * self.half_step)).round())


def _log_one_minus_exp(log_width: Tensor) -> Tensor:
    """log(1 − exp(−w)) of log w: (...) -> (...)."""
    width = log_width.exp()
    small = log_width < math.log(1e-3)
    return torch.where(small, log_width - width / 2, torch.log(-torch.expm1(-torch.where(small, 1.0, width))))
