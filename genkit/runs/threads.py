"""The threads of a run: their number is chosen when it begins, recorded, and used again whenever the run is continued.

Sums over other numbers of threads are added in another order, so that a run with another number is another run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch

from genkit.files import strict_json
from genkit.parallel import group
from genkit.parallel.cores import Usage, free, usable
from genkit.record.directory import RunDirectory

WORTH_SAYING = 0.5
"""The number of cores that other work has to take before it is said."""


class Threads(NamedTuple):
    """How many threads a run computes with, and why."""

    number: int
    usual: int
    """As many as torch takes by itself."""
    option: int | Literal["free"] | None
    """`training.threads`."""
    others: float | None
    """How many cores other work took when the run began; None: not known."""
    recorded: bool = False
    """Whether the number is that of an earlier part of the run."""

    @property
    def note(self) -> str | None:
        """What there is to say of it; None: nothing."""
        busy = None
        if self.others is not None and self.others >= WORTH_SAYING:
            busy = f"other work takes {self.others:.1f} of the {len(usable())} cores"
        if self.option == "free" and not self.recorded:
            return f"{self._counted}: {busy}" if busy else self._counted
        if self.recorded and self.number != self.usual:
            return f"{self._counted}, as when the run began: other numbers add up in another order"
        if busy is None or self.number == 1:
            return None
        remedy = "; training.threads=free takes only as many as are free"
        return f"{self._counted}, and {busy}{'' if self.option or self.recorded else remedy}"

    @property
    def _counted(self) -> str:
        return f"computing on {self.number} {'thread' if self.number == 1 else 'threads'}"


def choose(
    option: int | Literal["free"] | None, since: Usage | None, recorded: int | None, messages: group.Messages
) -> Threads:
    """The number of threads: what the option says, else what the run has had, else what torch has.

    Args:
        option: `training.threads`.
        since: the usage of the cores a while ago; None: not known.
        recorded: the number that the run has had; None: it is new, or does not know.
        messages: the group, in which the first process counts what is free.
    """
    now, usual = Usage.now(), torch.get_num_threads()
    others = None if now is None or since is None else now.others_since(since)
    if isinstance(option, int):
        return Threads(option, usual, option, others)
    if recorded is not None:
        return Threads(recorded, usual, option, others, recorded=True)
    if option is None:
        return Threads(usual, usual, option, others)
    share = str(max(1, free(others) // group.count())) if group.is_leader() else None
    return Threads(int(messages.broadcast_text("threads", share)), usual, option, others)


@contextlib.contextmanager
def computing_on(count: int) -> Iterator[None]:
    """Let torch compute on so many threads in the block."""
    before = torch.get_num_threads()
    if count == before:  # to say the number changes how MKL chooses, too
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def record() -> dict[str, int]:
    """What a run records of its processes and threads."""
    return {"processes": group.count(), "threads": torch.get_num_threads()}


def recorded_in(directory: RunDirectory) -> int | None:
    """The number of threads of a run's start; None: not recorded, or the processes were not as many as now."""
    try:
        values = strict_json.read(directory.environment)
        processes, threads = values["processes"], values["threads"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    right = type(threads) is int and 1 <= threads <= 4096 and processes == group.count()
    return threads if right else None
