"""Shorter waits of threads, and threads put together, while other work has cores.

GNU's OpenMP, with which PyTorch computes on Linux, lets a thread that waits for others turn in a loop. While there are
more OpenMP threads in the process than cores, it turns a few times and sleeps, whatever `GOMP_SPINCOUNT` says
(libgomp, `config/linux/wait.h`). A second team of threads, which never computes, makes them more than the cores; once
it ends, threads wait as before. No number changes: sums are taken by the same threads in the same order. Where other
work has most of the cores, threads share those that are left, too (`gathering.py`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

import torch

from genkit.parallel.cores import Usage, usable
from genkit.speed.gathering import Gathering

POLICY = "OMP_WAIT_POLICY"
"""The environment variable by which users say how threads wait."""
SECONDS = 0.25
"""The time between two looks at what other work takes."""
CROWDED, FREE = 0.4, 0.2
"""The cores taken by other work from which threads wait shortly, and below which they wait as usual."""
GRAIN = 32768
"""The number of values that torch leaves to one thread, `at::internal::GRAIN_SIZE`."""


class Team:
    """A second team of threads, which exists from `start` to `end` and never computes but once.

    The threads of a team end with the thread that began it.
    """

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def exists(self) -> bool:
        """Whether the team is there."""
        return self._thread is not None

    def start(self) -> None:
        """Make the team, if it is not there."""
        if self._thread is None:
            self._over.clear()
            self._thread = threading.Thread(target=self._hold, name="genkit-team", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """End the team, if it is there."""
        if self._thread is not None:
            self._over.set()
            self._thread.join()
            self._thread = None

    def _hold(self) -> None:
        torch.zeros(GRAIN * torch.get_num_threads())  # an operation on all threads makes them
        self._over.wait()


@contextlib.contextmanager
def waiting_by_load(device: torch.device) -> Iterator[None]:
    """Let threads wait shortly, and share cores, in the block while other work has cores, and as usual else.

    It does nothing where one thread computes, on other systems than Linux, and where `OMP_WAIT_POLICY` is set.

    Args:
        device: the device that computes; where it is no CPU, its threads have other work.
    """
    if device.type != "cpu" or not _helps():
        yield
        return
    over, gathering = threading.Event(), Gathering(torch.get_num_threads())
    watcher = threading.Thread(target=_watch, args=(over, gathering), name="genkit-load", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _helps() -> bool:
    threads = torch.get_num_threads()
    return sys.platform == "linux" and POLICY not in os.environ and threads > 1 and 2 * threads - 1 > len(usable())


def _watch(over: threading.Event, gathering: Gathering) -> None:
    """Make and end a team, and put threads together, by what other work takes, until it is over."""
    team, before = Team(), Usage.now()
    try:
        while before is not None and not over.wait(SECONDS):
            now = Usage.now()
            others = None if now is None else now.others_since(before)
            if others is not None:
                gathering.look(others)
                if others >= CROWDED:
                    team.start()
                elif others < FREE:
                    team.end()
            before = now
    finally:
        gathering.end()
        team.end()
