"""A logger: the figures of each epoch, in `sketch.csv` in the run's directory."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import TYPE_CHECKING

from genkit import hookimpl
from genkit.files.atomic import write_text

if TYPE_CHECKING:
    from genkit import Run
    from genkit.record.scores import EpochRecord

FIGURES = ("loss", "reconstruction", "kl", "elbo")


class SketchLogger:
    """A listener of one run: its methods have the names of the events that they follow."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def epoch_ended(self) -> None:
        """Write the whole table anew, so that it is right in a resumed run too."""
        write_text(self.run.directory.path / "sketch.csv", table(self.run.history))


@hookimpl
def listener(run: Run) -> SketchLogger:
    """One logger per run."""
    return SketchLogger(run)


def table(history: Iterable[EpochRecord]) -> str:
    """One line per epoch and split, in nats per datum; figures that a run lacks are left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("epoch", "split", *FIGURES))
    for record in history:
        for split, scores in (("train", record.train), ("validation", record.validation)):
            if scores is not None:
                writer.writerow((record.epoch, split, *(getattr(scores, name) for name in FIGURES)))
    return text.getvalue()
