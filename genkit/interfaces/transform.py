"""Transforms: data in units that suit a model, and back.

B data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from torch import Tensor, nn

from genkit.interfaces.component import Component, Shape


class Transform(Component, nn.Module, ABC):
    """x (B, *shape), in the units of the data -> y (B, *shape), in those in which the model is trained.

    What `fit` learns is kept in buffers, which are stored with the weights.

    Args:
        config: the transform's options.
        shape: the shape of one datum.
    """

    kind = "transform"
    invertible: ClassVar[bool] = True
    """Whether `inverse` gives x back; a model that is trained on others encodes, and gives no data."""
    has_log_det: ClassVar[bool] = True
    """Whether there is a `log_det`; without one, densities are in units of y, and no models are ranked by them."""
    domain: ClassVar[tuple[float, float]] = (float("-inf"), float("inf"))
    """The least and the greatest value of x that it takes; data outside are refused."""

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def fit(self, blocks: Iterable[Tensor]) -> None:
        """Set the buffers by the training data, in blocks (B, *shape) that can be gone through more than once."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """The data in the model's units: x (B, *shape) -> y (B, *shape)."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """The data in their own units: y (B, *shape) -> x (B, *shape); never called where it is not `invertible`."""

    @abstractmethod
    def log_det(self, x: Tensor) -> Tensor:
        """log|det ∂y/∂x| in nats: x (B, *shape) -> (B,); never called where there is none (`has_log_det`)."""


class Augmentation(Transform, ABC):
    """Random changes of training data that leave what they show the same; all other uses see the data as they are.

    It acts in training mode alone, so that it needs no inverse, and its log|det J| is 0.

    Args:
        config: the options.
        shape: the shape of one datum.
    """

    @abstractmethod
    def augment(self, x: Tensor) -> Tensor:
        """Another version of each datum, in the range of the data: (B, *shape) -> (B, *shape).

        Random numbers come from `genkit.uniform` and `genkit.normal`, with the data as batch dimension.
        """

    def forward(self, x: Tensor) -> Tensor:
        """`augment(x)` in training mode, else x: (B, *shape) -> (B, *shape)."""
        return self.augment(x) if self.training else x

    def inverse(self, y: Tensor) -> Tensor:
        """The data themselves: (B, *shape) -> (B, *shape)."""
        return y

    def log_det(self, x: Tensor) -> Tensor:
        """0 for each datum: (B,)."""
        return x.new_zeros(len(x))
