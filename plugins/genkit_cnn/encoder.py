"""The convolutional encoder."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from genkit.activations import activation
from genkit.errors import ComponentError
from genkit.interfaces import Encoder, Shape
from genkit_cnn.layers import (
    Convolution,
    Dense,
    Function,
    Initialization,
    Layer,
    Normalize,
    StepsFirst,
    block,
    initialize,
    maps_of,
    naming,
)


class CNNEncoder(Encoder):
    """Convolutions, then dense layers: x (B, C, n, ...) -> (B, dense[-1]), or the flattened maps without dense layers.

    With `maps`, the features are the maps themselves, (B, C, n, ...), or (B, T, C) of series.

    Args:
        config: the layers.
        shape: (T, F), (C, H, W) or (C, D, H, W), of any sizes; convolutions of series go along T, over F channels.
        channels_first: whether data with two axes are (C, T), as in model files of before series.

    Example:
        >>> import torch
        >>> layers = ({"channels": 8, "stride": 2}, {"channels": 16, "stride": 2})
        >>> encoder = CNNEncoder(CNNEncoder.Config(layers=layers), shape=(3, 31, 17))
        >>> encoder(torch.zeros(5, 3, 31, 17)).shape
        torch.Size([5, 640])
    """

    asks = ("channels_first",)

    class Config(Encoder.Config):
        """Options of the convolutional encoder."""

        name: Literal["cnn"] = "cnn"
        layers: Annotated[
            tuple[Layer, ...], Field(min_length=1, description="the convolutions, from the data to the features")
        ] = (Layer(channels=32, stride=2), Layer(channels=64, stride=2))
        dense: Dense = ()
        maps: Annotated[
            bool, Field(description="whether the features are the maps, with their places, instead of one vector")
        ] = False
        normalization: Normalize = "none"
        activation: Function = "relu"
        init: Initialization = "torch"

    def __init__(self, config: Config, shape: Shape, channels_first: bool = False) -> None:
        super().__init__(config, shape)
        channels, *sizes = maps_of("encoder 'cnn'", shape, channels_first)
        parts: list[nn.Module] = [StepsFirst()] if len(shape) == 2 and not channels_first else []
        for number, layer in enumerate(config.layers):
            with naming(f"encoder 'cnn': layers[{number}]"):
                convolution = Convolution(layer, channels, tuple(sizes))
                parts += block(layer, convolution, channels, config.normalization, config.activation)
            channels, sizes = layer.channels, [*convolution.sizes]
        if config.maps:
            if config.dense:
                raise ComponentError("encoder 'cnn': dense layers leave no maps; leave out dense, or maps")
            self.out_shape: Shape = (channels, *sizes)
            if len(shape) == 2 and not channels_first:
                self.out_shape = self.out_shape[::-1]
                parts.append(StepsFirst())
        else:
            parts.append(nn.Flatten())
            width = channels * math.prod(sizes)
            for wider in config.dense:
                parts += [nn.Linear(width, wider), activation(config.activation)]
                width = wider
            self.out_shape = (width,)
        self.layers = nn.Sequential(*parts)
        initialize(self.layers, config.init)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *shape) -> features (B, *out_shape)."""
        features: Tensor = self.layers(x)
        return features
