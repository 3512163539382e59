"""The IDX format of MNIST and its relatives.

Two zero bytes, a byte for the type (0x08: unsigned byte), a byte for the number of dimensions, each dimension as a
big-endian 32-bit number, then the values.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from genkit.errors import DataError
from genkit_data.sizes import check_file, check_memory

UNSIGNED_BYTE = 0x08
BLOCK = 2**24
"""The bytes that are decompressed at once."""


def read(path: Path) -> Tensor:
    """The array (uint8) of an IDX file of unsigned bytes; its content, not its name, tells whether it is gzipped.

    Raises:
        DataError: the file is missing, empty, cut short, or not in this format; the message names it.
    """
    size = check_file(path)
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not zipped:
                return _read(raw, path, size)
            with gzip.open(raw) as stream:
                return _read(stream, path, None)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip file is damaged or cut short ({error}); copy or download it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _read(stream: BinaryIO | gzip.GzipFile, path: Path, size: int | None) -> Tensor:
    """The array of a stream: as many bytes as its header promises, and never more.

    Args:
        stream: the content of the file.
        path: the file, for messages.
        size: the bytes of the content; None: not known before they are read.
    """
    shape = _shape(stream, path)
    promised = math.prod(shape)
    text = f"promises {'x'.join(map(str, shape))} and holds"
    held = None if size is None else size - 4 - 4 * len(shape)
    if held is not None and held != promised:
        raise DataError(f"{path}: {text} {held} values; copy it again")
    check_memory(promised, str(path))
    array = np.empty(promised, np.uint8)
    count = 0
    while count < promised and (block := stream.read(min(BLOCK, promised - count))):
        array[count : count + len(block)] = np.frombuffer(block, np.uint8)
        count += len(block)
    if stream.read(1):
        raise DataError(f"{path}: {text} more than {promised} values; copy it again")
    if count < promised:
        raise DataError(f"{path}: {text} {count} values; copy it again")
    return torch.from_numpy(array.reshape(shape))


def _shape(stream: BinaryIO | gzip.GzipFile, path: Path) -> tuple[int, ...]:
    """The sizes in the header; raises DataError where it is none."""
    start = stream.read(4)
    if not start:
        raise DataError(f"{path}: the file is empty; copy or download it again")
    zeros, kind, dimensions = struct.unpack(">HBB", start) if len(start) == 4 else (1, 0, 0)
    if zeros != 0 or kind != UNSIGNED_BYTE or dimensions == 0:
        raise DataError(f"{path}: is no IDX file of bytes: it starts with 0x{start.hex()}, not with 0x0000080N")
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError(f"{path}: promises its sizes and holds 0 values; copy it again")
    return struct.unpack(f">{dimensions}I", sizes)
