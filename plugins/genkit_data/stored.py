"""Arrays in files, by name: each is read only when it is asked for, after its promised size has been looked at."""

from __future__ import annotations

import contextlib
import math
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from genkit.errors import DataError
from genkit_data.scientific import HDF5, MATLAB, hdf5, mat
from genkit_data.sizes import check_array, check_file

SUFFIXES = (".npy", ".npz", ".safetensors", *HDF5, MATLAB)
NPY = ".npy"
PLAIN = (torch.float16, torch.float32, torch.float64)
"""The types of floating-point numbers that numpy has too."""

# The errors of numpy, zipfile and safetensors for files that are damaged, or hold more than arrays of numbers and text.
DAMAGED = (
    *(OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, NotImplementedError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError),
)

Array = np.ndarray[Any, Any]


class Stored(Mapping[str, Array]):
    """The arrays of a file by name (x in a .npy file), read when they are asked for.

    Args:
        path: the file, with one of the SUFFIXES.
        option: the option that names it, for messages.

    Raises:
        DataError: the file is missing, damaged, no file, or takes more memory than there is; reading an array, too.
    """

    def __init__(self, path: Path, option: str) -> None:
        if path.suffix not in SUFFIXES:
            raise DataError(f"{option}: {path} is none of {', '.join(SUFFIXES)}")
        self.path = path
        self.where = f"{option}: {path}"
        size = check_file(path, option)
        with self._damage():
            self.readers = self._read(path, size)

    def _read(self, path: Path, size: int) -> dict[str, Callable[[], Array]]:
        if path.suffix == ".safetensors":
            return _safetensors(path)
        if path.suffix in HDF5:
            return hdf5(path, self.where)
        return mat(path, self.where) if path.suffix == MATLAB else _numpy(path, size, self.where)

    def __getitem__(self, name: str) -> Array:
        read = self.readers[name]
        with self._damage():
            return read()

    def __contains__(self, name: object) -> bool:
        return name in self.readers

    def __iter__(self) -> Iterator[str]:
        return iter(self.readers)

    def __len__(self) -> int:
        return len(self.readers)

    @contextlib.contextmanager
    def _damage(self) -> Iterator[None]:
        from safetensors import SafetensorError

        try:
            yield
        except (*DAMAGED, MemoryError, SafetensorError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DataError(f"{self.where}: cannot be read as {self.path.suffix}: {reason}") from None


def _safetensors(path: Path) -> dict[str, Callable[[], Array]]:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: partial(_tensor, path, name) for name in file.keys()}  # noqa: SIM118


def _tensor(path: Path, name: str) -> Array:
    """A tensor of a safetensors file; types that numpy lacks, such as bfloat16, as float32."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        tensor = file.get_tensor(name)
    array: Array = (tensor.float() if tensor.is_floating_point() and tensor.dtype not in PLAIN else tensor).numpy()
    return array


def _numpy(path: Path, size: int, where: str) -> dict[str, Callable[[], Array]]:
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            return {"x": partial(_array, path, size, where)}
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(NPY)]
    return {name.removesuffix(NPY): partial(_member, path, name, where) for name in names}


def _array(path: Path, size: int, where: str) -> Array:
    with path.open("rb") as stream:
        _check_header(stream, size, where)
        stream.seek(0)
        array: Array = np.load(stream, allow_pickle=False)
    return array


def _member(path: Path, name: str, where: str) -> Array:
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(name).file_size
        with archive.open(name) as stream:
            _check_header(stream, size, f"{where}, {name}")
        with archive.open(name) as stream:
            array: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def _check_header(stream: IO[bytes], size: int, where: str) -> None:
    """Compare what an array in numpy's format promises with the bytes that there are, and with the free memory.

    Raises:
        ValueError: it promises more, or is in no format of plain arrays.
        DataError: the memory is too small.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version[0]}.{version[1]} of numpy's format holds no plain numbers")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    held, promised = size - stream.tell(), math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or (promised > held and not dtype.hasobject):
        raise ValueError(f"promises an array of shape {shape}, {promised:,} bytes, and holds {held:,}")
    check_array(shape, dtype, where)
