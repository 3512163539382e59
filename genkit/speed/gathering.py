"""Threads of a team that share cores while other work has the rest.

The threads of a team wait for each other at every layer. Where each has a core that it shares with other work, one of
them is nearly always out of turn, and all others wait for it. Two threads on one core take turns, as one thread would
that did the work of both, and the scheduler leaves that core to them. So while other work has the cores, the threads
of a team are put together: in each group the first goes where the scheduler has it, and the others follow. The
number of threads stays, and so does each number that they compute.
"""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import NamedTuple

from genkit.parallel.cores import usable

TASKS = Path("/proc/self/task")
BOUND = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY")
"""The environment variables by which users say on which cores threads are."""


def per_core(cores: int, others: float) -> int:
    """How many threads of a team there should be on a core, where each of so many cores would have one.

    Args:
        cores: the number of cores.
        others: how many of them other work takes.
    """
    return max(1, round(cores / max(1.0, cores - others)))


class Task(NamedTuple):
    """A thread, as Linux sees it."""

    ticks: int
    """How long it has computed, in the unit of the kernel."""
    core: int
    """The number of the core where it runs, or ran last."""


def tasks() -> dict[int, Task]:
    """The threads of this process, by their numbers."""
    threads = {}
    for folder in TASKS.iterdir():
        with contextlib.suppress(OSError):  # it has ended
            fields = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            threads[int(folder.name)] = Task(int(fields[11]) + int(fields[12]), int(fields[36]))
    return threads


class Gathering:
    """The team of the thread that makes this.

    The threads of a team are told by what they compute: they are not Python's, and are the busiest of these.

    Args:
        count: the number of threads in the team.
    """

    def __init__(self, count: int) -> None:
        self.first, self.count, self.cores = threading.get_native_id(), count, usable()
        self.allowed = not any(name in os.environ for name in BOUND)
        self.followers: set[int] = set()
        """The threads that are bound to the core of another."""
        self._ticks: dict[int, int] = {}

    def look(self, others: float) -> None:
        """Put threads together, or let them go.

        Args:
            others: how many cores other work takes.
        """
        size = per_core(len(self.cores), others) if self.allowed else 1
        if size == 1:
            self.end()
            return
        now = tasks()
        team = [self.first, *sorted(self._busy(now))]
        leaders = {tid: team[place - place % size] for place, tid in enumerate(team)}
        following = {tid for tid, leader in leaders.items() if tid != leader and leader in now}
        for tid in following:
            self._bind(tid, {now[leaders[tid]].core})
        for tid in self.followers - following:
            self._bind(tid, self.cores)
        self.followers = following

    def end(self) -> None:
        """Let all threads go."""
        for tid in self.followers:
            self._bind(tid, self.cores)
        self.followers, self._ticks = set(), {}

    def _busy(self, now: dict[int, Task]) -> list[int]:
        """The numbers of the other threads of the team: those that have computed most since the last look."""
        python = {thread.native_id for thread in threading.enumerate()} | {self.first}
        spent = {tid: task.ticks - self._ticks.get(tid, task.ticks) for tid, task in now.items() if tid not in python}
        self._ticks = {tid: task.ticks for tid, task in now.items()}
        return sorted((tid for tid, ticks in spent.items() if ticks > 0), key=lambda tid: -spent[tid])[: self.count - 1]

    def _bind(self, tid: int, cores: set[int]) -> None:
        try:
            os.sched_setaffinity(tid, cores)
        except ProcessLookupError:  # it has ended
            pass
        except OSError:  # a container that forbids it
            self.allowed = False
