"""Encoders: data -> features."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from genkit.interfaces.component import Component, Shape


class Encoder(Component, nn.Module, ABC):
    """x (B, *shape) -> features (B, *out_shape). An encoder knows nothing of distributions.

    Args:
        config: the encoder's options.
        shape: the shape of one datum.
    """

    kind = "encoder"
    out_shape: Shape
    """The shape of one datum's features; set in `__init__`."""

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch: (B, *shape) -> (B, *out_shape)."""
