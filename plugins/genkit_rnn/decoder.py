"""The recurrent decoder."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from genkit.interfaces import Decoder, Shape
from genkit_rnn.sequences import CELLS, TRACED_AROUND, Cell, Depth, Hidden, from_sequence, steps_and_features


class RNNDecoder(Decoder):
    """Unrolls z to the length of the data: z (B, *latent_shape) -> (B, *out_shape).

    z sets the first state, through a linear layer and tanh (an LSTM's cell starts at 0), and is the input of every
    step, so that no step needs the data of the one before: one pass computes all steps. A linear layer reads each
    step's features from its state.

    Args:
        config: the cell and its sizes.
        latent_shape: any shape.
        out_shape: (T, F), (T,), or (C, H, W), which is written row by row.

    Example:
        >>> decoder = RNNDecoder(RNNDecoder.Config(hidden=32), latent_shape=(4,), out_shape=(50, 3))
        >>> decoder(torch.zeros(5, 4)).shape
        torch.Size([5, 50, 3])
    """

    expected_failures = TRACED_AROUND

    class Config(Decoder.Config):
        """Options of the recurrent decoder."""

        name: Literal["rnn"] = "rnn"
        cell: Cell = "lstm"
        hidden: Hidden = 128
        layers: Depth = 1

    def __init__(self, config: Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__(config, latent_shape, out_shape)
        self.out_shape = out_shape
        self.steps, features = steps_and_features("decoder 'rnn'", out_shape)
        latent = math.prod(latent_shape)
        self.state = nn.Linear(latent, config.layers * config.hidden)
        self.rnn = CELLS[config.cell](latent, config.hidden, config.layers, batch_first=True)
        self.features = nn.Linear(config.hidden, features)

    def forward(self, z: Tensor) -> Tensor:
        """z (B, *latent_shape) -> parameters of p(x|z) (B, *out_shape)."""
        flat = z.flatten(1)
        first = torch.tanh(self.state(flat)).unflatten(1, (self.rnn.num_layers, self.rnn.hidden_size))
        state = first.movedim(1, 0).contiguous()  # (layers, B, hidden)
        start = (state, torch.zeros_like(state)) if isinstance(self.rnn, nn.LSTM) else state
        states, _ = self.rnn(flat.unsqueeze(1).expand(-1, self.steps, -1), start)
        return from_sequence(self.features(states), self.out_shape)
