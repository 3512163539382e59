"""Columns of Arrow tables as arrays of numpy.

N data.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genkit.errors import DataError

Array = np.ndarray[Any, Any]


def inner_type(type_: Any) -> tuple[Any, int]:
    """The type of the values of a column, and the number of its axes: 0 for one value per datum."""
    import pyarrow

    type_, axes = getattr(type_, "storage_type", type_), 0
    while pyarrow.types.is_list(type_) or pyarrow.types.is_large_list(type_) or pyarrow.types.is_fixed_size_list(type_):
        type_, axes = type_.value_type, axes + 1
    return type_, axes


def is_number(type_: Any) -> bool:
    """Whether a value of the type is a real number or a truth."""
    import pyarrow

    kinds = (pyarrow.types.is_integer, pyarrow.types.is_floating, pyarrow.types.is_boolean)
    return any(is_kind(type_) for is_kind in kinds)


def numbers(column: Any, where: str) -> Array:
    """A column of numbers, or of lists of them that have one length, as an array (N, ...).

    Raises:
        DataError: values are missing, are no numbers, or lists have different lengths.
    """
    import pyarrow

    array = column.combine_chunks()
    array, shape = getattr(array, "storage", array), [len(column)]
    while inner_type(array.type)[1]:
        _check_whole(array, where)
        fixed = pyarrow.types.is_fixed_size_list(array.type)
        lengths = [array.type.list_size] if fixed else np.unique(array.value_lengths().to_numpy(zero_copy_only=False))
        if len(lengths) > 1:
            raise DataError(
                f"{where}: holds lists of {lengths[0]:,} to {lengths[-1]:,} values; all data have one shape: bring "
                "them to one length first"
            )
        shape.append(int(lengths[0]) if len(lengths) else 0)
        array = array.flatten()
    _check_whole(array, where)
    if not is_number(array.type):
        raise DataError(f"{where}: holds {array.type}, not numbers")
    values: Array = array.to_numpy(zero_copy_only=False).reshape(shape)
    return np.require(values, requirements="W")  # torch takes only what may be written to


def _check_whole(array: Any, where: str) -> None:
    if array.null_count:
        raise DataError(f"{where}: {array.null_count:,} values are missing; fill them in, or leave these rows out")
