"""The state of a run: what its directory says of it, to anybody who looks, without a model being read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from genkit.errors import GenkitError, in_a_line
from genkit.files import atomic, strict_json
from genkit.files.lock import NAME as LOCK
from genkit.files.lock import is_locked
from genkit.record.directory import RunDirectory


class Word(StrEnum):
    """The words for the state of a run."""

    RUNNING = "running"
    """A process trains it now."""
    FINISHED = "finished"
    """It is trained, evaluated and drawn."""
    INTERRUPTED = "interrupted"
    """It was left by a signal, such as Ctrl-C, and can be resumed."""
    FAILED = "failed"
    """An error ended it."""
    KILLED = "killed"
    """Its process ended without a word, by a kill or with its machine; it can be resumed."""


class State(NamedTuple):
    """The state of a run, with the reason where there is one."""

    word: Word
    reason: str = ""
    """The error that ended a run that failed; else empty."""


def state_of(directory: RunDirectory) -> State:
    """The state of a run as its directory has it now."""
    if is_locked(directory.path):
        return State(Word.RUNNING)
    if directory.stages.is_finished:
        return State(Word.FINISHED)
    if (directory.path / LOCK).exists():
        return State(Word.KILLED)
    try:
        return State(Word.FAILED, str(strict_json.read(directory.failure)["error"]))
    except FileNotFoundError:
        return State(Word.INTERRUPTED)
    except (OSError, ValueError, KeyError, TypeError):
        return State(Word.FAILED)


@contextlib.contextmanager
def failure_recorded(directory: RunDirectory) -> Iterator[None]:
    """Record an error that ends the training in this block, for `state_of`; the record of an earlier one goes."""
    with contextlib.suppress(OSError):
        directory.failure.unlink(missing_ok=True)
    try:
        yield
    except Exception as error:
        line = "; ".join(str(error).splitlines()) if isinstance(error, GenkitError) else in_a_line(error)
        with contextlib.suppress(GenkitError):  # the disk may be full
            atomic.write_text(directory.failure, strict_json.dumps({"error": line}) + "\n")
        raise
