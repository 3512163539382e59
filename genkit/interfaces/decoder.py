"""Decoders: z -> the parameters of p(x|z).

B data.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

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


class AutoregressiveDecoder(Decoder):
    """p(x|z) = Π_t p(x_t|x_<t, z): a decoder that reads z and, for the parameters of each step, the steps before it.

    In training and in figures it reads the data themselves (teacher forcing), in one pass, so that log p(x|z) is exact.
    Data are generated step by step: one pass for each step, whose values are drawn, or are the mean, and read by the
    next. The core does both.

    Args:
        config: the decoder's options.
        latent_shape: the shape of one datum's z.
        out_shape: the likelihood's `params_shape`.
        shape: the shape of one datum, which it `asks` for; None: that of the parameters.
    """

    asks: ClassVar[tuple[str, ...]] = ("shape",)
    """The facts about the data that it asks for: the shape of one datum."""
    order: Tensor
    """(*shape), int64: the step, from 0, at which each value of a datum is given; a buffer, set in `__init__`."""
    steps: int
    """The number of steps; set in `__init__`."""

    @abstractmethod
    def forward(self, z: Tensor, x: Tensor) -> Tensor:  # type: ignore[override]
        """Parameters of p(x_t|x_<t, z) for all steps: z (B, *latent_shape), x (B, *shape) -> (B, *out_shape).

        Those of a step depend on values of x at the steps before it alone.
        """
