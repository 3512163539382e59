"""Labels of several columns: factors of variation, one of which is the label, and the others side data.

N data, L factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import Side
from genkit_data.coding import Array, coded, column

CLASSES = 100
"""The most different values of a column of floating-point numbers that are taken as classes."""


class Labels(NamedTuple):
    """Labels and further factors of each split."""

    labels: dict[str, Tensor | None]
    """(N,) each: indices into the classes."""
    classes: tuple[str, ...] | None
    side: dict[str, dict[str, Tensor]]
    """The other factors (N,) of each split by name."""
    sides: dict[str, Side]
    """What these hold."""


def labels_of(
    arrays: Mapping[str, Array | None], factors: Sequence[str], label: str | None, where: str = "data.labels"
) -> Labels:
    """Labels (N,), or factors (N, L) with names, as indices into the names of their classes.

    A column of floating-point numbers is one of classes where it has few different values, and else of real numbers.

    Args:
        arrays: what each split has, None: nothing.
        factors: the names of the columns; (): there is one column.
        label: the name of the column that is the label; None: the first.
        where: the option, for messages.

    Raises:
        DataError: labels are neither whole numbers nor text, or their columns are not as many as names.
    """
    if not factors:
        for values in arrays.values():
            if values is not None and values.ndim == 2 and values.shape[1] > 1:
                raise DataError(
                    f"{where}: labels of shape {values.shape} have {values.shape[1]} columns; data.factors=[NAME,...] "
                    "names them, and data.label=NAME says which of them is the label"
                )
        labels, classes = coded(list(arrays.values()), where)
        return Labels(dict(zip(arrays, labels, strict=True)), classes, {role: {} for role in arrays}, {})
    for role, values in arrays.items():
        if values is None or values.ndim != 2 or values.shape[1] != len(factors):
            shape = "no labels" if values is None else f"labels of shape {values.shape}"
            raise DataError(f"{where}: the {role} split has {shape}, and data.factors names {len(factors)} columns")
    columns = {
        name: [values[:, place] for values in arrays.values() if values is not None]
        for place, name in enumerate(factors)
    }
    chosen = label or factors[0]
    labels, classes = coded(columns.pop(chosen), f"{where}: '{chosen}'", CLASSES)
    result = Labels(dict(zip(arrays, labels, strict=True)), classes, {role: {} for role in arrays}, {})
    for name, parts in columns.items():
        tensors, result.sides[name] = _factor(parts, f"{where}: '{name}'")
        for role, tensor in zip(arrays, tensors, strict=True):
            result.side[role][name] = tensor
    return result


def _factor(values: Sequence[Array], where: str) -> tuple[list[Tensor], Side]:
    """A factor (N,) of each split: indices of its classes, or real numbers."""
    together = column(np.concatenate(values))
    if together.dtype.kind == "f" and len(np.unique(together)) > CLASSES:
        return [torch.from_numpy(each.astype(np.float32)) for each in values], Side()
    tensors, names = coded(values, where, CLASSES)
    return [each for each in tensors if each is not None], Side((), len(names or ()), names)
