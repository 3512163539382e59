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


def coded(
    labels: Sequence[Array | None], where: str, levels: int = 0
) -> tuple[list[Tensor | None], tuple[str, ...] | None]:
    """The labels (N,) of each split as indices into the names of their classes, which all splits share.

    Whole numbers in a type of floating-point numbers are read as whole ones, and a column (N, 1) as (N,), which is how
    MATLAB writes them.

    Args:
        labels: the labels of each split; None: it has none.
        where: the option, for messages.
        levels: the most different values that fractions may have, to be classes too.

    Raises:
        DataError: labels are neither whole numbers nor text, nor fractions of few values.
    """
    columns = [None if each is None else column(each) for each in labels]
    there = [each for each in columns if each is not None]
    if not there:
        return [None] * len(labels), None
    for each in there:
        if each.ndim != 1 or each.dtype.kind not in KINDS + "f" * (levels > 0):
            raise DataError(f"{where}: labels are whole numbers or text of shape (N,), not {each.dtype} {each.shape}")
    if len({each.dtype.kind in "US" for each in there}) > 1:
        raise DataError(f"{where}: some splits have labels of text and others of numbers; give all the same")
    names, indices = np.unique(np.concatenate(there), return_inverse=True)
    if names.dtype.kind == "f" and len(names) > levels:
        raise DataError(f"{where}: has {len(names):,} different values; a label has classes, up to {levels}")
    parts = iter(np.split(indices.astype(np.int64), np.cumsum([len(each) for each in there])[:-1]))
    result = [None if each is None else torch.from_numpy(next(parts)) for each in columns]
    return result, tuple(map(_text, names))


def column(labels: Array) -> Array:
    """Labels as a column (N,) where they are (N, 1), and as whole numbers where all are whole."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    whole = labels.dtype.kind == "f" and np.array_equal(labels, np.round(labels))
    return labels.astype(np.int64) if whole else labels


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
