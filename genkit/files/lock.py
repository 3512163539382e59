"""The lock of a folder: one process writes there, and the operating system frees it when that process ends."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from genkit.errors import GenkitWarning, RunError

try:
    from fcntl import LOCK_NB, LOCK_SH, flock
except ImportError:  # Windows
    flock = None  # type: ignore[assignment]

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


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder now; the lock of a process that was killed is held by nobody.

    Nothing is written, and a process that takes the lock meanwhile gets it, but for the moment of the question where
    the file of the lock was left behind by another machine.
    """
    path = folder / NAME
    if not path.is_file() or _is_dead(_holder(path)):
        return False
    if flock is None:  # there the system refuses to remove a file that is open
        return True
    try:
        with path.open("rb") as stream:
            flock(stream, LOCK_SH | LOCK_NB)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES)
    return False


def _is_dead(holder: str) -> bool:
    """Whether the holder is a process of this machine that is no more."""
    words = re.fullmatch(r"process ([0-9]{1,9}) on (.*)", holder)
    if words is None or words[2] != platform.node() or os.name != "posix":
        return False
    try:
        os.kill(int(words[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is another user's
        return False
    return False


def _holder(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip() or "another process"
    except (OSError, ValueError):
        return "another process"
