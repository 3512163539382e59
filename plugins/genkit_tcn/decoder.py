"""The temporal convolutional decoder."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from genkit.interfaces import Decoder, Shape
from genkit_rnn.sequences import from_sequence, steps_and_features
from genkit_tcn.layers import Blocks, Channels, Dropout, Kernel, causal_blocks, enough_blocks


class TCNDecoder(Decoder):
    """z at each step, with a learned vector for the place of the step, through causal dilated convolutions.

    z (B, *latent_shape) -> (B, *out_shape). No step needs the data of the one before: one pass computes all steps.

    Args:
        config: the blocks.
        latent_shape: any shape.
        out_shape: (T, F), (T,), or (C, H, W), which is written row by row.

    Example:
        >>> decoder = TCNDecoder(TCNDecoder.Config(channels=16), latent_shape=(4,), out_shape=(50, 3))
        >>> decoder(torch.zeros(5, 4)).shape
        torch.Size([5, 50, 3])
    """

    class Config(Decoder.Config):
        """Options of the temporal convolutional decoder."""

        name: Literal["tcn"] = "tcn"
        channels: Channels = 64
        kernel: Kernel = 3
        blocks: Blocks = None
        dropout: Dropout = 0.0

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__(config, latent_shape, out_shape)
        self.out_shape, width = out_shape, config.channels
        steps, features = steps_and_features("decoder 'tcn'", out_shape)
        self.first = nn.Linear(math.prod(latent_shape), width)
        self.places = nn.Parameter(torch.randn(width, steps) / math.sqrt(width))
        blocks = config.blocks or enough_blocks(config.kernel, steps)
        self.layers = causal_blocks(width, width, config.kernel, blocks, config.dropout)
        self.last = nn.Linear(width, features)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, *latent_shape) -> parameters of p(x|z) (B, *out_shape)."""
        states = self.layers(self.first(z.flatten(1)).unsqueeze(2) + self.places)
        return from_sequence(self.last(states.transpose(1, 2)), self.out_shape)
