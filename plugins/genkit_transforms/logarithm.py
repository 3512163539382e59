"""Logarithms of counts and of other values from 0.

B data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from genkit import Shape, Transform


class Log1pTransform(Transform):
    """y = log(1 + x), for counts, incomes and other values from 0 that span orders of magnitude.

    Args:
        config: the name alone; there are no options.
        shape: any shape.
    """

    domain = (0.0, math.inf)

    class Config(Transform.Config):
        """There are no options."""

        name: Literal["log1p"] = "log1p"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)

    def fit(self, blocks: Iterable[Tensor]) -> None:
        """There is nothing to fit."""

    def forward(self, x: Tensor) -> Tensor:
        """log(1 + x): (B, *shape) -> (B, *shape)."""
        return torch.log1p(x)

    def inverse(self, y: Tensor) -> Tensor:
        """exp(y) − 1: (B, *shape) -> (B, *shape)."""
        return torch.expm1(y)

    def log_det(self, x: Tensor) -> Tensor:
        """−Σ log(1 + x): (B, *shape) -> (B,)."""
        return -torch.log1p(x).flatten(1).sum(1)
