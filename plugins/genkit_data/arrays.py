"""Arrays of any shape in files: the source for your own data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split
from genkit.interfaces.data import FILE, RELATIVE, Files
from genkit.interfaces.reader import Data
from genkit.runs.memory import free
from genkit_data.mapped import SUFFIXES as MAPPABLE
from genkit_data.mapped import Mapped, located
from genkit_data.shards import matching, together
from genkit_data.stored import SUFFIXES, Array, Stored

WIDE = 4
"""The bytes of a number above which float32 may lose digits that a range brings out."""
NAMED = 5
"""The number of names that a note lists."""


SHARE = 4
"""The part of the free memory that data may take, 1/4: more stay in their files."""


class _Part(NamedTuple):
    """The data of one file."""

    x: Data
    labels: Array | None
    notes: tuple[str, ...]


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
        path: Annotated[
            Files,
            Field(
                description="the file: .npy, .npz or .safetensors; or several, whose data follow each other: a list, "
                f"or a pattern such as part-*.npy; {RELATIVE}"
            ),
        ]
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
        mapped: Annotated[
            bool | None,
            Field(
                description="whether data stay in their files (.npy or .safetensors), and are read batch by batch; "
                "null: where they would take more than a quarter of the free memory"
            ),
        ] = None

    config: Config

    def load(self) -> RawData:
        """Read the files; raises DataError naming the file, and what it holds where a name is wrong."""
        paths = matching(self.config.path, "data.path")
        if self.config.range is not None and not self.config.range[0] < self.config.range[1]:
            low, high = self.config.range
            raise DataError(f"data.range: the least value {low:g} must lie below the greatest, {high:g}")
        mapped = self._is_mapped(paths)
        parts = [self._part(path, mapped) for path in paths]
        labels, classes = _coded(self._labels([part.labels for part in parts], paths))
        x = together([part.x for part in parts], paths, "data.path")
        sizes = f"{len(x) * math.prod(x.shape[1:]) * x.dtype.itemsize / 2**30:.1f} GiB"
        files = f"{len(paths)} files" if len(paths) > 1 else "one file"
        where = (f"{sizes} in {files}, read batch by batch",) if mapped else ()
        notes = dict.fromkeys(note for part in parts for note in part.notes)
        return RawData(Split(x, labels), classes=classes, notes=(*notes, *where))

    def _is_mapped(self, paths: Sequence[Path]) -> bool:
        """Whether the data stay in their files; raises DataError where they are to, and cannot."""
        others = [path for path in paths if path.suffix not in MAPPABLE]
        if self.config.mapped is not None or others:
            if self.config.mapped and others:
                raise DataError(
                    f"data.mapped: {others[0]} is none of {', '.join(MAPPABLE)}, whose arrays lie in one piece; "
                    "write it as .npy, or leave the option out"
                )
            return bool(self.config.mapped)
        available = free(torch.device("cpu"))
        needed = sum(located(path, self.config.key, "data.path").in_memory for path in paths)
        return available is not None and SHARE * needed > available

    def _part(self, path: Path, mapped: bool) -> _Part:
        """The data of one file."""
        name = self.config.key if path.suffix != ".npy" else "x"
        if mapped:
            place = located(path, name, "data.path")
            empty = self._scaled(_numbers(np.empty((0, *place.shape[1:]), place.number), path))
            return _Part(Mapped(place, self._scaled, empty.dtype), self._own_labels(path), _conversion(place.number))
        arrays = Stored(path, "data.path")
        x = _numbers(_named(arrays, name, path, "data.key"), path)
        read = {name, "labels" if self.config.labels is None else self.config.labels}
        others = sorted(arrays.keys() - read)
        left = (f"left out: {len(others)} arrays of the file ({', '.join(others[:NAMED])})",) if others else ()
        return _Part(self._scaled(x), self._own_labels(path, arrays), (*_conversion(x.dtype), *left))

    def _own_labels(self, path: Path, arrays: Mapping[str, Array] | None = None) -> Array | None:
        """The labels that are in the file of the data; None: there are none."""
        name = self.config.labels
        if path.suffix == ".npy" or (name is not None and Path(name).suffix in SUFFIXES):
            return None
        arrays = Stored(path, "data.path") if arrays is None else arrays
        return arrays.get("labels") if name is None else _named(arrays, name, path, "data.labels")

    def _labels(self, own: Sequence[Array | None], paths: Sequence[Path]) -> Array | None:
        """The labels of all data: those of their files, or of a file of labels."""
        name = self.config.labels
        if name is not None and Path(name).suffix in SUFFIXES:
            file = Path(name).expanduser()
            others = Stored(file, "data.labels")
            return others["labels"] if "labels" in others else _named(others, "x", file, "data.labels")
        if name is not None and any(labels is None for labels in own):
            return _named({}, name, paths[0], "data.labels")
        there = [labels for labels in own if labels is not None]
        if there and len(there) < len(own):
            without = next(path for labels, path in zip(own, paths, strict=True) if labels is None)
            raise DataError(f"data.path: {without} holds no labels, and other files do; all have them, or none")
        return np.concatenate(there) if there else None

    def _scaled(self, x: Array) -> Tensor:
        """The numbers as float32, or as bytes where they are and no range is stated; wide types keep their digits."""
        if self.config.range is None:
            return torch.from_numpy(x if x.dtype == np.uint8 else x.astype(np.float32, copy=False))
        low, high = self.config.range
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


def _conversion(dtype: np.dtype[Any]) -> tuple[str, ...]:
    return () if dtype in (np.uint8, np.float32) else (f"{dtype}, read as float32",)


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
