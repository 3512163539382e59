"""What the encoder and the decoder share: a stack of dense layers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from genkit.activations import Activation, activation

Widths = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...], Field(description="the width of each hidden layer; [] for none")
]
ActivationField = Annotated[Activation, Field(description="the function after each hidden layer")]


def dense(inputs: int, widths: tuple[int, ...], function: Activation) -> list[nn.Module]:
    """Linear layers (B, inputs) -> (B, widths[-1]), the activation after each."""
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), activation(function)]
    return layers
