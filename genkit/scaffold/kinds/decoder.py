"""A decoder of two dense layers."""

import math
from typing import Annotated, Literal

from genkit import Decoder, Shape, hookimpl
from pydantic import Field
from torch import Tensor, nn


class SketchDecoder(Decoder):
    """A hidden layer, and a linear layer to `out_shape`: z (B, *latent_shape) -> (B, *out_shape).

    Args:
        config: the hidden layer's width.
        latent_shape: any shape.
        out_shape: any shape.
    """

    class Config(Decoder.Config):
        """Options of the decoder."""

        name: Literal["sketch"] = "sketch"
        width: Annotated[int, Field(ge=1, description="the width of the hidden layer")] = 64

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__(config, latent_shape, out_shape)
        hidden = nn.Linear(math.prod(latent_shape), config.width)
        last = nn.Linear(config.width, math.prod(out_shape))
        self.layers = nn.Sequential(nn.Flatten(), hidden, nn.ReLU(), last, nn.Unflatten(1, out_shape))

    def forward(self, z: Tensor) -> Tensor:
        """z (B, *latent_shape) -> parameters of p(x|z) (B, *out_shape)."""
        params: Tensor = self.layers(z)
        return params


@hookimpl
def components() -> list[type[Decoder]]:
    """One decoder."""
    return [SketchDecoder]
