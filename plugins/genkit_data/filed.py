"""Data of one or several files of arrays, in memory or read where they are.

N data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces.reader import Data
from genkit.runs.memory import free
from genkit_data.coding import Array
from genkit_data.mapped import SUFFIXES as MAPPABLE
from genkit_data.mapped import Mapped, located
from genkit_data.opened import Opened
from genkit_data.scales import conversion, scaled
from genkit_data.shards import together
from genkit_data.stored import NPY

SHARE = 4
"""The part of the free memory that data may take, 1/4: more stay in their files."""
REAL = "fiub"
"""The kinds of numpy's types that are real numbers."""


class Files(NamedTuple):
    """The files of the data of a split."""

    paths: Sequence[Path]
    key: str
    """The name of the array in each file; a .npy file has one, x."""
    option: str = "data.path"
    """The option that names the files, for messages."""
    of_key: str = "data.key"
    """The option that names the array."""
    joined: bool = False
    """Whether all axes but the last count data: (sequences, positions, d) -> (N, d)."""

    def name(self, path: Path) -> str:
        """The name of the array in a file."""
        return "x" if path.suffix == NPY else self.key


def stay_in_files(splits: Iterable[Files], mapped: bool | None) -> bool:
    """Whether data stay in their files: as the option says, or where they would take too much of the free memory.

    Raises:
        DataError: the option asks for it, and the arrays of a file do not lie in one piece.
    """
    splits = list(splits)
    others = [path for files in splits for path in files.paths if path.suffix not in MAPPABLE]
    if mapped is not None or others:
        if mapped and others:
            raise DataError(
                f"data.mapped: {others[0]} is none of {', '.join(MAPPABLE)}, whose arrays lie in one piece; "
                "write it as .npy, or leave the option out"
            )
        return bool(mapped)
    try:
        places = [located(path, files.name(path), files.option) for files in splits for path in files.paths]
    except DataError:  # reading says what is wrong, or reads types that cannot be mapped
        return False
    available = free(torch.device("cpu"))
    return available is not None and SHARE * sum(place.in_memory for place in places) > available


def read(
    files: Files, mapped: bool, limits: tuple[float, float] | None, opened: Opened
) -> tuple[Data, tuple[str, ...]]:
    """The data (N, *shape) of files, one after the other, and notes.

    Args:
        files: the files.
        mapped: whether the data stay in them.
        limits: the values that become 0 and 1; None: values stay as they are.
        opened: the files that are open.

    Raises:
        DataError: a file cannot be read, holds no numbers, or data of another shape or type than the file before.
    """
    part = partial(_mapped if mapped else _resident, files=files, convert=partial(scaled, limits=limits), opened=opened)
    parts = [part(path) for path in files.paths]
    x = together([data for data, _ in parts], files.paths, files.option)
    types = dict.fromkeys(note for _, dtype in parts for note in conversion(dtype))
    size = f"{len(x) * math.prod(x.shape[1:]) * x.dtype.itemsize / 2**30:.1f} GiB"
    count = f"{len(parts)} files" if len(parts) > 1 else "one file"
    return x, (*types, *((f"{size} in {count}, read batch by batch",) if mapped else ()))


Convert = Callable[[Array], Tensor]
Part = tuple[Data, np.dtype[Any]]


def _resident(path: Path, files: Files, convert: Convert, opened: Opened) -> Part:
    array = opened.array(path, files.name(path), files.option, files.of_key)
    _check_numbers(array.dtype, f"{files.option}: {path}")
    if files.joined:
        array = array.reshape(_rows(array.shape, f"{files.option}: {path}"))
    return convert(array[:, np.newaxis] if array.ndim == 1 else array), array.dtype


def _mapped(path: Path, files: Files, convert: Convert, opened: Opened) -> Part:
    place = located(path, files.name(path), files.option)
    _check_numbers(place.number, f"{files.option}: {path}")
    if files.joined:
        place = place._replace(shape=_rows(place.shape, f"{files.option}: {path}", place.order))
    kept = torch.uint8 if convert(np.empty((0, 1), place.number)).dtype == torch.uint8 else torch.float32
    return Mapped(place, convert, kept), place.number


def _rows(shape: tuple[int, ...], where: str, order: str = "C") -> tuple[int, ...]:
    """The shape (N, d) of data whose last axis is d; raises DataError where there is no such axis."""
    if len(shape) < 2 or (len(shape) > 2 and order != "C"):
        raise DataError(f"{where}: holds an array of shape {shape}, not (N, d) or (sequences, positions, d) in C order")
    return math.prod(shape[:-1]), shape[-1]


def _check_numbers(dtype: np.dtype[Any], where: str) -> None:
    """Refuse a type that is none of real numbers; raises DataError with the types that are read."""
    if dtype.kind in REAL:
        return
    remedies = {
        "c": "; take their magnitude, or real and imaginary parts beside each other",
        "V": "; numpy keeps bfloat16 so, which .safetensors names: save it as that",
    }
    raise DataError(
        f"{where}: holds {dtype}, not numbers that are read: floating-point, whole, or true and false"
        f"{remedies.get(dtype.kind, '')}"
    )
