"""The dense decoder."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genkit.interfaces import Decoder, Shape
from genkit_mlp.layers import ActivationField, Dropout, Gates, Normalize, UnitColumns, Widths, dense


class MLPDecoder(Decoder):
    """Dense layers, and a last linear layer to `out_shape`: z (B, *latent_shape) -> (B, *out_shape).

    Args:
        config: widths (from the latent outwards), activation, normalization, dropout, gates, norm of the atoms.
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
        gated: Gates = False
        unit_norm: Annotated[
            bool,
            Field(
                description="whether the first layer's weights of each latent keep norm 1, as the atoms of a "
                "dictionary: a penalty on the code cannot be escaped by larger weights"
            ),
        ] = False

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__(config, latent_shape, out_shape)
        inputs = math.prod(latent_shape)
        last = nn.Linear(config.hidden[-1] if config.hidden else inputs, math.prod(out_shape))
        options = (config.activation, config.normalization, config.dropout, config.gated)
        hidden = dense(inputs, config.hidden, *options)
        self.layers = nn.Sequential(nn.Flatten(), *hidden, last, nn.Unflatten(1, out_shape))
        if config.unit_norm:
            parametrize.register_parametrization(hidden[0] if hidden else last, "weight", UnitColumns())

    def forward(self, z: Tensor) -> Tensor:
        """z (B, *latent_shape) -> parameters of p(x|z) (B, *out_shape)."""
        params: Tensor = self.layers(z)
        return params
