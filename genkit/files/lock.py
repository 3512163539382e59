"""The lock of a folder: one process writes there, and the operating system frees it when that process ends."""

from __future__ import annotations

import contextlib
import os
import platform
import warnings
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from genkit.errors import GenkitWarning, RunError

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder in the block. Where the file system has no locks, a warning says so.

    The lock is held on an open file, so that a killed process holds nothing; the text of the file names its holder.

    Raises:
        RunError: another process holds the lock; the message names it.
    """
    path = folder / NAME
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        holder = _holder(path)
        raise RunError(f"{folder}: {holder} writes there now; wait for its end, or choose another --out") from None
    except (OSError, NotImplementedError) as error:
        message = f"{folder}: cannot be locked ({error}); see to it that no other process writes there"
        warnings.warn(message, GenkitWarning, stacklevel=2)
    try:
        if lock.is_locked:
            with contextlib.suppress(OSError):  # on a full disk the holder has no name, and the lock holds all the same
                path.write_text(f"process {os.getpid()} on {platform.node()}\n", "utf-8")
        yield
    finally:
        if lock.is_locked:
            path.unlink(missing_ok=True)
        lock.release()


def _holder(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip() or "another process"
    except (OSError, ValueError):
        return "another process"
