"""Arrays that are read from their files some rows at a time, and that may be larger than memory.

N data, B data that are read at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import Reader
from genkit_data.sizes import check_file

Array = np.ndarray[Any, Any]
Read = Callable[[Array], Tensor]
"""Takes rows of a file (B, *shape), and gives them as the model takes them: float32, or uint8."""

StaysInFiles = Annotated[
    bool | None,
    Field(
        description="whether data stay in their files (.npy or .safetensors), and are read batch by batch; null: where "
        "they would take more than a quarter of the free memory"
    ),
]
"""A config field: whether data are mapped."""

SUFFIXES = (".npy", ".safetensors")
"""The endings of files whose arrays lie in one piece."""
TYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": np.uint16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
"""The types of numbers in .safetensors files; bfloat16 has the upper half of the bits of a float32."""
LONGEST_HEADER = 100_000_000
"""The most bytes of the header of a .safetensors file, as its format has it."""


class Place(NamedTuple):
    """The place of an array in a file."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    """The place of its first byte."""
    order: str = "C"
    half: bool = False
    """Whether its numbers are bfloat16."""

    @property
    def number(self) -> np.dtype[Any]:
        """The type of its numbers, as numpy has it."""
        return np.dtype(np.float32) if self.half else self.dtype

    @property
    def in_memory(self) -> int:
        """The bytes that it takes in memory: bytes as they are, other numbers as float32."""
        return math.prod(self.shape) * (1 if self.dtype == np.uint8 else 4)

    def mapped(self) -> Array:
        """The array (N, *shape), of which only what is used is read; raises DataError where it is empty."""
        if not self.shape or 0 in self.shape:
            raise DataError(f"data.path: {self.path}: holds no data, but an array of shape {self.shape}")
        array = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, "F" if self.order == "F" else "C")
        return array[:, np.newaxis] if array.ndim == 1 else array


class Mapped(Reader):
    """An array in a file, of which only the rows that are needed are read.

    Args:
        place: where it lies.
        read: what makes data of its rows.
        dtype: the type that `read` gives.
    """

    def __init__(self, place: Place, read: Read, dtype: torch.dtype) -> None:
        self.array = place.mapped()
        super().__init__(self.array.shape, dtype)
        self.half, self.convert = place.half, read

    def read(self, rows: Tensor) -> Tensor:
        """The data at some places: rows (B,) -> (B, *shape)."""
        values = np.take(self.array, rows.numpy(), axis=0)  # one thread, and without the lock of the interpreter
        return self.convert((values.astype(np.uint32) << 16).view(np.float32) if self.half else values)

    @property
    def held(self) -> int:
        """None: the system keeps what it has read where there is room, and drops it where there is not."""
        return 0


def located(path: Path, key: str, option: str) -> Place:
    """The place of an array in a .npy or .safetensors file.

    Raises:
        DataError: the file is missing, damaged, shorter than it says, or lacks the array.
    """
    size = check_file(path, option)
    try:
        place = _in_npy(path) if path.suffix == ".npy" else _in_safetensors(path, key)
        held, promised = size - place.offset, math.prod(place.shape) * place.dtype.itemsize
        if min(place.shape, default=0) < 0 or promised > held:
            raise ValueError(f"promises an array of shape {place.shape}, {promised:,} bytes, and holds {held:,}")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{option}: {path}: cannot be read as {path.suffix}: {reason}") from None
    return place


def _in_npy(path: Path) -> Place:
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if dtype.hasobject:
            raise ValueError(f"holds {dtype}, not numbers")
        return Place(path, dtype, shape, stream.tell(), "F" if fortran else "C")


def _in_safetensors(path: Path, key: str) -> Place:
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > LONGEST_HEADER:
            raise ValueError("its header is longer than the format allows")
        header = json.loads(stream.read(length))
    names = sorted(header.keys() - {"__metadata__"})
    if key not in names:
        raise DataError(f"data.key: {path} holds no '{key}'; it holds {', '.join(names) or 'nothing'}")
    about = header[key]
    if about["dtype"] not in TYPES:
        raise ValueError(f"'{key}' is {about['dtype']}, which is no type of numbers that are read")
    dtype, shape = np.dtype(TYPES[about["dtype"]]), tuple(map(int, about["shape"]))
    return Place(path, dtype, shape, 8 + length + int(about["data_offsets"][0]), half=about["dtype"] == "BF16")
