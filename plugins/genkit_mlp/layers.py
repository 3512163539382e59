"""Dense layers, which the encoder and the decoder share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

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


class UnitColumns(nn.Module):
    """Weights (outputs, inputs) whose columns have norm 1: the atoms of a dictionary.

    Sparse coding keeps them there (Olshausen & Field 1997, section 3), since an L1 penalty on a code falls with a code
    that is smaller by any factor, while weights larger by the same factor give the same reconstruction.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """The columns of weight (outputs, inputs), each divided by its norm."""
        return functional.normalize(weight, dim=0)


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
