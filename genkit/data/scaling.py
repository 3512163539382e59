"""Standardizing: each column of the data to mean 0 and standard deviation 1 over the training split.

D columns of a table, F features of a sequence, C channels of anything else.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import Shape
from genkit.settings.base import Settings

BLOCK = 2**22
"""About the number of values that are computed in float64 at once."""
DIGITS = 12
"""The significant digits that are kept of means and deviations: the same on every machine, however it adds up."""


class Scaling(Settings):
    """The means and the standard deviations of the columns of the training data; a model keeps them."""

    mean: tuple[float, ...]
    deviation: tuple[Annotated[float, Field(gt=0)], ...]

    @model_validator(mode="after")
    def _pairs(self) -> Scaling:
        if len(self.mean) != len(self.deviation):
            raise PydanticCustomError("pairs", "must have as many means as deviations")
        return self

    @classmethod
    def of(cls, x: Tensor) -> Scaling:
        """The scaling of training data x (N, *shape), which stand as numbers; a constant column is only shifted."""
        axis = axis_of(x.shape[1:])
        others = [each for each in range(x.ndim) if each != axis + 1]
        count = x.numel() // x.shape[axis + 1]
        blocks = x.split(_rows(x))
        mean = sum((block.double().sum(others) for block in blocks), torch.zeros(())) / count
        centre = mean.view(_beside(x.shape[1:], axis))
        squares = sum(((block.double() - centre).square().sum(others) for block in blocks), torch.zeros(()))
        deviation = (squares / count).sqrt()
        deviation[deviation == 0] = 1
        return cls(mean=_rounded(mean), deviation=_rounded(deviation))

    def apply(self, x: Tensor) -> Tensor:
        """The data x (N, *shape), which stand as numbers, standardized; raises DataError where the columns differ."""
        axis = axis_of(x.shape[1:])
        if x.shape[axis + 1] != len(self.mean):
            names = f"{name_of(x.shape[1:])}s"
            raise DataError(
                f"data.standardize: the model was trained on {len(self.mean)} {names}, and the data have "
                f"{x.shape[axis + 1]}"
            )
        view = _beside(x.shape[1:], axis)
        mean, deviation = (torch.tensor(each, dtype=torch.float64).view(view) for each in (self.mean, self.deviation))
        result = torch.empty(x.shape)
        for out, block in zip(result.split(_rows(x)), x.split(_rows(x)), strict=True):
            out.copy_((block.double() - mean) / deviation)
        return result


def axis_of(shape: Shape) -> int:
    """The axis of a datum whose entries are measured alike: columns (D,), features (T, F), or channels (C, ...)."""
    return 1 if len(shape) == 2 else 0


def name_of(shape: Shape) -> str:
    """The word for an entry of that axis."""
    return {1: "column", 2: "feature"}.get(len(shape), "channel")


def _beside(shape: Shape, axis: int) -> list[int]:
    """The shape in which a value per column stands beside a datum."""
    return [-1 if each == axis else 1 for each in range(len(shape))]


def _rows(x: Tensor) -> int:
    return max(1, BLOCK // max(1, math.prod(x.shape[1:])))


def _rounded(values: Tensor) -> tuple[float, ...]:
    return tuple(float(f"{value:.{DIGITS}g}") for value in values.tolist())
