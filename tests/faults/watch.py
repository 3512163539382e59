"""Watching a command in this process: what it raises, how long it computes, how much memory it takes."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

SECONDS = 10.0
"""The seconds of a processor after which a command counts as hanging."""
WALL = 60.0
"""The seconds of a clock after which it does: a busy machine is slow, but a pipe would be read for ever."""
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class HangError(BaseException):
    """A command hangs; no `except Exception` stops this."""


class Peak:
    """The greatest memory of a block, in bytes beyond that at its start; 0 where Linux does not tell."""

    size = 0


def _memory(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


@contextlib.contextmanager
def watched() -> Iterator[Peak]:
    """Raise HangError in the block where it takes too long, and say afterwards how much memory it took."""

    def hang(number: int, frame: object) -> None:
        raise HangError(f"it runs for more than {SECONDS:.0f} s")

    peak, start = Peak(), 0
    with contextlib.suppress(OSError, StopIteration):
        CLEAR.write_text("5")
        start = _memory("VmRSS")
    usual = {number: signal.signal(number, hang) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WALL)
    try:
        yield peak
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in usual.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError, StopIteration):
            peak.size = max(0, _memory("VmHWM") - start)
