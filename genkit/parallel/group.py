"""The group of processes that torchrun starts: its members, and their messages to each other."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from genkit.errors import ConfigError, RunError, in_a_line

PIECE = 2**26
"""The number of bytes of a file that are sent at once."""
_groups = itertools.count()
"""The numbers of the groups that this process joins; every process joins them in the same order."""


class Messages(NamedTuple):
    """The messages between the processes of a group."""

    store: Any
    """The key-value store of the group; None: this process is alone."""

    def broadcast_text(self, key: str, text: str | None) -> str:
        """The leading process's text, in every process.

        Args:
            key: the name of the text, which is used once.
            text: the text in the leading process, None in all others.
        """
        if self.store is None:
            assert text is not None
            return text
        if text is not None:
            self.store.set(key, text)
        return bytes(self.store.get(key)).decode()

    def gather_texts(self, key: str, text: str) -> list[str]:
        """The texts of all processes, in every process.

        Args:
            key: the name of the texts, which is used once.
            text: the text of this process.
        """
        if self.store is None:
            return [text]
        self.store.set(f"{key}/{dist.get_rank()}", text)
        return [bytes(self.store.get(f"{key}/{number}")).decode() for number in range(dist.get_world_size())]


def started() -> bool:
    """Whether torchrun started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def restarted() -> bool:
    """Whether torchrun started this process again after a process had failed."""
    return started() and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def job() -> str | None:
    """The name of the job that torchrun's processes belong to, `--rdzv-id`, however often it starts them; None: none.

    A process is started again, without a failure of its own, where a machine joins that was lost.
    """
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none") if started() else "none"
    return None if name == "none" else name


def local_rank() -> int:
    """The number of this process on its machine, from 0: the number of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0")) if started() else 0


def is_leader() -> bool:
    """Whether this is the process that writes: the first, or the only one."""
    return not started() or int(os.environ["RANK"]) == 0


def count() -> int:
    """The number of processes that work together now."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process in the group, from 0."""
    return dist.get_rank() if count() > 1 else 0


@contextlib.contextmanager
def joined(device: torch.device) -> Iterator[Messages]:
    """Join the processes that torchrun started, if there are any, by gloo on CPU and NCCL on GPUs.

    Raises:
        RunError: another process ended before this one, in the block too.
    """
    if not started():
        yield Messages(None)
        return
    if not dist.is_available():
        raise ConfigError("torchrun started several processes, and this torch is built without torch.distributed")
    store, own, size = _meeting(os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT"))
    # the store may hold addresses and texts of an earlier attempt, or of an earlier group of the same processes
    store = dist.PrefixStore(f"genkit/{_attempt()}/{next(_groups)}", store)  # type: ignore[attr-defined]
    if dist.is_initialized():  # the caller's group, which is not ended here
        yield Messages(store)
        return
    with _lost_peers_named():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", store=store, rank=own, world_size=size)
        try:
            yield Messages(store)
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()


@functools.cache
def _meeting(address: str | None, port: str | None) -> tuple[Any, int, int]:
    """The store in which the processes meet, this one's number, and how many there are.

    The first process keeps the store until it ends: others may be at their next group while it has still to finish
    what it alone does of the last one.

    Args:
        address: of the first process, as the environment says; with another address or port there is another store.
        port: of the first process, too.
    """
    return next(dist.rendezvous("env://"))  # type: ignore[attr-defined,no-any-return]


def _attempt() -> str:
    """The number of the attempt, where attempts share a store; where each has its own, machines may count otherwise."""
    shared = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if shared else "0"


@contextlib.contextmanager
def _lost_peers_named() -> Iterator[None]:
    """Raise a RunError where another process is lost in the block; gloo says so by a plain RuntimeError."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        what = f"another process of this run has ended ({in_a_line(error)})"
        raise RunError(f"{what}; see what it printed, and start all of them again") from error


def leave_group() -> None:
    """Leave the group: each process is alone from here on. Every process waits here for all others."""
    if count() > 1:
        dist.barrier()
        dist.destroy_process_group()


def wait() -> None:
    """Wait until all processes are here."""
    if count() > 1:
        dist.barrier()


def add_up(tensors: Iterable[Tensor | None]) -> None:
    """Replace each tensor by its sum over the processes, in place; None is skipped."""
    summands = [tensor for tensor in tensors if tensor is not None]
    if count() == 1 or not summands:
        return
    flat = torch.cat([tensor.flatten() for tensor in summands])
    dist.all_reduce(flat)
    for tensor, total in zip(summands, flat.split([tensor.numel() for tensor in summands]), strict=True):
        tensor.copy_(total.view_as(tensor))


def answer_of_leader(answer: bool, device: torch.device) -> bool:
    """The leading process's answer to a question, in every process; all processes call it.

    Args:
        answer: this process's own answer.
        device: the device of the group's tensors.
    """
    if count() == 1:
        return answer
    value = torch.tensor([float(answer)], device=device)
    dist.broadcast(value, src=0)
    return bool(value.item())


def take_from_leader(tensors: Iterable[Tensor]) -> None:
    """Give each tensor the leading process's values, in place; all processes call it with tensors of the same forms."""
    for tensor in tensors if count() > 1 else ():
        values = tensor.detach().contiguous()
        dist.broadcast(values.view(torch.uint8) if values.dtype == torch.bool else values, src=0)
        tensor.detach().copy_(values)


def file_of_leader(path: Path | None, copy: Path, device: torch.device) -> Path | None:
    """The leading process's file: its path there, and a copy in all other processes; None where it has none.

    All processes call it. The file goes in pieces, so that memory does not grow with its size.

    Args:
        path: the file in the leading process; None: it has none. In all others it is not read.
        copy: the place of the copy in a process that does not lead.
        device: the device of the group's tensors.
    """
    if count() == 1:
        return path
    size = torch.tensor([-1 if path is None or not is_leader() else path.stat().st_size], device=device)
    dist.broadcast(size, src=0)
    if size.item() < 0:
        return None
    with (path if is_leader() and path is not None else copy).open("rb" if is_leader() else "wb") as stream:
        for start in range(0, int(size.item()), PIECE):
            length = min(PIECE, int(size.item()) - start)
            read = bytearray(stream.read(length)) if is_leader() else bytearray(length)
            piece = torch.frombuffer(read, dtype=torch.uint8).to(device)
            dist.broadcast(piece, src=0)
            if not is_leader():
                stream.write(piece.cpu().numpy().data)
    return path if is_leader() else copy
