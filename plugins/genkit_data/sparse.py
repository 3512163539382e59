"""Sparse data, made dense batch by batch.

N data, D values of a datum, B data that are read at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genkit.interfaces import Reader
from genkit.interfaces.reader import Data

DENSE = 2**28
"""The bytes up to which sparse data are made dense at once, as batches of a tensor are made faster."""


def in_rows(matrix: Any) -> Data:
    """A sparse matrix (N, D) of scipy as data in float32: dense where they are few, else sparse until they are read."""
    rows = SparseRows(matrix)
    return rows[:] if 4 * rows.numel() <= DENSE else rows


class SparseRows(Reader):
    """The rows of a sparse matrix, which takes the memory of its entries alone.

    Args:
        matrix: (N, D), of scipy, in compressed rows (CSR).
    """

    def __init__(self, matrix: Any) -> None:
        super().__init__(matrix.shape)
        self.matrix = matrix.astype(np.float32)

    def read(self, rows: Tensor) -> Tensor:
        """The data at some places, dense: rows (B,) -> (B, D)."""
        return torch.from_numpy(self.matrix[rows.numpy()].toarray())

    @property
    def held(self) -> int:
        """The bytes of the entries and of their places."""
        return int(sum(each.nbytes for each in (self.matrix.data, self.matrix.indices, self.matrix.indptr)))
