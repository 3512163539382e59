"""Event files: the figures, plots and latents of a run."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from genkit.data.dataset import as_float
from genkit.errors import GenkitWarning, in_a_line, place
from genkit.interfaces import Split
from genkit.model.model import Model
from genkit.pictures import plots
from genkit.pictures.mosaic import is_image, mosaic
from genkit.pictures.series import is_series, shown
from genkit.record.run import Run
from genkit.record.scores import EpochRecord, Scores
from genkit.text import printable

FOLDER = "tensorboard"
THUMBNAILS = 1000
"""The largest number of data in the projector, each with a thumbnail."""
THUMBNAIL = 64
"""The largest height and width of a thumbnail in pixels: TensorBoard shows no sprite of more than 8,192 by 8,192."""
BATCH = 50
"""The number of images that are made small at once."""
NUMBERS = 1_000_000
"""The most numbers in the projector's text file."""
DIMENSIONS = 3
"""The fewest dimensions that the projector shows: of fewer it draws nothing."""
IMAGES = 20


class RunWriter:
    """The event file of one run.

    Args:
        run: the run, whose directory gets a folder `tensorboard`.
        done: the number of epochs that the files hold already; later ones are written anew.
    """

    def __init__(self, run: Run, done: int = 0) -> None:
        self.run = run
        self.writer = SummaryWriter(str(run.directory.path / FOLDER), purge_step=done + 1 if done else None)

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
                self._projector()

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
        options = self.run.config.resolved()
        options["loss"] = dict(zip(self.run.model.losses, options["loss"], strict=True))
        for summary in hparams(_flat(options), metrics):
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

    def _projector(self) -> None:
        """Write the latents of the first data; of fewer data where the latents have many dimensions."""
        run = self.run
        held_out = run.data.test or run.data.validation or run.data.train
        count = max(1, min(THUMBNAILS, NUMBERS // math.prod(run.model.sampler.latent_shape)))
        z = run.model.encode(held_out.first(count)).flatten(1).cpu()
        names = None
        if held_out.labels is not None:
            labels, classes = held_out.labels[:count].tolist(), run.data.classes
            names = [printable(classes[label] if classes else label) or "(no name)" for label in labels]
        z = nn.functional.pad(z, (0, max(0, DIMENSIONS - z.shape[1])))
        thumbnails = _thumbnails(_pictured(run.model, held_out.first(count)))
        self.writer.add_embedding(z, names, thumbnails, run.history[-1].epoch, "latents")


@contextlib.contextmanager
def _each_alone(part: str) -> Iterator[None]:
    """Warn (GenkitWarning) where a part of the event files cannot be written, and leave the others as they are."""
    try:
        yield
    except Exception as error:
        message = f"tensorboard: the {part} could not be written: {in_a_line(error)}{place(error)}"
        warnings.warn(message, GenkitWarning, stacklevel=4)


def _thumbnails(x: Tensor) -> Tensor | None:
    """Square images (N, 3, S, S) with values from 0 to 1; None for data (N, *shape) that are neither images nor series.

    Series are drawn as curves. Larger images are made smaller, as one picture holds all of them; a grey margin makes
    them square.
    """
    x = _curves(x) if is_series(tuple(x.shape[1:])) else x
    if not is_image(tuple(x.shape[1:])):
        return None
    height, width = x.shape[-2:]
    longer = max(height, width)
    size = min(longer, THUMBNAIL)
    small = []
    for batch in x.split(BATCH):
        images = as_float(batch).nan_to_num()
        if size < longer:
            form = [max(1, round(side * size / longer)) for side in (height, width)]
            images = nn.functional.interpolate(images, form, mode="area")
        small.append(images)
    images = torch.cat(small)
    low, high = images.min(), images.max()
    images = (images - low) / (high - low).clamp_min(1e-12)
    across, down = size - images.shape[3], size - images.shape[2]
    edges = (across // 2, across - across // 2, down // 2, down - down // 2)
    return nn.functional.pad(images, edges, value=0.5).expand(-1, 3, -1, -1)


def _pictured(model: Model, split: Split) -> Tensor:
    """The data of a split; of series with NaN at the steps that are not there."""
    return shown(model, split) if is_series(model.shape) else split.x[:].cpu()


def _curves(x: Tensor) -> Tensor:
    """Pictures (N, 3, H, W) of series x (N, T, F), with a line per channel."""
    columns = math.ceil(len(x) ** 0.5)
    rows = math.ceil(len(x) / columns)
    picture = torch.from_numpy(mosaic(x, columns, (0.0, 1.0)))
    height, width = picture.shape[0] // rows, picture.shape[1] // columns
    cells = picture.view(rows, height, columns, width, 3).permute(0, 2, 4, 1, 3)
    return cells.reshape(rows * columns, 3, height, width)[: len(x)]


def _is_picture_epoch(epoch: int, epochs: int) -> bool:
    return epoch in (1, epochs) or epoch % math.ceil(epochs / IMAGES) == 0


def _flat(values: Any, above: str = "") -> dict[str, Any]:
    """Nested options by paths such as `encoder.hidden`, as hparams take them: numbers, truth values and text."""
    if isinstance(values, dict):
        return {k: v for key, item in values.items() for k, v in _flat(item, f"{above}.{key}".lstrip(".")).items()}
    return {above: values if isinstance(values, bool | int | float) else printable(values)}
