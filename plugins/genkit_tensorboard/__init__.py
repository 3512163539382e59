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
    """A listener of one run.

    Args:
        run: the run; its `history` holds the epochs of earlier starts.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.done = len(run.history)

    @cached_property
    def writer(self) -> RunWriter:
        """The event file, opened at its first record, so that it does not delay the first step."""
        from genkit_tensorboard.writer import RunWriter

        return RunWriter(self.run, self.done)

    def epoch_ended(self, record: EpochRecord) -> None:
        """Write scalars and images."""
        self.writer.write_epoch(record)

    def run_ended(self) -> None:
        """Write the projector and the table of hyperparameters."""
        self.writer.write_end()

    def run_stopped(self) -> None:
        """Close the event file, if there is one."""
        if "writer" in vars(self):
            self.writer.close()


@hookimpl
def listener(run: Run) -> RunListener:
    """One listener per run."""
    return RunListener(run)
