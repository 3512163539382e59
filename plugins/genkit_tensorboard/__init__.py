"""TensorBoard event files of every run, written from the run's events; the core does not know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from genkit.runs import Run
    from genkit.scores import EpochRecord
    from genkit_tensorboard.writer import RunWriter

_writers: dict[int, RunWriter] = {}


@hookimpl
def run_started(run: Run) -> None:
    """Open the event file in the run's directory."""
    from genkit_tensorboard.writer import RunWriter

    _writers[id(run)] = RunWriter(run)


@hookimpl
def epoch_ended(run: Run, record: EpochRecord) -> None:
    """Scalars and images."""
    _writers[id(run)].write_epoch(run, record)


@hookimpl
def run_ended(run: Run) -> None:
    """The projector and the table of hyperparameters."""
    _writers[id(run)].write_end(run)


@hookimpl
def run_stopped(run: Run) -> None:
    """Close the event file."""
    if id(run) in _writers:
        _writers.pop(id(run)).writer.close()
