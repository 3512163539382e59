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

import numpy as np
import torch
from torch import Tensor

from genkit.errors import DataError

UNSIGNED_BYTE = 0x08


def read(path: Path) -> Tensor:
    """The array (uint8) of an IDX file of unsigned bytes; its content, not its name, tells whether it is gzipped.

    Raises:
        DataError: the file is missing, empty, cut short, or not in this format; the message names it.
    """
    content = _content(path)
    if not content:
        raise DataError(f"{path}: the file is empty; copy or download it again")
    zeros, kind, dimensions = struct.unpack(">HBB", content[:4]) if len(content) >= 4 else (1, 0, 0)
    if zeros != 0 or kind != UNSIGNED_BYTE or dimensions == 0:
        first_bytes = content[:4].hex()
        raise DataError(f"{path}: is no IDX file of bytes: it starts with 0x{first_bytes}, not with 0x0000080N")
    start = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", content[4:start]) if len(content) >= start else ()
    if not shape or len(content) - start != math.prod(shape):
        size = "x".join(map(str, shape)) or "its sizes"
        raise DataError(f"{path}: promises {size} and holds {max(0, len(content) - start)} values; copy it again")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: the gzip file is damaged or cut short ({error}); copy or download it again") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
