"""Recordings: series as their files hold them, before they are cut into windows or padded.

N series, T steps of one of them, F channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genkit.errors import DataError
from genkit.text import printable
from genkit_data.stored import SUFFIXES, Stored

MISSING = frozenset(("", "?", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"))
"""What stands for a missing value in text."""

Array = np.ndarray[Any, Any]


class Recordings(NamedTuple):
    """Series of a file, each (T, F) in float64 with NaN where a value is missing."""

    where: str
    """The option and the file, for messages."""
    series: list[Array]
    channels: tuple[str, ...] = ()
    """The names of the F channels; (): they have none."""
    labels: list[str] | None = None
    """The label of each series; None: there are none."""
    classes: tuple[str, ...] | None = None
    """The names of the classes as the file lists them; None: it lists none."""
    ids: list[str] | None = None
    """The name of each series; None: they have numbers alone."""
    times: list[list[str]] | None = None
    """The time of each step of each series, as it is written; None: steps have numbers alone."""
    marks: list[list[str]] | None = None
    """The label of each step of each series; None: there are none."""
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()

    def name(self, number: int) -> str:
        """The name of a series, for messages."""
        return f"series {number}" if self.ids is None else f"series '{printable(self.ids[number], 40)}'"

    def check(self) -> Recordings:
        """The recordings themselves; raises DataError where a series has no step."""
        for number, values in enumerate(self.series):
            if len(values) == 0:
                raise DataError(
                    f"{self.where}: {self.name(number)} has a length of 0; leave it out, as it says nothing"
                )
        return self


def of_arrays(path: Path, key: str, option: str) -> Recordings:
    """The series of a .npy, .npz or .safetensors file.

    x (T,) is one series of one channel, (T, F) one of F, or N of one channel where `lengths` (N,) stand beside it, and
    (N, T, F) are N series; of different lengths where `lengths` say so, or as `values` (ΣT, F) with the place of each
    one's first step, `offsets` (N,) or, with the end, (N + 1,). `labels` (N,) may stand beside them.

    Raises:
        DataError: the file holds none of these, or they do not fit each other.
    """
    arrays, where = Stored(path, option), f"{option}: {path}"
    if "offsets" in arrays and "values" in arrays:
        series = _by_offsets(_numbers(arrays["values"], where), arrays["offsets"], where)
    else:
        name = key if path.suffix != ".npy" else "x"
        if name not in arrays:
            raise DataError(
                f"{where}: holds no '{printable(name)}'; it holds {', '.join(sorted(arrays)) or 'nothing'}: data.key "
                "names the array"
            )
        series = _by_lengths(_numbers(arrays[name], where), arrays.get("lengths"), where)
    labels = [str(label) for label in arrays["labels"].tolist()] if "labels" in arrays else None
    if labels is not None and len(labels) != len(series):
        raise DataError(f"{where}: {len(series):,} series and {len(labels):,} labels; one label per series")
    return Recordings(where, series, labels=labels).check()


def _numbers(array: Array, where: str) -> Array:
    if array.dtype.kind not in "fiub":
        raise DataError(f"{where}: holds {array.dtype}, not numbers")
    return array.astype(np.float64)


def _by_lengths(x: Array, lengths: Array | None, where: str) -> list[Array]:
    """The series of x: (T,) or (T, F) one, (N, T, F) N; with lengths (N,) the first steps of (N, T) or (N, T, F)."""
    if x.ndim not in (1, 2, 3) or x.size == 0:
        raise DataError(f"{where}: has shape {x.shape}; series are (T,), (T, F) or (N, T, F), with steps in them")
    if lengths is None:
        return list(x) if x.ndim == 3 else [x.reshape(len(x), -1)]
    if x.ndim == 1 or lengths.shape != (len(x),) or lengths.dtype.kind not in "iu":
        raise DataError(
            f"{where}: lengths of shape {lengths.shape} and type {lengths.dtype} beside x {x.shape}; they are whole "
            "numbers (N,), one for each series of x (N, T, F)"
        )
    if int(lengths.min()) < 0 or int(lengths.max()) > x.shape[1]:
        raise DataError(
            f"{where}: lengths go from {lengths.min()} to {lengths.max()}, and x has {x.shape[1]} steps: they go from "
            f"1 to {x.shape[1]}"
        )
    steps = x[:, :, np.newaxis] if x.ndim == 2 else x
    return [values[:length] for values, length in zip(steps, lengths.tolist(), strict=True)]


def _by_offsets(values: Array, offsets: Array, where: str) -> list[Array]:
    """The series that lie one after the other in values (ΣT, F)."""
    values = values.reshape(len(values), -1)
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or len(offsets) == 0 or offsets[0] != 0:
        raise DataError(f"{where}: offsets are whole numbers (N,), the first is 0, not {offsets.dtype} {offsets.shape}")
    ends = offsets if offsets[-1] == len(values) and len(offsets) > 1 else np.append(offsets, len(values))
    if bool((np.diff(ends) < 0).any()):
        number = int((np.diff(ends) < 0).argmax())
        raise DataError(
            f"{where}: offsets must rise up to the {len(values):,} rows of values; series {number} would begin at "
            f"{ends[number]} and end at {ends[number + 1]}"
        )
    return [values[start:end] for start, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]


def is_of_arrays(path: Path) -> bool:
    """Whether a file holds arrays, by its suffix."""
    return path.suffix in SUFFIXES
