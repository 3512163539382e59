"""The dense decoder."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn

from genkit.interfaces import Decoder, Shape
from genkit_mlp.layers import ActivationField, Dropout, Normalize, Widths, dense


class MLPDecoder(Decoder):
    """Dense layers, and a last linear layer to `out_shape`: z (B, *latent_shape) -> (B, *out_shape).

    Args:
        config: widths (from the latent outwards), activation, normalization and dropout.
        latent_shape: any shape.
        out_shape: any shape.

    Example:
        >>> import torch
        >>> decoder = MLPDecoder(MLPDecoder.Config(hidden=(128, 256)), latent_shape=(2,), out_shape=(1, 28, 28))
        >>> decoder(torch.zeros(5, 2)).shape
        torch.Size([5, 1, 28, 28])
    """

    class Config(Decoder.Config):
        """Options of the dense decoder."""

        name: Literal["mlp"] = "mlp"
        hidden: Widths = (256,)
        activation: ActivationField = "relu"
        normalization: Normalize = "none"
        dropout: Dropout = 0.0

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__(config, latent_shape, out_shape)
        inputs = math.prod(latent_shape)
        last = nn.Linear(config.hidden[-1] if config.hidden else inputs, math.prod(out_shape))
        options = (config.activation, config.normalization, config.dropout)
        hidden = dense(inputs, config.hidden, *options)
        self.layers = nn.Sequential(nn.Flatten(), *hidden, last, nn.Unflatten(1, out_shape))

    def forward(self, z: Tensor) -> Tensor:
        """z (B, *latent_shape) -> parameters of p(x|z) (B, *out_shape)."""
        params: Tensor = self.layers(z)
        return params
