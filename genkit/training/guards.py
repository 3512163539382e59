"""Guards of training: refusals of figures that are not finite, and of a last batch of one datum."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch

from genkit.data.assumptions import unscaled
from genkit.data.dataset import Dataset
from genkit.errors import ConfigError, TrainingError
from genkit.model import trial
from genkit.model.building import build
from genkit.model.conditions import placeholders
from genkit.model.model import Model
from genkit.model.network import evaluating
from genkit.parallel import normalization
from genkit.record.scores import EpochRecord
from genkit.training.seeds import own_random_state


def check_last_batch(model: Model, count: int, batch_size: int) -> None:
    """Refuse a last batch of one datum where batch normalization has nothing to average over in it.

    Args:
        model: a model that was never trained; it is not changed.
        count: the number of training data.
        batch_size: the config's batch size.

    Raises:
        ConfigError: the last batch is such a batch.
    """
    normalizes = any(isinstance(part, normalization.KINDS) for part in model.modules())
    if count % batch_size != 1 % batch_size or not normalizes:
        return
    model_copy = copy.deepcopy(model).train()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            side = placeholders(model.schema, model.reads, 1, model.device)
            beside = model_copy.beside(side)
            forward = model_copy(torch.zeros(1, *model.shape, device=model.device), side=side)
            for loss in model_copy.losses.values():
                loss(forward, **beside.of(loss))
    except ValueError:
        raise ConfigError(
            f"training.batch_size: {count:,} data in batches of {batch_size} leave a last one of a single datum, over "
            "which batch normalization cannot average; choose another batch_size"
        ) from None


def check_finite(figures: Mapping[str, float], where: str, model: Model, data: Dataset) -> None:
    """Refuse figures that are not finite; raises TrainingError with their names and the likely cause.

    Data that are unscaled are the likeliest: with them, parts without a fault give what is not finite.

    Args:
        figures: the figures by their names.
        where: the place in training, for the message.
        model: the trained model.
        data: the training data, sent through a fresh model to see whether a part is at fault before any training.
    """
    bad = [f"{name} {value}" for name, value in figures.items() if not math.isfinite(value)]
    if not bad:
        return
    assert model.config is not None
    if extents := unscaled(data, data.range()):
        raise TrainingError(f"{where}: not finite: {', '.join(bad)}; {extents}")
    with own_random_state(), evaluating(fresh := build(model.config, data.schema).to(model.device)):
        size = model.config.training.batch_size
        cause = trial.not_finite(fresh, data.batches(data.train, size, whole=True, names=fresh.reads))
    remedy = "lower training.optimizer.lr, or set training.clip_norm (1.0 is a usual value)"
    raise TrainingError(f"{where}: not finite: {', '.join(bad)}; {cause or remedy}")


def check_epoch(record: EpochRecord, model: Model, data: Dataset) -> None:
    """Refuse an epoch whose figures are not finite; raises TrainingError as `check_finite` does."""
    for split, scores in (("training", record.train), ("validation", record.validation)):
        if scores is not None:
            figures = {"loss": scores.loss, **scores.terms, **scores.critics}
            check_finite(figures, f"epoch {record.epoch}, {split}", model, data)
