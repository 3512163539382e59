"""The recurrent encoder."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from genkit.interfaces import Encoder, Shape, Side
from genkit_rnn.masked import MaskedLayers
from genkit_rnn.sequences import CELLS, TRACED_AROUND, Cell, Depth, Hidden, steps_and_features, to_sequence


class RNNEncoder(Encoder):
    """Reads a sequence and gives its last state: x (B, *shape) -> (B, hidden), twice that if bidirectional.

    Hochreiter & Schmidhuber 1997 (LSTM); Cho et al. 2014 (arXiv:1406.1078, GRU). The features are the state of the last
    layer after the last step, and that of the backward direction after the first. Of series with a mask the steps that
    are there are read alone, one after the other: what pads them changes nothing.

    Args:
        config: the cell and its sizes.
        shape: (T, F), (T,), or (C, H, W), which is read row by row.
        mask: what the mask of series holds; None: all steps are there.

    Example:
        >>> import torch
        >>> encoder = RNNEncoder(RNNEncoder.Config(hidden=32, bidirectional=True), shape=(50, 3))
        >>> encoder(torch.zeros(5, 50, 3)).shape
        torch.Size([5, 64])
    """

    expected_failures = TRACED_AROUND
    may_read = ("mask",)
    rnn: nn.LSTM | nn.GRU | MaskedLayers

    class Config(Encoder.Config):
        """Options of the recurrent encoder."""

        name: Literal["rnn"] = "rnn"
        cell: Cell = "lstm"
        hidden: Hidden = 128
        layers: Depth = 1
        bidirectional: Annotated[bool, Field(description="whether the sequence is read backwards too")] = False

    def __init__(self, config: Config, shape: Shape, mask: Side | None = None) -> None:
        super().__init__(config, shape)
        steps, features = steps_and_features("encoder 'rnn'", shape)
        self.directions = 2 if config.bidirectional else 1
        self.out_shape = (self.directions * config.hidden,)
        if mask is not None and mask.shape == (steps,) and len(shape) == 2:
            self.rnn = MaskedLayers(CELLS[config.cell], features, config.hidden, config.layers, self.directions)
        else:
            self.rnn = CELLS[config.cell](
                features, config.hidden, config.layers, batch_first=True, bidirectional=config.bidirectional
            )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x (B, *shape), perhaps with a mask (B, T) -> features (B, directions · hidden)."""
        if isinstance(self.rnn, MaskedLayers):
            assert mask is not None
            features: Tensor = self.rnn(x, mask)
            return features
        _, state = self.rnn(to_sequence(x))
        last: Tensor = state[0] if isinstance(state, tuple) else state  # (layers · directions, B, hidden)
        return last[-self.directions :].movedim(0, 1).flatten(1)
