"""Units in which rows of data can be compared: numbers by their deviation, categories one-hot, missing values marked.

N data, D places of a datum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from genkit.interfaces import Column, Split
from genkit.interfaces.columns import marks_tensor, observed
from genkit.interfaces.component import MASK


class Units:
    """Units fitted to training data: Euclidean distances count a deviation of a number, or another category, as 1.

    Numbers and dates are standardized by the values that are there, and are 0 where one is missing; the places of a
    category are divided by √2; truths and marks stay 0 and 1. Vectors without columns are standardized, and data of
    other shapes stay as they are.

    Args:
        train: training data.
        columns: the columns of a table; (): the data are no table.
    """

    def __init__(self, train: Split, columns: Sequence[Column]) -> None:
        x = flat(train)
        self.marks = marks_tensor(columns, x.shape[1])
        self.mean, self.width = torch.zeros(x.shape[1]), torch.ones(x.shape[1])
        if columns or train.x.ndim == 2:
            self._fit(x, [column.start for column in columns if column.is_number] if columns else [*range(x.shape[1])])
        for column in columns:
            if column.kind == "categorical":
                self.width[column.start : column.start + column.width] = math.sqrt(2)

    def _fit(self, x: Tensor, numbers: Sequence[int]) -> None:
        weights = self._observed(x).double()
        count = weights.sum(0).clamp_min(1)
        mean = (weights * x).sum(0) / count
        deviation = ((weights * (x - mean).square()).sum(0) / count).sqrt()
        self.mean[numbers] = mean[numbers].float()
        self.width[numbers] = torch.where(deviation > 0, deviation, 1.0)[numbers].float()

    def _observed(self, x: Tensor) -> Tensor:
        return torch.ones_like(x) if self.marks is None else observed(x, self.marks)

    def __call__(self, data: Split) -> Tensor:
        """The data in these units, (N, D) in float32."""
        x = flat(data)
        return (x - self.mean) / self.width * self._observed(x)


def flat(data: Split) -> Tensor:
    """The data (N, *shape) as the model sees them, (N, D) in float32; steps of series that are not there are 0."""
    values = data.x[:].detach().cpu()
    x = values.float() / 255 if values.dtype == torch.uint8 else values.float()
    if (mask := data.side.get(MASK)) is not None:
        x = x.nan_to_num() * mask.cpu().unsqueeze(-1)
    return x.flatten(1)
