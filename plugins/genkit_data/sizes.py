"""Sizes of files before they are believed: what is opened is a file, and what it promises fits into the memory."""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genkit.errors import DataError
from genkit.runs.memory import free

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "a device"),
)


def check_file(path: Path, option: str = "") -> int:
    """The size in bytes of a regular file; a pipe is never opened, which would wait for ever.

    Raises:
        DataError: there is no such file, or it is none; after the option that names it.
    """
    where = f"{option}: {path}" if option else str(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        raise DataError(f"{where}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{where}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in KINDS if is_kind(status.st_mode)), "no file")
        raise DataError(f"{where}: cannot be read: it is {kind}, not a file")
    return status.st_size


def check_memory(needed: int, where: str) -> None:
    """Refuse to read what takes more than the free memory; raises DataError with both sizes."""
    available = free(torch.device("cpu"))
    if available is not None and needed > available:
        raise DataError(
            f"{where}: takes {needed / 2**30:,.1f} GiB of memory, and {available / 2**30:,.1f} GiB are free; take "
            "fewer data, or another machine"
        )


def check_array(shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> None:
    """Refuse an array that takes more than the free memory, in its own type and in float32; raises DataError."""
    count = math.prod(shape)
    converted = 0 if dtype in (np.uint8, np.float32) else 4 * count
    check_memory(count * dtype.itemsize + converted, where)
