"""Event files: the figures, plots and latents of a run."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from genkit.errors import GenkitWarning, in_a_line, place
from genkit.pictures import plots
from genkit.record.run import Run
from genkit.record.scores import EpochRecord, Scores
from genkit.text import printable
from genkit_tensorboard.projector import write_projector

EARLIER = "tensorboard"
"""The folder in which earlier versions of genkit kept the event file of a run; such runs go on there."""
IMAGES = 20


class RunWriter:
    """The event file of one run.

    Args:
        run: the run, whose directory gets the file: TensorBoard calls it by the name of the directory.
        done: the number of epochs that the files hold already; later ones are written anew.
    """

    def __init__(self, run: Run, done: int = 0) -> None:
        self.run = run
        earlier = run.directory.path / EARLIER
        self.logs = earlier if done and any(earlier.glob("events.*")) else run.directory.path
        self.writer = SummaryWriter(str(self.logs), purge_step=done + 1 if done else None)

    def write_epoch(self, record: EpochRecord) -> None:
        """Write each term unweighted, its weight, the true ELBO, learning rate, throughput; in some epochs plots."""
        epoch = record.epoch
        for split, scores in (("train", record.train), ("validation", record.validation)):
            if scores is not None:
                self._scores(split, scores, epoch)
        for name, weight in record.weights.items():
            self.writer.add_scalar(f"weight/{name}", weight, epoch)
        self.writer.add_scalar("training/learning_rate", record.lr, epoch)
        self.writer.add_scalar("training/examples_per_second", record.examples_per_second, epoch)
        self.writer.flush()
        if _is_picture_epoch(epoch, self.run.epochs):
            self._images(epoch)
            self.writer.flush()

    def write_end(self) -> None:
        """Write the run's options beside its final figures, and the latents with labels and thumbnails."""
        run = self.run
        metrics = {f"test/{figure.key}": figure.value for figure in run.figures()}
        for name, value in metrics.items():
            self.writer.add_scalar(name, value, run.history[-1].epoch)
        with _each_alone("table of hyperparameters"):
            self._hyperparameters({**metrics, "train/loss": run.history[-1].train.loss})
        if not _is_picture_epoch(run.history[-1].epoch, run.epochs):  # training ended early
            self._images(run.history[-1].epoch)
        if run.model.encoder is not None:
            with _each_alone("projector"):
                write_projector(run, self.logs)

    def close(self) -> None:
        """Close the file."""
        self.writer.close()

    def _scores(self, split: str, scores: Scores, epoch: int) -> None:
        self.writer.add_scalar(f"{split}/loss", scores.loss, epoch)
        for name, value in scores.terms.items():
            self.writer.add_scalar(f"{split}/term/{name}", value, epoch)
        for name, value in scores.critics.items():
            self.writer.add_scalar(f"{split}/critic/{name}", value, epoch)
        for name in ("elbo", "reconstruction", "kl"):
            value = getattr(scores, name)
            if value is not None:
                self.writer.add_scalar(f"{split}/{name}", value, epoch)

    def _hyperparameters(self, metrics: dict[str, float]) -> None:
        """Write the options of the run, without a table of what all runs have.

        TensorBoard makes that table of the options and figures of all runs then, and options that differ come first.
        """
        options = self.run.config.resolved()
        options["loss"] = dict(zip(self.run.model.losses, options["loss"], strict=True))
        _, start, end = hparams(_flat(options), metrics)
        for summary in (start, end):
            self.writer._get_file_writer().add_summary(summary)

    def _images(self, epoch: int) -> None:
        run = self.run
        if not run.model.decodes or run.model.schema.columns:  # rows of a table are no images
            return
        if run.model.encoder is not None:
            held_out = run.data.test or run.data.validation or run.data.train
            with _each_alone("reconstructions"):
                rebuilt = plots.reconstructions(run.model, held_out)
                self.writer.add_image("reconstructions", rebuilt, epoch, dataformats="HWC")
        if run.model.has_prior:
            with _each_alone("samples"):
                self.writer.add_image("samples", plots.samples(run.model), epoch, dataformats="HWC")


@contextlib.contextmanager
def _each_alone(part: str) -> Iterator[None]:
    """Warn (GenkitWarning) where a part of the event files cannot be written, and leave the others as they are."""
    try:
        yield
    except Exception as error:
        message = f"tensorboard: the {part} could not be written: {in_a_line(error)}{place(error)}"
        warnings.warn(message, GenkitWarning, stacklevel=4)


def _is_picture_epoch(epoch: int, epochs: int) -> bool:
    return epoch in (1, epochs) or epoch % math.ceil(epochs / IMAGES) == 0


def _flat(values: Any, above: str = "") -> dict[str, Any]:
    """Nested options by paths such as `encoder.hidden`, as hparams take them: numbers, truth values and text."""
    if isinstance(values, dict):
        return {k: v for key, item in values.items() for k, v in _flat(item, f"{above}.{key}".lstrip(".")).items()}
    return {above: values if isinstance(values, bool | int | float) else printable(values)}
