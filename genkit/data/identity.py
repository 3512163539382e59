"""The identity of data: their rows in the source, their ids, labels and classes, in the order of the source."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genkit.data.dataset import Dataset

Array = np.ndarray[Any, Any]


def file_order(data: Dataset, name: str) -> Tensor:
    """The places (N,) of the data of `data.split(name)` in the order of the source."""
    rows = data.rows_of(name)
    return torch.arange(len(data.split(name).x)) if rows is None else rows.argsort()


def identity(data: Dataset, name: str) -> dict[str, Array]:
    """What is known of each of the N data of `data.split(name)`, in the order of the source.

    `labels` where there are labels, `class` where these have names of their own, `row` where all come from one file or
    array, counted from 0, and `id` where the source has ids.
    """
    split, rows, ids, order = data.split(name), data.rows_of(name), data.ids_of(name), file_order(data, name)
    columns: dict[str, Array] = {}
    if split.labels is not None:
        columns["labels"] = split.labels[order].cpu().numpy()
        if data.classes is not None and data.classes != tuple(map(str, range(len(data.classes)))):
            columns["class"] = np.array(data.classes)[columns["labels"]]
    if rows is not None:
        columns["row"] = rows[order].numpy()
    if ids is not None:
        columns["id"] = np.array(ids)[order.numpy()]
    return columns
