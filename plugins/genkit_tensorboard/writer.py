"""Event files: the figures, plots and latents of a run."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from genkit.data.dataset import as_float
from genkit.pictures import plots
from genkit.pictures.mosaic import is_image
from genkit.record.run import Run
from genkit.record.scores import EpochRecord, Scores

FOLDER = "tensorboard"
THUMBNAILS = 1000
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
        if _is_picture_epoch(epoch, self.run.config.training.epochs):
            self._images(epoch)
        self.writer.flush()

    def write_end(self) -> None:
        """Write the latents with labels and thumbnails, and the run's options beside its final figures."""
        run = self.run
        if not _is_picture_epoch(run.history[-1].epoch, run.config.training.epochs):  # training ended early
            self._images(run.history[-1].epoch)
        if run.model.encoder is not None:
            self._projector()
        figures = run.evaluation.figures() if run.evaluation is not None else []
        metrics = {f"test/{figure.key}": figure.value for figure in figures}
        metrics["train/loss"] = run.history[-1].train.loss
        options = run.config.resolved()
        options["loss"] = dict(zip(run.model.losses, options["loss"], strict=True))
        for summary in hparams(_flat(options), metrics):
            self.writer._get_file_writer().add_summary(summary)
        for name in metrics.keys() - {"train/loss"}:
            self.writer.add_scalar(name, metrics[name], run.history[-1].epoch)

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

    def _images(self, epoch: int) -> None:
        run = self.run
        if run.model.encoder is not None:
            held_out = run.data.test or run.data.validation or run.data.train
            rebuilt = plots.reconstructions(run.model, held_out.x)
            self.writer.add_image("reconstructions", rebuilt, epoch, dataformats="HWC")
        if run.model.sampler.has_prior:
            self.writer.add_image("samples", plots.samples(run.model), epoch, dataformats="HWC")

    def _projector(self) -> None:
        run = self.run
        held_out = run.data.test or run.data.validation or run.data.train
        x = as_float(held_out.x[:THUMBNAILS]).cpu()
        labels, classes = held_out.labels, run.data.classes
        names = None
        if labels is not None:
            names = [classes[label] if classes else str(label) for label in labels[:THUMBNAILS].tolist()]
        z = run.model.encode(x).flatten(1).cpu()
        if z.shape[1] == 1:
            z = torch.cat([z, torch.zeros_like(z)], 1)
        self.writer.add_embedding(z, names, _thumbnails(x), run.history[-1].epoch, "latents")


def _thumbnails(x: torch.Tensor) -> torch.Tensor | None:
    """Images (N, 3, H, W) with values from 0 to 1, or None for data that are no images."""
    if not is_image(tuple(x.shape[1:])):
        return None
    x = (x - x.min()) / (x.max() - x.min()).clamp_min(1e-12)
    x = x.unsqueeze(1) if x.ndim == 3 else x
    return x.expand(-1, 3, -1, -1)


def _is_picture_epoch(epoch: int, epochs: int) -> bool:
    return epoch in (1, epochs) or epoch % math.ceil(epochs / IMAGES) == 0


def _flat(values: Any, above: str = "") -> dict[str, Any]:
    """Nested options by paths such as `encoder.hidden`, as hparams take them: numbers, truth values and text."""
    if isinstance(values, dict):
        return {k: v for key, item in values.items() for k, v in _flat(item, f"{above}.{key}".lstrip(".")).items()}
    return {above: values if isinstance(values, bool | int | float) else str(values)}
