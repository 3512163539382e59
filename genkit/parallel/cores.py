"""The cores that this process may use, and how many of them other work takes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import torch

STATISTICS = Path("/proc/stat")
SHORTEST = 0.1
"""The seconds below which the counters of Linux, which move in hundredths, say too little."""


def usable() -> set[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


class Usage(NamedTuple):
    """The time that was computed until now, in core-seconds."""

    clock: float
    """The seconds of a clock."""
    everything: float
    """What all processes have computed on the cores that this one may use."""
    own: float
    """What this process has computed."""

    @classmethod
    def now(cls) -> Usage | None:
        """The usage now; None where it is not told, as on other systems than Linux."""
        try:
            lines = STATISTICS.read_text(encoding="ascii").splitlines()
        except OSError:
            return None
        names = {f"cpu{number}" for number in usable()}
        busy = 0.0
        for name, *counters in map(str.split, lines):
            if name in names:
                user, nice, system, _, _, interrupts, soft, stolen = map(int, counters[:8])
                busy += user + nice + system + interrupts + soft + stolen
        return cls(time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), time.process_time())

    def others_since(self, earlier: Usage) -> float | None:
        """How many cores other work took, from 0 to all of them; None where the time was too short to tell."""
        seconds = self.clock - earlier.clock
        if seconds < SHORTEST:
            return None
        others = (self.everything - earlier.everything - (self.own - earlier.own)) / seconds
        return min(max(others, 0.0), float(len(usable())))


def free(others: float | None) -> int:
    """The number of threads for which there are cores, at least 1 and at most as many as torch takes.

    Args:
        others: how many cores other work takes; None: not known, which counts as none.
    """
    return max(1, min(torch.get_num_threads(), round(len(usable()) - (others or 0.0))))
