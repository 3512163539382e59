"""A transform that turns data upside down.

B data.
"""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from genkit import Shape, Transform, hookimpl
from torch import Tensor


class SketchTransform(Transform):
    """y = least + greatest − x, by the least and the greatest value of the training data: bright becomes dark.

    Args:
        config: the name alone; there are no options.
        shape: any shape.
    """

    limits: Tensor

    class Config(Transform.Config):
        """There are no options."""

        name: Literal["sketch"] = "sketch"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.register_buffer("limits", torch.zeros(2))

    def fit(self, blocks: Iterable[Tensor]) -> None:
        """One pass over the training data, for their least and greatest value."""
        least, greatest = math.inf, -math.inf
        for block in blocks:
            least, greatest = min(least, float(block.min())), max(greatest, float(block.max()))
        self.limits.copy_(torch.tensor([least, greatest]))

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, *shape)."""
        return self.limits.sum() - x

    def inverse(self, y: Tensor) -> Tensor:
        """(B, *shape) -> (B, *shape)."""
        return self.limits.sum() - y

    def log_det(self, x: Tensor) -> Tensor:
        """The Jacobian is −I, so it is 0 for each datum: (B,)."""
        return x.new_zeros(len(x))


@hookimpl
def components() -> list[type[Transform]]:
    """One transform."""
    return [SketchTransform]
