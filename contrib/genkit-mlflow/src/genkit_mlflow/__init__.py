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
    """A listener of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def tracker(self) -> RunTracker:
        """The run in MLflow, which is imported at the first record, so that it does not delay the start."""
        from genkit_mlflow.tracker import RunTracker

        return RunTracker(self.run)

    def epoch_ended(self) -> None:
        """Write the figures of the epochs so far."""
        self.tracker.write_epochs()

    def run_ended(self) -> None:
        """Write the figures of the test split, pictures and weights."""
        self.tracker.write_end()

    def run_stopped(self) -> None:
        """Write how the run ended: an error that stops it is the one that Python handles now."""
        self.tracker.close(sys.exception())


@hookimpl
def listener(run: Run) -> RunListener:
    """One listener per run."""
    return RunListener(run)
