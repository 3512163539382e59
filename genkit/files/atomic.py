"""Atomic writing: a file is replaced whole or not at all, and what a killed process left half written is removed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from genkit.errors import RunError

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # Windows has no such locks: what a killed process left stays there
    flock = None  # type: ignore[assignment]

PREFIX = ".genkit-"
"""The start of the names of temporary files."""


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, with the same suffix, that replaces `path` when the block ends without an error.

    Temporary files that killed processes left for the same path are removed.

    Raises:
        RunError: the file cannot be written; the old file at `path` is still there.
    """
    temporary: Path | None = None
    handle: int | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, f"{PREFIX}{path.stem}-*{path.suffix}")
        handle, name = tempfile.mkstemp(prefix=f"{PREFIX}{path.stem}-", suffix=path.suffix, dir=path.parent)
        _lock(handle)
        temporary = Path(name)
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}; choose a place that can be written") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sweep(folder: Path, pattern: str = f"{PREFIX}*") -> None:
    """Remove the temporary files in a folder that no process writes any more."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError), path.open("rb") as stream:
            if _lock(stream.fileno()):
                path.unlink(missing_ok=True)


def _lock(handle: int) -> bool:
    """Lock an open file until it is closed, by whatever end of the process; False: another process holds it."""
    if flock is None:
        return False
    try:
        flock(handle, LOCK_EX | LOCK_NB)
    except OSError:  # or this file system has no locks
        return False
    return True


def _sync(path: Path) -> None:
    """Make sure that the content is on the disk before the name points to it."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
