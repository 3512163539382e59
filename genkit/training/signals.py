"""Signals that end a training: Ctrl-C, SIGTERM and SIGHUP wait until the step that runs is done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_raised: list[int] = []
"""The signal whose exception was raised, and that nobody has taken since."""


class Signals:
    """The signal that came in a block of `deferred`; a second one acts at once."""

    def __init__(self) -> None:
        self.number: int | None = _raised.pop() if _raised else None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Keep the first signal, as the handler of all of them."""
        if self.number is not None:
            end(number)
        self.number = number


def end(number: int, frame: FrameType | None = None) -> NoReturn:
    """End as a signal asks for: by KeyboardInterrupt, or with the exit code 128 + number."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def end_or_remember(number: int, frame: FrameType | None = None) -> NoReturn:
    """End as `end` does, as a handler. Where code in C swallows the exception, the next `Signals` hold the signal."""
    _raised[:] = [number]
    end(number)


@contextlib.contextmanager
def handled(handler: Any) -> Iterator[None]:
    """Let a handler take the signals in the block; one that is ignored, as SIGHUP by nohup, stays ignored."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name) for name in NAMES if hasattr(signal, name)):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)


@contextlib.contextmanager
def deferred() -> Iterator[Signals]:
    """Keep signals in the block, for the code inside to ask for."""
    signals = Signals()
    with handled(signals):
        yield signals
