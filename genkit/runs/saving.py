"""When checkpoints of a run are written: as often as the config says, and wherever training ends."""

from __future__ import annotations

import time
from typing import final

from genkit.record.run import Run
from genkit.record.scores import EpochRecord
from genkit.sharing import weights
from genkit.training import checkpoint
from genkit.training.epochs import Loop
from genkit.training.trainer import Trainer


@final
class Saving:
    """Writes the checkpoints of a run.

    Where the last epoch is cut, the place within it is saved before its figures are taken: a resumed run takes them
    again, and a run that is trained longer goes on from there as if it had never been cut.

    Args:
        run: the run, with a model that has a config and a data signature.
        trainer: the trainer, whose state is written.
        loop: the loop, which knows the place.
    """

    def __init__(self, run: Run, trainer: Trainer, loop: Loop) -> None:
        self.run, self.trainer, self.loop = run, trainer, loop
        self.options = run.config.training.checkpoint
        self.metadata = {weights.KEY: weights.header_text(run.model)}
        self.place: tuple[int, int] | None = None
        """Whole epochs and steps after them at the newest checkpoint; None: there is none."""
        self.moment = time.monotonic()
        """The moment of the newest checkpoint, or of the start."""

    @property
    def cut(self) -> bool:
        """Whether the last epoch is cut."""
        return self.loop.most % self.loop.steps != 0

    @property
    def within_epochs(self) -> bool:
        """Whether checkpoints are written within epochs."""
        return self.options.epochs is None or self.cut

    def between(self) -> None:
        """Write a checkpoint after a step within an epoch, if it is time for one.

        A state that is not finite is not written: the loop looks for it at the end of the epoch, and goes back.
        """
        if (self.loop.done == self.loop.most or self._is_time()) and self.loop.finite:
            self.save()

    def after(self, record: EpochRecord) -> None:
        """Write a checkpoint after an epoch, if it is time for one."""
        epochs = self.options.epochs
        if record.steps % self.loop.steps == 0 and (self._is_time() if epochs is None else record.epoch % epochs == 0):
            self.save()

    def at_end(self, trained: bool) -> None:
        """Write the last checkpoint of a run that `trained`; a last epoch that is cut has one already."""
        if trained and (self.loop.done < self.loop.most or not self.cut):
            self.save()

    def _is_time(self) -> bool:
        steps, minutes = self.options.steps, self.options.minutes
        if steps is not None:
            return self.loop.done % steps == 0
        return minutes is not None and time.monotonic() - self.moment >= 60 * minutes

    def save_start(self) -> None:
        """Write a checkpoint before the first step, unless there is one."""
        if self.place is None:
            self.save()

    def save(self) -> None:
        """Write a checkpoint of the place at which training stands, unless it is there."""
        place = (self.loop.epoch - 1, self.loop.step)
        if place != self.place:
            checkpoint.save(self.run.directory.checkpoint, self.trainer, place[0], self.metadata)
            self.place, self.moment = place, time.monotonic()
