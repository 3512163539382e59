"""An encoder of one dense layer."""

import math
from typing import Annotated, Literal

from genkit import Encoder, Shape, hookimpl
from pydantic import Field
from torch import Tensor, nn


class SketchEncoder(Encoder):
    """Flattens a datum and sends it through a dense layer: x (B, *shape) -> features (B, width).

    Args:
        config: the number of features.
        shape: any shape.
    """

    class Config(Encoder.Config):
        """Options of the encoder."""

        name: Literal["sketch"] = "sketch"
        width: Annotated[int, Field(ge=1, description="the number of features")] = 64

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.out_shape = (config.width,)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), config.width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *shape) -> features (B, width)."""
        features: Tensor = self.layers(x)
        return features


@hookimpl
def components() -> list[type[Encoder]]:
    """One encoder."""
    return [SketchEncoder]
