"""Affine transforms y = a·x + b, a and b per column: to mean 0 and standard deviation 1, or to a range.

B data, D columns of a table, F features of a sequence, C channels of anything else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from genkit import Shape, Transform
from genkit.interfaces import Column
from genkit.interfaces.columns import marks_tensor, observed


def columns_of(shape: Shape) -> tuple[int, list[int]]:
    """The number of the columns of a datum, and the shape in which a value per column stands beside it.

    Columns are measured alike: those of a table (D,), the features of a sequence (T, F), else channels (C, ...).
    """
    axis = 1 if len(shape) == 2 else 0
    return shape[axis], [shape[axis] if each == axis else 1 for each in range(len(shape))]


def over_columns(x: Tensor) -> Tensor:
    """The values (columns, N) of each column of data x (B, *shape)."""
    return x.movedim(2 if x.ndim == 3 else 1, 0).flatten(1)


class StandardizeTransform(Transform):
    """Each column to mean 0 and standard deviation 1 over the training data; a constant column is only shifted.

    Of a table, numbers and dates alone are changed, by their observed values; where a value is missing, its places
    become 0, which is the mean.

    Args:
        config: the name alone; there are no options.
        shape: any shape.
        columns: the columns of a table; (): every value is a number.
    """

    asks = ("columns",)
    mean: Tensor
    deviation: Tensor
    marks: Tensor | None

    class Config(Transform.Config):
        """There are no options."""

        name: Literal["standardize"] = "standardize"

    def __init__(self, config: Config, shape: Shape, columns: tuple[Column, ...] = ()) -> None:
        super().__init__(config, shape)
        _, beside = columns_of(shape)
        self.repeats = math.prod(shape) // math.prod(beside)
        self.numbers = [column.start for column in columns if column.is_number] if columns else None
        self.register_buffer("marks", marks_tensor(columns, math.prod(shape)), persistent=False)
        self.register_buffer("mean", torch.zeros(beside))
        self.register_buffer("deviation", torch.ones(beside))

    def fit(self, blocks: Iterable[Tensor]) -> None:
        """Two passes in float64: the mean, then the squares around it."""
        count, total = torch.zeros((2, self.mean.numel()), dtype=torch.float64)
        for block in blocks:
            values, weights = self._weighted(block)
            count, total = count + weights.sum(1), total + (weights * values).sum(1)
        count = count.clamp_min(1)  # a column without a value in the training split
        mean, squares = total / count, 0 * total
        for block in blocks:
            values, weights = self._weighted(block)
            squares = squares + (weights * (values - mean[:, None]).square()).sum(1)
        deviation = (squares / count).sqrt().float()
        deviation = torch.where(deviation > 0, deviation, 1.0)
        if self.numbers is not None:
            others = torch.ones(len(mean), dtype=torch.bool)
            others[self.numbers] = False
            mean[others], deviation[others] = 0, 1
        self.mean.copy_(mean.view(self.mean.shape))
        self.deviation.copy_(deviation.view(self.mean.shape))

    def _weighted(self, block: Tensor) -> tuple[Tensor, Tensor]:
        """The values (columns, N) of a block (B, *shape), and 1 for each that counts, 0 for one that is missing."""
        values = over_columns(block).double()
        weights = torch.ones_like(values[:1]) if self.marks is None else observed(block, self.marks).T.double()
        return values, weights

    def forward(self, x: Tensor) -> Tensor:
        """(x − mean) / deviation, and 0 where a value is missing: (B, *shape) -> (B, *shape)."""
        y = (x - self.mean) / self.deviation
        return y if self.marks is None else y * observed(x, self.marks)

    def inverse(self, y: Tensor) -> Tensor:
        """Mean + deviation · y: (B, *shape) -> (B, *shape)."""
        return y * self.deviation + self.mean

    def log_det(self, x: Tensor) -> Tensor:
        """−Σ log deviation over the values that are there: (B,)."""
        if self.marks is not None:
            return -(observed(x, self.marks) * self.deviation.log()).sum(1)
        return (-self.repeats * self.deviation.log().sum()).expand(len(x))


class RangeTransform(Transform):
    """Each column from the least and the greatest value of its training data to `low` and `high`.

    A constant column is only shifted, to `low`.

    Args:
        config: the ends of the range, and what has one.
        shape: any shape.
    """

    least: Tensor
    width: Tensor

    class Config(Transform.Config):
        """Options of the range."""

        name: Literal["range"] = "range"
        low: Annotated[float, Field(description="what the least value becomes")] = 0.0
        high: Annotated[float, Field(description="what the greatest value becomes")] = 1.0
        by: Annotated[
            Literal["column", "all"],
            Field(
                description="column: each column, feature (T, F) or channel (C, ...) has its range; all: one for all"
            ),
        ] = "column"

        @model_validator(mode="after")
        def _rises(self) -> RangeTransform.Config:
            if self.low >= self.high:
                raise PydanticCustomError("range", "low must be below high")
            return self

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        _, beside = columns_of(shape)
        self.low, self.span, self.by = config.low, config.high - config.low, config.by
        self.repeats = math.prod(shape) // math.prod(beside)
        self.register_buffer("least", torch.zeros(beside))
        self.register_buffer("width", torch.full(beside, self.span))

    def fit(self, blocks: Iterable[Tensor]) -> None:
        """One pass: the least and the greatest value."""
        least, greatest = torch.full((self.least.numel(),), math.inf), torch.full((self.least.numel(),), -math.inf)
        for block in blocks:
            low, high = over_columns(block).cpu().aminmax(dim=1)
            least, greatest = torch.minimum(least, low), torch.maximum(greatest, high)
        if self.by == "all":
            least, greatest = (each.expand_as(least) for each in (least.min(), greatest.max()))
        width = greatest - least
        self.least.copy_(least.view(self.least.shape))
        self.width.copy_(torch.where(width > 0, width, self.span).view(self.least.shape))

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, *shape)."""
        return (x - self.least) / self.width * self.span + self.low

    def inverse(self, y: Tensor) -> Tensor:
        """(B, *shape) -> (B, *shape)."""
        return (y - self.low) / self.span * self.width + self.least

    def log_det(self, x: Tensor) -> Tensor:
        """Σ log((high − low) / width), the same for each datum: (B,)."""
        return (self.repeats * (math.log(self.span) * self.width.numel() - self.width.log().sum())).expand(len(x))
