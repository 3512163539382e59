"""The temporal convolutional encoder."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from genkit.interfaces import Encoder, Shape, Side
from genkit_rnn.sequences import steps_and_features, to_sequence
from genkit_tcn.layers import Blocks, Channels, Dropout, Kernel, causal_blocks, enough_blocks


class TCNEncoder(Encoder):
    """Causal dilated convolutions over the steps, and the features of the last one: x (B, T, F) -> (B, channels).

    Bai, Kolter & Koltun 2018 (arXiv:1803.01271), section 3. The last step sees as many steps as the blocks reach back,
    by default all. Of series with a mask it is the last step that is there: steps that pad a series lie behind it, and
    change nothing; a step that is missing within is read as 0.

    Args:
        config: the blocks.
        shape: (T, F), (T,), or (C, H, W), which is read row by row.
        mask: what the mask of series holds; None: all steps are there.

    Example:
        >>> encoder = TCNEncoder(TCNEncoder.Config(channels=16), shape=(50, 3))
        >>> encoder(torch.zeros(5, 50, 3)).shape
        torch.Size([5, 16])
    """

    may_read = ("mask",)

    class Config(Encoder.Config):
        """Options of the temporal convolutional encoder."""

        name: Literal["tcn"] = "tcn"
        channels: Channels = 64
        kernel: Kernel = 3
        blocks: Blocks = None
        dropout: Dropout = 0.0

    def __init__(self, config: Config, shape: Shape, mask: Side | None = None) -> None:
        super().__init__(config, shape)
        steps, features = steps_and_features("encoder 'tcn'", shape)
        self.masked = mask is not None and mask.shape == (steps,) and len(shape) == 2
        blocks = config.blocks or enough_blocks(config.kernel, steps)
        self.layers = causal_blocks(features, config.channels, config.kernel, blocks, config.dropout)
        self.out_shape = (config.channels,)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, *shape), perhaps with a mask (B, T) -> features (B, channels)."""
        sequence = to_sequence(x)
        if not self.masked or mask is None:
            last: Tensor = self.layers(sequence.transpose(1, 2))[:, :, -1]
            return last
        there = (mask > 0).to(x.dtype)
        states: Tensor = self.layers((sequence * there.unsqueeze(2)).transpose(1, 2))
        place = (there * torch.arange(mask.shape[1], device=mask.device)).amax(1).long()
        return states.gather(2, place[:, None, None].expand(-1, states.shape[1], 1)).squeeze(2)
