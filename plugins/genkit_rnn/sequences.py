"""Data as sequences: the number of steps, and of features per step.

B data, T steps, F features.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import Shape

Cell = Annotated[Literal["lstm", "gru"], Field(description="the kind of recurrent unit: lstm or gru")]
Hidden = Annotated[int, Field(ge=1, description="the width of the state, in each direction")]
Depth = Annotated[int, Field(ge=1, description="the number of recurrent layers on top of each other")]

TRACED_AROUND = {
    "compiled": "torch.compile does not trace the recurrent layers of torch.nn; a step is compiled around them"
}
CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


def steps_and_features(who: str, shape: Shape) -> tuple[int, int]:
    """T and F of one datum: (T, F) itself, (T,) with one feature, or an image (C, H, W) with its H rows as steps.

    Raises:
        ComponentError: there is no step, or the data are no sequences.
    """
    if len(shape) > 3:
        raise ComponentError(f"{who} takes sequences (T, F), (T,) or images (C, H, W), not data of shape {shape}")
    steps, features = (shape[1], shape[0] * shape[2]) if len(shape) == 3 else (shape[0], math.prod(shape[1:]))
    if steps < 1 or features < 1:
        raise ComponentError(
            f"{who} needs at least one step with one feature; data of shape {shape} have {steps} steps of {features} "
            "features"
        )
    return steps, features


def to_sequence(x: Tensor) -> Tensor:
    """x (B, *shape) -> (B, T, F)."""
    if x.ndim == 4:
        return x.movedim(2, 1).flatten(2)
    return x.unsqueeze(-1) if x.ndim == 2 else x


def from_sequence(sequence: Tensor, shape: Shape) -> Tensor:
    """(B, T, F) -> (B, *shape), the inverse of `to_sequence`."""
    if len(shape) == 3:
        channels, rows, columns = shape
        return sequence.reshape(-1, rows, channels, columns).movedim(2, 1)
    return sequence.reshape(-1, *shape)
