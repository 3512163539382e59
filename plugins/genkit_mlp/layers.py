"""What the encoder and the decoder share: a stack of dense layers."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from genkit.activations import Activation, activation
from genkit.settings import Ints

Widths = Annotated[Ints, Field(description="the width of each hidden layer; [] for none")]
ActivationField = Annotated[Activation, Field(description="the function after each hidden layer")]


def dense(inputs: int, widths: tuple[int, ...], function: Activation) -> list[nn.Module]:
    """Linear layers (B, inputs) -> (B, widths[-1]), the activation after each; raises ValueError for a width below 1."""
    if any(width < 1 for width in widths):
        raise ValueError(f"each width in hidden must be at least 1, not {list(widths)}")
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *widths), widths, strict=False):
        layers += [nn.Linear(before, after), activation(function)]
    return layers
