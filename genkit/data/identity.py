"""The identity of data: their rows in the source, their ids, labels and classes, in the order of the source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genkit.data.dataset import Dataset
from genkit.errors import DataError
from genkit.interfaces.classes import class_indices

Array = np.ndarray[Any, Any]


def file_order(data: Dataset, name: str) -> Tensor:
    """The places (N,) of the data of `data.split(name)` in the order of the source."""
    rows = data.rows_of(name)
    return torch.arange(len(data.split(name).x)) if rows is None else rows.argsort()


def places_of(words: Sequence[str], data: Dataset, name: str) -> list[int]:
    """The places in `data.split(name)` of data that are named by their classes, else by their numbers.

    A class that is named again stands for its next datum.

    Raises:
        DataError: the split has no such datum, or no such class.
    """
    split, are_numbers = data.split(name), all(map(str.isdecimal, words))
    if split.labels is not None:
        names = data.classes or tuple(map(str, range(int(split.labels.max()) + 1 if len(split.labels) else 0)))
        if not are_numbers or {*words} <= {*names}:
            indices = class_indices(words, names, split.labels, f"the {name} split")
            return [_place(split.labels, index, indices[:turn].count(index)) for turn, index in enumerate(indices)]
    if not are_numbers:
        raise DataError(f"{', '.join(words)}: the data have no classes; name data by their numbers, from 0 on")
    numbers = [int(word) for word in words]
    if max(numbers, default=0) >= len(split.x):
        raise DataError(f"the {name} split has the data 0 to {len(split.x) - 1}, not {max(numbers)}")
    return numbers


def _place(labels: Tensor, index: int, turn: int) -> int:
    """The place of a class's datum, counted from 0 in the split; raises DataError where there are too few."""
    places = (labels == index).nonzero().flatten()
    if len(places) <= turn:
        raise DataError(f"the split has {len(places)} data with the label {index}, and {turn + 1} are asked for")
    return int(places[turn])


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
