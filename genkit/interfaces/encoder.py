"""Encoders: data -> features."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor

from genkit.interfaces.component import Component, Shape
from genkit.interfaces.part import Part


class Encoder(Part, ABC):
    """x (B, *shape) -> features (B, *out_shape). An encoder knows nothing of distributions.

    Args:
        config: the encoder's options.
        shape: the shape of one datum.
    """

    kind = "encoder"
    out_shape: Shape
    """The shape of one datum's features; set in `__init__`."""
    flat: ClassVar[bool] = False
    """Whether a datum is read as one vector, whatever its shape: a condition is then appended to the vector."""

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch: (B, *shape) -> (B, *out_shape)."""
