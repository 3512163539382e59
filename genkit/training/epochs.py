"""Epochs made of training steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator

import torch

from genkit.data.dataset import Dataset
from genkit.record.scores import EpochRecord, Progress, Total
from genkit.training.guards import check_epoch
from genkit.training.seeds import seed_everything
from genkit.training.trainer import Trainer

SECONDS_BETWEEN_REPORTS = 0.1


def fit(
    trainer: Trainer,
    data: Dataset,
    seed: int,
    first: int = 1,
    report: Callable[[Progress], None] = lambda _: None,
) -> Iterator[EpochRecord]:
    """Train from epoch `first` on, and yield the record of each epoch, until the trainer should stop.

    `report` is called several times per second with the progress within the epoch.

    Raises:
        TrainingError: a term is no longer finite.
    """
    for epoch in range(first, trainer.config.epochs + 1):
        seed_everything(seed, epoch)
        record = _epoch(trainer, data, epoch, report)
        check_epoch(record, trainer.model, data)
        yield record
        if trainer.should_stop(record):
            return


def _epoch(trainer: Trainer, data: Dataset, epoch: int, report: Callable[[Progress], None]) -> EpochRecord:
    n, size, device = len(data.train.x), trainer.config.batch_size, trainer.model.device
    steps = math.ceil(n / size)
    order = torch.randperm(n).to(device)
    moments = [epoch - 1 + step / steps for step in range(steps)]
    rows = [trainer.weights_at(moment) for moment in moments]
    weights = torch.tensor([list(row.values()) for row in rows], device=device)
    total = Total(trainer.model.sum_dtype)
    trainer.model.train()
    start = reported = time.perf_counter()
    for step, batch in enumerate(data.batches(data.train, size, order)):
        lr = trainer.set_rates(moments[step])
        total.add(trainer.step(batch.x, weights[step], batch.total), batch.total)
        now = time.perf_counter()
        if now - reported > SECONDS_BETWEEN_REPORTS:
            reported = now
            rate, scores = total.count / (now - start), total.so_far(rows[step])
            report(Progress(epoch, trainer.config.epochs, step + 1, steps, rate, rows[step], scores))
    total.gather()
    train = total.scores(rows[-1])
    seconds = time.perf_counter() - start
    validation = None if data.validation is None else trainer.evaluate(data, data.validation, rows[-1])
    return EpochRecord(epoch, epoch * steps, seconds, n / seconds, lr, rows[-1], train, validation)
