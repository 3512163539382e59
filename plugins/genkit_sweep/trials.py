"""Trials: the runs of a sweep, each of which one process takes at a time."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, final

from genkit_sweep.directory import Result, SweepDirectory


class Trial(NamedTuple):
    """A run of a sweep."""

    number: int
    assignments: tuple[str, ...]
    """Its options, as on the command line."""
    options: Mapping[str, str]
    """Those of them that vary."""


class Trials(ABC):
    """The trials of a sweep, which several processes may share.

    Args:
        directory: the directory of the sweep.
    """

    def __init__(self, directory: SweepDirectory) -> None:
        self.directory = directory

    @property
    @abstractmethod
    def count(self) -> int:
        """The number of runs in all."""

    @property
    @abstractmethod
    def are_over(self) -> bool:
        """Whether every run has a result."""

    @abstractmethod
    def take(self, claims: contextlib.ExitStack) -> Trial | None:
        """A trial that nobody runs, claimed until the stack ends; None: there is none now."""

    @abstractmethod
    def end(self, trial: Trial, result: Result) -> None:
        """Take note of the result of a trial."""

    @abstractmethod
    def retry(self) -> int:
        """Let failed runs be run again; returns their number."""


def failed(directory: SweepDirectory) -> Iterator[Result]:
    """The results of failed runs."""
    return (result for result in directory.results() if result.state == "failed")


@final
class Grid(Trials):
    """Every combination of values once.

    Args:
        directory: the directory of the sweep.
        runs: the assignments of each run.
        varying: the keys of the options that vary.
    """

    def __init__(self, directory: SweepDirectory, runs: Sequence[tuple[str, ...]], varying: Sequence[str]) -> None:
        super().__init__(directory)
        self.trials = [trial_of(number, each, varying) for number, each in enumerate(runs, 1)]

    @property
    def count(self) -> int:
        """The number of combinations."""
        return len(self.trials)

    @property
    def are_over(self) -> bool:
        """Whether every combination has a result."""
        return {trial.number for trial in self.trials} <= self.directory.numbers()

    def take(self, claims: contextlib.ExitStack) -> Trial | None:
        """The first combination that nobody runs, claimed; None: there is none now."""
        over = self.directory.numbers()
        for trial in self.trials:
            if trial.number not in over and claimed(self.directory, trial.number, claims):
                return trial
        return None

    def end(self, trial: Trial, result: Result) -> None:
        """Nothing follows from a result."""

    def retry(self) -> int:
        """Forget the results of failed runs; returns their number."""
        results = list(failed(self.directory))
        for result in results:
            self.directory.result_file(result.number).unlink(missing_ok=True)
        return len(results)


def trial_of(number: int, assignments: Sequence[str], varying: Sequence[str]) -> Trial:
    """The trial with a number and assignments."""
    options = dict(assignment.split("=", 1) for assignment in assignments)
    return Trial(number, tuple(assignments), {key: options[key] for key in varying})


def claimed(directory: SweepDirectory, number: int, claims: contextlib.ExitStack) -> bool:
    """Claim a run until a stack ends; False: another process has it, or it is over."""
    with contextlib.ExitStack() as stack:
        if not stack.enter_context(directory.claimed(number)):
            return False
        claims.enter_context(stack.pop_all())
    return True


def retried(result: Result) -> Result:
    """The result of a failed run in whose place another one runs."""
    return replace(result, state="retried")
