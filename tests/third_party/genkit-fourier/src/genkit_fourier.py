"""An encoder that looks at the amplitudes of a datum's frequencies."""

import math
from typing import Annotated, Literal

import torch
from genkit import Encoder, Shape, hookimpl
from pydantic import Field
from torch import Tensor, nn


class FourierEncoder(Encoder):
    """x (B, *shape) -> a dense layer on |FFT(x)|, (B, width)."""

    class Config(Encoder.Config):
        """Options of the Fourier encoder."""

        name: Literal["fourier"] = "fourier"
        width: Annotated[int, Field(ge=1, description="how many features")] = 64

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.out_shape = (config.width,)
        self.dense = nn.Linear(math.prod(shape) // 2 + 1, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """Features of a batch."""
        return torch.relu(self.dense(torch.fft.rfft(x.flatten(1)).abs()))


@hookimpl
def components() -> list[type[Encoder]]:
    """One encoder."""
    return [FourierEncoder]
