"""The group of processes that torchrun starts: who belongs to it, and what its members tell each other."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from genkit.errors import ConfigError

_groups = itertools.count()
"""Numbers of the groups that this process joins: each process joins them in the same order."""


class Messages(NamedTuple):
    """The texts that the processes of a group tell each other."""

    store: Any
    """The group's key-value store; None: this process is alone."""

    def broadcast_text(self, key: str, text: str | None) -> str:
        """A text of the leading process, in every process.

        Args:
            key: the name of the text; each is broadcast once.
            text: None in all processes but the leading one.
        """
        if self.store is None:
            assert text is not None
            return text
        if text is not None:
            self.store.set(key, text)
        return bytes(self.store.get(key)).decode()


def started() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def restarted() -> bool:
    """Whether torchrun started this process anew after one had failed."""
    return started() and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def local_rank() -> int:
    """The number of this process on its machine, from 0: the GPU that it uses."""
    return int(os.environ.get("LOCAL_RANK", "0")) if started() else 0


def is_leader() -> bool:
    """Whether this is the process that writes: the first, or the only one."""
    return not started() or int(os.environ["RANK"]) == 0


def count() -> int:
    """How many processes work together now."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process in the group, from 0."""
    return dist.get_rank() if count() > 1 else 0


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Messages]:
    """Work together with the other processes that torchrun started, if it did; gloo on CPU, NCCL on GPUs."""
    if not started():
        yield Messages(None)
        return
    if not dist.is_available():
        raise ConfigError("torchrun started several processes, and this torch is built without torch.distributed")
    store, own, size = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    # the store may hold addresses and texts of an attempt before, or of an earlier group of the same processes
    store = dist.PrefixStore(f"genkit/{attempt}/{next(_groups)}", store)  # type: ignore[attr-defined]
    if dist.is_initialized():  # by the caller, whose group it stays
        yield Messages(store)
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=own, world_size=size)
    try:
        yield Messages(store)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def leave_group() -> None:
    """End the work together: each process is alone from here on. All come here before one goes."""
    if count() > 1:
        dist.barrier()
        dist.destroy_process_group()


def wait() -> None:
    """Go on when all processes have come here."""
    if count() > 1:
        dist.barrier()


def add_up(tensors: Iterable[Tensor | None]) -> None:
    """Put into each tensor the sum of what all processes have there; None is passed over."""
    summands = [tensor for tensor in tensors if tensor is not None]
    if count() == 1 or not summands:
        return
    flat = torch.cat([tensor.flatten() for tensor in summands])
    dist.all_reduce(flat)
    for tensor, total in zip(summands, flat.split([tensor.numel() for tensor in summands]), strict=True):
        tensor.copy_(total.view_as(tensor))


def answer_of_leader(answer: bool, device: torch.device) -> bool:
    """The leading process's answer to a question, in every process; all of them ask.

    Args:
        answer: this process's own.
        device: where the group's tensors are.
    """
    if count() == 1:
        return answer
    value = torch.tensor([float(answer)], device=device)
    dist.broadcast(value, src=0)
    return bool(value.item())
