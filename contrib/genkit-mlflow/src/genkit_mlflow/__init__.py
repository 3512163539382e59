"""Runs of genkit in MLflow, followed through their events."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING

from genkit import hookimpl

if TYPE_CHECKING:
    from genkit.record.run import Run

    from genkit_mlflow.tracker import RunTracker


class RunListener:
    """Follows one run."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def tracker(self) -> RunTracker:
        """The run in MLflow, which is imported at the first record, so as not to hold up the start."""
        from genkit_mlflow.tracker import RunTracker

        return RunTracker(self.run)

    def epoch_ended(self) -> None:
        """The figures of the epochs so far."""
        self.tracker.write_epochs()

    def run_ended(self) -> None:
        """The figures of the test split, pictures and weights."""
        self.tracker.write_end()

    def run_stopped(self) -> None:
        """How it ended: while a run is being stopped by an error, that is the one being handled."""
        self.tracker.close(sys.exception())


@hookimpl
def listener(run: Run) -> RunListener:
    """One for each run."""
    return RunListener(run)
