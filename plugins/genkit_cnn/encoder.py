"""The convolutional encoder."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from genkit.activations import activation
from genkit.interfaces import Encoder, Shape
from genkit_cnn.layers import (
    Convolution,
    Dense,
    Function,
    Initialization,
    Layer,
    Normalize,
    block,
    check_shape,
    initialize,
    naming,
)


class CNNEncoder(Encoder):
    """Convolutions, then dense layers: x (B, C, n, ...) -> (B, dense[-1]), or the flattened maps without dense layers.

    Args:
        config: the layers.
        shape: (C, T), (C, H, W) or (C, D, H, W), of any sizes.

    Example:
        >>> import torch
        >>> layers = ({"channels": 8, "stride": 2}, {"channels": 16, "stride": 2})
        >>> encoder = CNNEncoder(CNNEncoder.Config(layers=layers), shape=(3, 31, 17))
        >>> encoder(torch.zeros(5, 3, 31, 17)).shape
        torch.Size([5, 640])
    """

    class Config(Encoder.Config):
        """Options of the convolutional encoder."""

        name: Literal["cnn"] = "cnn"
        layers: Annotated[
            tuple[Layer, ...], Field(min_length=1, description="the convolutions, from the data to the features")
        ] = (Layer(channels=32, stride=2), Layer(channels=64, stride=2))
        dense: Dense = ()
        normalization: Normalize = "none"
        activation: Function = "relu"
        init: Initialization = "torch"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        check_shape("encoder 'cnn'", shape)
        channels, sizes = shape[0], shape[1:]
        parts: list[nn.Module] = []
        for number, layer in enumerate(config.layers):
            with naming(f"encoder 'cnn': layers[{number}]"):
                convolution = Convolution(layer, channels, sizes)
                parts += block(layer, convolution, channels, config.normalization, config.activation)
            channels, sizes = layer.channels, convolution.sizes
        parts.append(nn.Flatten())
        width = channels * math.prod(sizes)
        for wider in config.dense:
            parts += [nn.Linear(width, wider), activation(config.activation)]
            width = wider
        self.out_shape = (width,)
        self.layers = nn.Sequential(*parts)
        initialize(self.layers, config.init)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, n, ...) -> features (B, width)."""
        features: Tensor = self.layers(x)
        return features
