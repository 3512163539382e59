"""Running a sweep: each trial in a process of its own, a few at a time."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, final

from genkit.text import printable
from genkit.training.signals import Signals, deferred
from genkit_sweep.directory import Plan, Result, SweepDirectory
from genkit_sweep.trials import Trial, Trials

PROGRAM = ("-P", "-m", "genkit_sweep.job")
"""The arguments of Python that run a trial; what follows is SWEEP NUMBER METRIC KEY=VALUE..."""
SECONDS = 0.2
"""The time between two looks at the processes."""
ELSEWHERE = 1.0
"""The time between two looks for trials, while others run them all."""
LONGEST = 300
"""The largest number of characters of an error that is kept."""


class Follower(Protocol):
    """What follows a sweep."""

    def began(self, trial: Trial, directory: SweepDirectory) -> None:
        """A run has been started or resumed."""

    def ended(self, trial: Trial, result: Result | None) -> None:
        """A run has ended; without a result it was interrupted."""

    def looked(self, running: list[Trial], trials: Trials) -> None:
        """Time has passed."""


@dataclass
class Job:
    """A trial with its process."""

    trial: Trial
    process: subprocess.Popen[bytes]
    claims: contextlib.ExitStack
    start: int
    """The length of the log when the process began."""

    def end(self) -> None:
        """Close what is open for the process, and give its trial back."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.claims.close()


@final
class Sweep:
    """Runs the trials of a sweep.

    Args:
        directory: the directory of the sweep.
        plan: its plan.
        trials: its trials.
        jobs: the largest number of runs at a time.
        follower: what follows it.
        metric: the metric that is measured beside those of the config; empty: none.
    """

    def __init__(
        self, directory: SweepDirectory, plan: Plan, trials: Trials, jobs: int, follower: Follower, metric: str = ""
    ) -> None:
        self.directory, self.plan, self.trials = directory, plan, trials
        self.most, self.follower, self.metric = jobs, follower, metric
        self.jobs: list[Job] = []
        self.next_look = 0.0

    def run(self) -> int | None:
        """Run until every trial has a result; returns the number of the signal that ended it before, else None.

        At a signal the runs write a checkpoint and stop; at a second one they are killed.
        """
        try:
            with deferred() as signals:
                while not (signals.number or self.trials.are_over) or self.jobs:
                    self._collect(signals)
                    if signals.number:
                        self._stop()
                    else:
                        self._fill()
                    self.follower.looked([job.trial for job in self.jobs], self.trials)
                    if self.jobs or not self.trials.are_over:
                        time.sleep(SECONDS)
                return signals.number
        finally:
            for job in self.jobs:
                job.process.kill()
                job.process.wait()
                job.end()

    def _fill(self) -> None:
        """Start trials, while there are some and fewer run than may."""
        while len(self.jobs) < self.most and time.monotonic() >= self.next_look:
            with contextlib.ExitStack() as claims:
                trial = self.trials.take(claims)
                if trial is None:
                    self.next_look = time.monotonic() + ELSEWHERE
                    return
                self.jobs.append(self._started(trial, claims.pop_all()))
            self.follower.began(trial, self.directory)

    def _started(self, trial: Trial, claims: contextlib.ExitStack) -> Job:
        log = self.directory.log(trial.number)
        log.parent.mkdir(exist_ok=True)
        words = [str(self.directory.path.absolute()), str(trial.number), self.metric, *trial.assignments]
        with log.open("ab") as stream:
            start = stream.tell()
            process = subprocess.Popen(
                [sys.executable, *PROGRAM, *words],
                stdin=subprocess.PIPE,
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=self.plan.folder,
                start_new_session=True,  # so that Ctrl-C reaches this process alone, which stops them one by one
            )
        return Job(trial, process, claims, start)

    def _stop(self) -> None:
        """Ask every run to stop, once: a second signal would end it in the middle of a step."""
        for job in self.jobs:
            if job.process.stdin is not None and not job.process.stdin.closed:
                job.process.stdin.close()

    def _collect(self, signals: Signals) -> None:
        """Take note of the processes that have ended."""
        for job in [job for job in self.jobs if job.process.poll() is not None]:
            self.jobs.remove(job)
            result = self._result(job, signals)
            if result is not None:
                self.trials.end(job.trial, result)
            job.end()
            self.next_look = 0.0
            self.follower.ended(job.trial, result)

    def _result(self, job: Job, signals: Signals) -> Result | None:
        """The result of a process that has ended; None: it was interrupted, or another process trains its run."""
        number, code = job.trial.number, job.process.returncode
        if self.directory.result_file(number).is_file():
            return self.directory.result(number)
        if signals.number or self.directory.is_written(number):
            return None
        error = _error(self.directory.log(number), job.start, code)
        history = self.directory.run(number).metrics
        epochs = len(history.read_text("utf-8", "replace").splitlines()) if history.is_file() else 0
        result = Result(number, dict(job.trial.options), "failed", {}, {}, epochs, 0.0, error)
        self.directory.record(result)
        return result


def _error(log: Path, start: int, code: int) -> str:
    """Why a process failed, on one line: the error that it printed, or the signal that ended it."""
    with log.open("rb") as stream:
        stream.seek(start)
        lines = stream.read().decode("utf-8", "replace").splitlines()
    number = -code if code < 0 else code - 128 if code > 128 else 0
    if number:
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(number).name}; its log is {log}"
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    text = errors[0] if errors else next((line for line in reversed(lines) if line.strip()), f"ended with code {code}")
    return printable(text, LONGEST)
