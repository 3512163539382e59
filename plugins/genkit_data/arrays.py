"""Arrays of any shape in files: the source for your own data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split
from genkit.interfaces.data import FILE, RELATIVE
from genkit_data.stored import SUFFIXES, Array, Stored

WIDE = 4
"""The bytes of a number above which float32 may lose digits that a range brings out."""
NAMED = 5
"""The number of names that a note lists."""


class Arrays(DataSource):
    """An array (N, *shape) from a .npy, .npz or .safetensors file, with labels (N,) if the file has them.

    Bytes (uint8) stand for x / 255; other numbers stay as they are, unless `range` states their limits.
    Labels are integers or text; they become indices into their sorted values, which are the names of the classes.

    Args:
        config: the files, and the splits; the source has no test split of its own.
    """

    class Config(DataSource.Config):
        """Options of arrays."""

        name: Literal["arrays"] = "arrays"
        path: Annotated[str, FILE, Field(description=f"the file: .npy, .npz or .safetensors; {RELATIVE}")]
        key: Annotated[str, Field(description="the array's name in a .npz or .safetensors file")] = "x"
        labels: Annotated[
            str | None,
            FILE,
            Field(
                description="the labels: their name in the same file, or another file; null: `labels`, if it is there"
            ),
        ] = None
        range: Annotated[
            tuple[float, float] | None,
            Field(description="the least and the greatest value, which become 0 and 1; null: values stay as they are"),
        ] = None

    config: Config

    def load(self) -> RawData:
        """Read the files; raises DataError naming the file, and what it holds where a name is wrong."""
        path = Path(self.config.path).expanduser()
        arrays = Stored(path, "data.path")
        name = self.config.key if path.suffix != ".npy" else "x"
        x = _numbers(_named(arrays, name, path, "data.key"), path)
        labels, classes = _coded(self._labels(arrays, path))
        read = {name, "labels" if self.config.labels is None else self.config.labels}
        others = sorted(arrays.keys() - read)
        left = (f"left out: {len(others)} arrays of the file ({', '.join(others[:NAMED])})",) if others else ()
        return RawData(Split(self._scaled(x), labels), classes=classes, notes=(*_conversion(x), *left))

    def _labels(self, arrays: Mapping[str, Array], path: Path) -> Array | None:
        name = self.config.labels
        if name is None:
            return arrays.get("labels")
        if name not in arrays and Path(name).suffix in SUFFIXES:
            file = Path(name).expanduser()
            others = Stored(file, "data.labels")
            return others["labels"] if "labels" in others else _named(others, "x", file, "data.labels")
        return _named(arrays, name, path, "data.labels")

    def _scaled(self, x: Array) -> Tensor:
        """The numbers as float32, or as bytes where they are and no range is stated; wide types keep their digits."""
        if self.config.range is None:
            return torch.from_numpy(x if x.dtype == np.uint8 else x.astype(np.float32, copy=False))
        low, high = self.config.range
        if not low < high:
            raise DataError(f"data.range: the least value {low:g} must lie below the greatest, {high:g}")
        wide: Array = x.astype(np.float64 if x.dtype.itemsize > WIDE else np.float32, copy=False)
        return torch.from_numpy(np.divide(np.subtract(wide, low), high - low).astype(np.float32, copy=False))


def _named(arrays: Mapping[str, Array], name: str, path: Path, option: str) -> Array:
    if name not in arrays:
        raise DataError(f"{option}: {path} holds no '{name}'; it holds {', '.join(sorted(arrays)) or 'nothing'}")
    return arrays[name]


def _numbers(array: Array, path: Path) -> Array:
    """The array with an axis for the values of a datum; raises DataError where it holds no numbers."""
    if array.dtype.kind not in "fiub":
        raise DataError(f"data.path: {path}: holds {array.dtype}, not numbers")
    return array[:, np.newaxis] if array.ndim == 1 else array


def _conversion(x: Array) -> tuple[str, ...]:
    return () if x.dtype in (np.uint8, np.float32) else (f"{x.dtype}, read as float32",)


def _coded(labels: Array | None) -> tuple[Tensor | None, tuple[str, ...] | None]:
    """Labels as indices (N,) into their sorted names."""
    if labels is None:
        return None, None
    if labels.ndim != 1 or labels.dtype.kind not in "iubUS":
        raise DataError(
            f"data.labels: labels are whole numbers or text of shape (N,), not {labels.dtype} {labels.shape}"
        )
    names, indices = np.unique(labels, return_inverse=True)
    return torch.from_numpy(indices.astype(np.int64)), tuple(str(name) for name in names)
