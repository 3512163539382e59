"""Labels as indices into the sorted names of their classes.

N data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genkit.errors import DataError

Array = np.ndarray[Any, Any]
KINDS = "iubUS"
"""The kinds of numpy's types that labels have: whole numbers, truths and text."""


def coded(labels: Sequence[Array | None], where: str) -> tuple[list[Tensor | None], tuple[str, ...] | None]:
    """The labels (N,) of each split as indices into the names of their classes, which all splits share.

    Whole numbers in a type of floating-point numbers are read as whole ones, and a column (N, 1) as (N,), which is how
    MATLAB writes them.

    Args:
        labels: the labels of each split; None: it has none.
        where: the option, for messages.

    Raises:
        DataError: labels are neither whole numbers nor text.
    """
    columns = [None if each is None else _column(each, where) for each in labels]
    there = [each for each in columns if each is not None]
    if not there:
        return [None] * len(labels), None
    if len({each.dtype.kind in "US" for each in there}) > 1:
        raise DataError(f"{where}: some splits have labels of text and others of numbers; give all the same")
    names, indices = np.unique(np.concatenate(there), return_inverse=True)
    parts = iter(np.split(indices.astype(np.int64), np.cumsum([len(each) for each in there])[:-1]))
    result = [None if each is None else torch.from_numpy(next(parts)) for each in columns]
    return result, tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names)


def _column(labels: Array, where: str) -> Array:
    if labels.dtype.kind == "f" and np.array_equal(labels, np.round(labels)):
        labels = labels.astype(np.int64)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in KINDS:
        raise DataError(f"{where}: labels are whole numbers or text of shape (N,), not {labels.dtype} {labels.shape}")
    return labels
