"""The random state of each epoch of a run."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping
from typing import Any

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


def seed_everything(seed: int, epoch: int, attempt: int = 0) -> None:
    """Seed every global random generator for one epoch of a run (0: before the first epoch).

    Args:
        seed: the seed of the run.
        epoch: the number of the epoch.
        attempt: how often training was taken back before; each time gives other draws.
    """
    entropy = [seed, epoch, attempt] if attempt else [seed, epoch]
    words = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    seed_torch(int(words[0] >> np.uint64(1)))
    np.random.seed(int(words[1] & np.uint64(0xFFFFFFFF)))
    random.seed(int(words[1]))


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of every global random generator: tensors, and plain values."""
    _, words, *rest = np.random.get_state()
    numpy_state = [np.asarray(words).tolist(), *rest]
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "numpy": numpy_state, "python": random.getstate()}
    if device.type != "cpu":
        state["device"] = torch.get_device_module(device).get_rng_state()
    return state


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Restore a state of `random_state`, which may have gone through JSON."""
    torch.set_rng_state(state["torch"])
    words, *rest = state["numpy"]
    np.random.set_state(("MT19937", words, *rest))
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    if "device" in state and device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state["device"])


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
