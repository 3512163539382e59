"""TensorBoard event files of every run, written from the run's events; the core does not know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genkit.registry.hooks import hookimpl

if TYPE_CHECKING:
    from genkit.record.run import Run
    from genkit.record.scores import EpochRecord
    from genkit_tensorboard.writer import RunWriter

_done: dict[int, int] = {}
"""Of each run under way: the epochs that were done before it started."""
_writers: dict[int, RunWriter] = {}


@hookimpl
def run_started(run: Run) -> None:
    """Note where the run starts; the event file is opened at its first record, so as not to hold up the first step."""
    _done[id(run)] = len(run.history)


@hookimpl
def epoch_ended(run: Run, record: EpochRecord) -> None:
    """Scalars and images."""
    _writer(run).write_epoch(run, record)


@hookimpl
def run_ended(run: Run) -> None:
    """The projector and the table of hyperparameters."""
    _writer(run).write_end(run)


@hookimpl
def run_stopped(run: Run) -> None:
    """Close the event file."""
    _done.pop(id(run), None)
    if id(run) in _writers:
        _writers.pop(id(run)).writer.close()


def _writer(run: Run) -> RunWriter:
    if id(run) not in _writers:
        from genkit_tensorboard.writer import RunWriter

        _writers[id(run)] = RunWriter(run, _done[id(run)])
    return _writers[id(run)]
