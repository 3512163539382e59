"""The scale of activations: all values by one number, so that the mean squared norm is the number of dimensions.

B data, d values of a datum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from genkit import Shape, Transform


class RMSTransform(Transform):
    """y = x / s with s² = E[‖x‖²] / d, the mean square of all values of the training data, so that E[‖y‖²] = d.

    It makes penalties and learning rates of sparse autoencoders mean the same on activations of any layer, and keeps
    their directions and the ratios of their norms. Conerly et al. 2024, "Update on how we train SAEs"
    (transformer-circuits.pub, April 2024), divide by a constant so that E[‖y‖] = √d; with the mean of squares it is
    that of Lieberum et al. 2024 (Gemma Scope, arXiv:2408.05147), who take 1 where d stands here.

    Args:
        config: the name alone; there are no options.
        shape: any shape.
    """

    scale: Tensor
    """s: ()."""

    class Config(Transform.Config):
        """There are no options."""

        name: Literal["rms"] = "rms"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.size = math.prod(shape)
        self.register_buffer("scale", torch.ones(()))

    def fit(self, blocks: Iterable[Tensor]) -> None:
        """One pass in float64; data that are all 0 stay as they are."""
        total, count = 0.0, 0
        for block in blocks:
            total, count = total + float(block.double().square().sum()), count + block.numel()
        scale = math.sqrt(total / max(1, count))
        self.scale.fill_(scale if scale > 0 else 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """x / s: (B, *shape) -> (B, *shape)."""
        return x / self.scale

    def inverse(self, y: Tensor) -> Tensor:
        """s · y: (B, *shape) -> (B, *shape)."""
        return y * self.scale

    def log_det(self, x: Tensor) -> Tensor:
        """−d log s, the same for each datum: (B,)."""
        return (-self.size * self.scale.log()).expand(len(x))
