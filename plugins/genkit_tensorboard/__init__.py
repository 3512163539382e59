"""TensorBoard event files of every run, written from the run's events; the core does not know of them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from genkit.registry.hooks import hookimpl

if TYPE_CHECKING:
    from genkit.record.run import Run
    from genkit.record.scores import EpochRecord
    from genkit_tensorboard.writer import RunWriter


class RunListener:
    """Follows one run.

    Args:
        run: `history` holds the epochs that were done before it started.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.done = len(run.history)

    @cached_property
    def writer(self) -> RunWriter:
        """The event file, opened at its first record, so as not to hold up the first step."""
        from genkit_tensorboard.writer import RunWriter

        return RunWriter(self.run, self.done)

    def epoch_ended(self, record: EpochRecord) -> None:
        """Scalars and images."""
        self.writer.write_epoch(record)

    def run_ended(self) -> None:
        """The projector and the table of hyperparameters."""
        self.writer.write_end()

    def run_stopped(self) -> None:
        """Close the event file, where there is one."""
        if "writer" in vars(self):
            self.writer.close()


@hookimpl
def listener(run: Run) -> RunListener:
    """One for each run."""
    return RunListener(run)
