"""A crash of this process: a signal at its n-th file operation in a folder, or after some seconds."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
PATHS = {"os.rename": 2, "os.link": 2, "os.remove": 1, "os.mkdir": 1, "os.chmod": 1, "os.truncate": 1, "os.rmdir": 1}
"""Audited operations besides `open`, with how many of their first arguments are paths."""
TORN = 10
"""How many bytes of a file are lost when the power goes before they are on the disk."""


class Crash(NamedTuple):
    """When and how a process ends."""

    signal: int = signal.SIGKILL
    operation: int | None = None
    """The number of the file operation before which it ends, from 1."""
    seconds: float | None = None
    """The seconds after which it ends."""
    torn: bool = False
    """Whether a file that was not synced yet loses its last bytes."""


class Operations:
    """Counts the operations that change files below a folder, and crashes before one of them.

    Args:
        folder: the folder.
        crash: when and how to end; None: only count.
    """

    def __init__(self, folder: Path, crash: Crash | None = None) -> None:
        self.folder, self.crash, self.count = _absolute(folder), crash, 0

    def arm(self) -> None:
        """From here on operations are counted. There is no way back: this is for a process of its own."""
        sync = os.fsync

        def counted(handle: int) -> None:
            if self._below(Path(f"/proc/self/fd/{handle}").readlink()):
                self._next(handle)
            sync(handle)

        os.fsync = counted
        sys.addaudithook(self._audit)
        if self.crash is not None and self.crash.seconds is not None:
            threading.Thread(target=self._later, args=[self.crash.seconds], daemon=True).start()

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = (mode is not None and set(mode) & set("wax+")) or (mode is None and (flags or 0) & WRITES)
            if writes and self._below(path):
                self._next()
        elif event in PATHS and any(map(self._below, arguments[: PATHS[event]])):
            self._next()

    def _below(self, path: object) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and _absolute(path).startswith(self.folder)

    def _next(self, handle: int | None = None) -> None:
        self.count += 1
        if self.crash is not None and self.count == self.crash.operation:
            if self.crash.torn and handle is not None and self.crash.signal == signal.SIGKILL:
                size = os.fstat(handle).st_size
                os.truncate(f"/proc/self/fd/{handle}", max(0, size - TORN))
            os.kill(os.getpid(), self.crash.signal)

    def _later(self, seconds: float) -> None:
        assert self.crash is not None
        time.sleep(seconds)
        os.kill(os.getpid(), self.crash.signal)


def _absolute(path: str | bytes | os.PathLike[Any]) -> str:
    """A path from the root; its links stay, for to follow them would be an operation too."""
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100
