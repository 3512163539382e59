"""Numbers of files as data: bytes as they are, others in float32, and a stated range as 0 to 1."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genkit.errors import DataError

Array = np.ndarray[Any, Any]
WIDE = 4
"""The bytes of a number above which float32 may lose digits that a range brings out."""


def scaled(x: Array, limits: tuple[float, float] | None) -> Tensor:
    """Numbers as float32, or as bytes where they are and no range is stated; wide types keep their digits.

    Args:
        x: the numbers, of any shape.
        limits: the values that become 0 and 1; None: values stay as they are.

    Raises:
        DataError: the limits do not rise.
    """
    if limits is None:
        return torch.from_numpy(x if x.dtype == np.uint8 else x.astype(np.float32, copy=False))
    low, high = limits
    if not low < high:
        raise DataError(f"data.range: the least value {low:g} must lie below the greatest, {high:g}")
    wide: Array = x.astype(np.float64 if x.dtype.itemsize > WIDE else np.float32, copy=False)
    return torch.from_numpy(np.divide(np.subtract(wide, low), high - low).astype(np.float32, copy=False))


def conversion(dtype: np.dtype[Any]) -> tuple[str, ...]:
    """A note on a type that is read as float32."""
    return () if dtype in (np.uint8, np.float32) else (f"{dtype}, read as float32",)
