"""Decoders: z -> the parameters of p(x|z)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from genkit.interfaces.component import Component, Shape
from genkit.interfaces.part import Part


class Decoder(Part, ABC):
    """z (B, *latent_shape) -> the parameters of p(x|z), (B, *out_shape).

    Args:
        config: the decoder's options.
        latent_shape: the shape of one datum's z.
        out_shape: the likelihood's `params_shape`; the decoder's output must have exactly this shape.
    """

    kind = "decoder"

    def __init__(self, config: Component.Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Parameters of p(x|z): (B, *latent_shape) -> (B, *out_shape)."""
