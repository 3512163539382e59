"""Runs of genkit in MLflow, followed through their events."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from genkit import hookimpl

if TYPE_CHECKING:
    from genkit.record.run import Run

    from genkit_mlflow.tracker import RunTracker

_trackers: dict[int, RunTracker] = {}
"""Of each run under way, from its first record on."""


@hookimpl
def epoch_ended(run: Run) -> None:
    """The figures of the epochs so far; MLflow is imported at the first, so as not to hold up the start."""
    with _tracking(run) as tracker:
        tracker.write_epochs(run)


@hookimpl
def run_ended(run: Run) -> None:
    """The figures of the test split, pictures and weights."""
    with _tracking(run) as tracker:
        tracker.write_end(run)


@hookimpl
def run_stopped(run: Run) -> None:
    """How it ended: while a run is being stopped by an error, that is the one being handled."""
    with _tracking(run) as tracker:
        tracker.close(run, sys.exception())
    del _trackers[id(run)]


@contextmanager
def _tracking(run: Run) -> Iterator[RunTracker]:
    """The tracker of a run, put away after a failure: then the run has no more events for this plugin."""
    try:
        if id(run) not in _trackers:
            from genkit_mlflow.tracker import RunTracker

            _trackers[id(run)] = RunTracker(run)
        yield _trackers[id(run)]
    except Exception:
        _trackers.pop(id(run), None)
        raise
