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

Gates = Annotated[
    bool,
    Field(
        description="whether each hidden layer is multiplied by gates, the sigmoid of a linear layer of its own "
        "(Dauphin et al. 2017, arXiv:1612.08083)"
    ),
]


class UnitColumns(nn.Module):
    """Weights (outputs, inputs) whose columns have norm 1: the atoms of a dictionary.

    Sparse coding keeps them there (Olshausen & Field 1997, section 3), since an L1 penalty on a code falls with a code
    that is smaller by any factor, while weights larger by the same factor give the same reconstruction.
    """

    def forward(self, weight: Tensor) -> Tensor:
        """The columns of weight (outputs, inputs), each divided by its norm."""
        return functional.normalize(weight, dim=0)


class Gated(nn.Module):
    """a (B, 2n) -> f(a_1, ..., a_n) ⊙ σ(a_n+1, ..., a_2n), (B, n); with f the identity, a gated linear unit."""

    def __init__(self, function: Activation) -> None:
        super().__init__()
        self.function = activation(function)

    def forward(self, a: Tensor) -> Tensor:
        """a (B, 2n) -> (B, n)."""
        values, gates = a.chunk(2, dim=-1)
        gated: Tensor = self.function(values) * gates.sigmoid()
        return gated


def dense(
    inputs: int,
    widths: tuple[int, ...],
    function: Activation,
    normalization: Normalization,
    dropout: float,
    gated: bool,
) -> list[nn.Module]:
    """Linear layers (B, inputs) -> (B, widths[-1]); each with the chosen normalization, activation, gates and dropout.

    The linear layers of values and gates are one matrix, the gates' rows last.
    """
    layers: list[nn.Module] = []
    for before, width in zip((inputs, *widths), widths, strict=False):
        after = 2 * width if gated else width
        layers.append(nn.Linear(before, after))
        if normalization != "none":
            layers.append(nn.BatchNorm1d(after) if normalization == "batch" else nn.LayerNorm(after))
        layers.append(Gated(function) if gated else activation(function))
        if dropout:
            layers.append(nn.Dropout(dropout))
    return layers
