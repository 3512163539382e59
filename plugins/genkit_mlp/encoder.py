"""The dense encoder."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn

from genkit.interfaces import Encoder, Shape
from genkit_mlp.layers import ActivationField, Dropout, Gates, Normalize, Widths, dense


class MLPEncoder(Encoder):
    """Flattens a datum and sends it through dense layers: x (B, *shape) -> (B, hidden[-1]).

    Args:
        config: widths, activation, normalization, dropout and gates.
        shape: any shape.

    Example:
        >>> import torch
        >>> encoder = MLPEncoder(MLPEncoder.Config(hidden=(256, 128)), shape=(1, 28, 28))
        >>> encoder(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 128])
    """

    flat = True

    class Config(Encoder.Config):
        """Options of the dense encoder."""

        name: Literal["mlp"] = "mlp"
        hidden: Widths = (256,)
        activation: ActivationField = "relu"
        normalization: Normalize = "none"
        dropout: Dropout = 0.0
        gated: Gates = False

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        inputs = math.prod(shape)
        self.out_shape = (config.hidden[-1] if config.hidden else inputs,)
        options = (config.activation, config.normalization, config.dropout, config.gated)
        self.layers = nn.Sequential(nn.Flatten(), *dense(inputs, config.hidden, *options))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *shape) -> features (B, hidden[-1])."""
        features: Tensor = self.layers(x)
        return features
