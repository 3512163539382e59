"""Dense layers, which the encoder and the decoder share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import nn

from genkit.activations import Activation, activation

Widths = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...], Field(description="the width of each hidden layer; [] for none")
]
ActivationField = Annotated[Activation, Field(description="the function after each hidden layer")]
Normalization = Literal["batch", "layer", "none"]
Normalize = Annotated[
    Normalization, Field(description="the normalization after each hidden layer's weights: batch, layer or none")
]
Dropout = Annotated[
    float, Field(ge=0, lt=1, description="the share of each hidden layer's units that a training step leaves out")
]


def dense(
    inputs: int, widths: tuple[int, ...], function: Activation, normalization: Normalization, dropout: float
) -> list[nn.Module]:
    """Linear layers (B, inputs) -> (B, widths[-1]); each with the chosen normalization, activation and dropout."""
    layers: list[nn.Module] = []
    for before, after in zip((inputs, *widths), widths, strict=False):
        layers.append(nn.Linear(before, after))
        if normalization != "none":
            layers.append(nn.BatchNorm1d(after) if normalization == "batch" else nn.LayerNorm(after))
        layers.append(activation(function))
        if dropout:
            layers.append(nn.Dropout(dropout))
    return layers
