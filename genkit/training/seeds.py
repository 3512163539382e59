"""The random state of each epoch of a run."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


def seed_torch(seed: int) -> None:
    """Seed torch's generator of every device, as torch.manual_seed does, and at less cost where there is only the CPU.

    For each sort of accelerator that is not in use, torch.manual_seed keeps the stack of its caller: a millisecond.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def seed_everything(seed: int, epoch: int) -> None:
    """Seed every global random generator for one epoch of a run (0: before the first epoch)."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64)
    seed_torch(int(words[0] >> np.uint64(1)))
    np.random.seed(int(words[1] & np.uint64(0xFFFFFFFF)))
    random.seed(int(words[1]))


@contextlib.contextmanager
def own_random_state() -> Iterator[None]:
    """Restore every global random generator's state after the block."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
