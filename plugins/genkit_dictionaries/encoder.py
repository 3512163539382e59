"""The encoder of a dictionary: data less the decoder's bias.

B data, d values of a datum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from genkit import batch_mean
from genkit.errors import ComponentError
from genkit.interfaces import Component, Encoder, Shape, Whole
from genkit_dictionaries.decoder import dictionary_of


class CentredEncoder(Encoder):
    """x − b with the bias b of the decoder `dictionary`: x (B, *shape) -> (B, d).

    The bias is shared: it is subtracted from the input and added to the output (Bricken et al. 2023, Towards
    Monosemanticity, appendix; Gao et al. 2024, arXiv:2406.04093, equation 1). The sampler has the encoder's weights.

    With the first step of training the bias moves to the mean of the first batch: units have no offset to learn.

    Args:
        config: there are no options.
        shape: any shape; a datum is flattened.
    """

    flat = True
    mean: Tensor
    is_moved: Tensor
    checked_with: ClassVar[Mapping[str, Any]] = {"partners": {"decoder": "dictionary"}}

    class Config(Encoder.Config):
        """The encoder has no options."""

        name: Literal["centred"] = "centred"

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.out_shape = (math.prod(shape),)
        self.centre: Callable[[], Tensor] | None = None
        self.register_buffer("mean", torch.zeros(self.out_shape))
        self.register_buffer("is_moved", torch.zeros(()))

    def attach(self, model: Whole) -> None:
        """Keep the bias of the decoder; raises ComponentError where it is no dictionary."""
        decoder = dictionary_of(model, "it subtracts the bias of the decoder 'dictionary'")
        if len(decoder.bias) != math.prod(self.out_shape):
            raise ComponentError(
                f"data have {math.prod(self.out_shape)} values, and the dictionary gives {len(decoder.bias)}: choose "
                "a likelihood with one parameter per value, and no condition"
            )
        self.centre = decoder.centre

    def forward(self, x: Tensor) -> Tensor:
        """x (B, *shape) -> (B, d)."""
        flat = x.flatten(1)
        if self.training:
            self.mean.copy_(batch_mean(flat.detach()))
        return flat if self.centre is None else flat - self.centre()

    def stepped(self, step: int, epoch: float) -> None:
        """Move the bias to the mean of the first batch."""
        if step == 1 and self.centre is not None:
            self.centre().add_((1 - self.is_moved) * self.mean)
            self.is_moved.fill_(1)
