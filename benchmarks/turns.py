"""Contestants that take turns: each is a process of its own that speaks the protocol, and only one works at a time."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple

ROOT = Path(__file__).parents[1]


class Answer(NamedTuple):
    """The answer to an order."""

    seconds: float
    value: float | None


class Contestant:
    """The process of one contestant.

    Args:
        command: the command that starts the process.
        cache: an empty folder for compiled code.
        errors: the file for messages.
    """

    def __init__(self, command: Sequence[str], cache: str, errors: IO[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
            env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache},
        )
        self.errors = errors

    def __enter__(self) -> Contestant:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, order: str, count: int = 0) -> Answer:
        """Give an order and wait; raises RuntimeError with the last messages if the process has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(f"{order} {count}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError("".join(self.errors.readlines()[-5:]).strip() or "ended without a word")
        return Answer(**json.loads(line))


@contextmanager
def contest(commands: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Contestant]]:
    """Start contestants, by name, and stop them at the end of the block."""
    with ExitStack() as stack:
        contestants = {}
        for name, command in commands.items():
            cache = stack.enter_context(tempfile.TemporaryDirectory())
            errors = stack.enter_context(tempfile.TemporaryFile("w+"))
            contestants[name] = stack.enter_context(Contestant(command, cache, errors))
        yield contestants


def interleaved(contestants: Mapping[str, Contestant], order: str, counts: Mapping[str, int], rounds: int) -> Times:
    """The seconds per unit of an order (such as per step) of every contestant in every round."""
    return Times(
        [
            {name: each.ask(order, counts[name]).seconds / counts[name] for name, each in contestants.items()}
            for _ in range(rounds)
        ]
    )


class Times:
    """Seconds by round and name."""

    def __init__(self, rounds: list[dict[str, float]]) -> None:
        self.rounds = rounds

    def median(self, name: str) -> float:
        """The median over the rounds."""
        return statistics.median(row[name] for row in self.rounds)

    def ratio(self, faster: str, slower: str) -> float:
        """How many times as fast one is as the other: the median of each round's ratio."""
        return statistics.median(row[slower] / row[faster] for row in self.rounds)


def genkit(config: Path, overrides: Sequence[str], variant: str) -> list[str]:
    """The command of genkit's own contestant."""
    return [sys.executable, "-m", "benchmarks.contestant", str(config.resolve()), *overrides, "--variant", variant]
