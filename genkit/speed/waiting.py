"""How threads wait for each other: a short while at work, then asleep.

PyTorch computes with GNU's OpenMP on Linux. A thread that waits for others there turns in a loop until they are ready,
300,000 times before it sleeps. Where other work has some of the cores, the one waited for may not be running at all,
and the loop takes the core that it needs. How long threads wait changes no number.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping

VARIABLE = "GOMP_SPINCOUNT"
"""The environment variable that holds the number of turns; it is read once, when torch is imported."""
OTHERS = ("OMP_WAIT_POLICY", VARIABLE)
"""The variables by which users say how threads wait."""
TURNS = 10_000
"""The number of turns, longer than the time between two operations of a step; docs/speed.md has measurements."""


def wait_briefly(environment: MutableMapping[str, str] = os.environ) -> bool:
    """Let threads wait only briefly, unless the environment says how they wait, or torch is imported already.

    Returns:
        Whether it does so.
    """
    if "torch" in sys.modules or any(name in environment for name in OTHERS):
        return False
    environment[VARIABLE] = str(TURNS)
    return True
