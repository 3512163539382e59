"""Guards of training: refusals of options that the data or the model lack, and of figures that are not finite."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor

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
from genkit.settings.patience import Figure
from genkit.settings.schedules import Cosine, Plateau
from genkit.settings.training import TrainingConfig
from genkit.training.keeping import kept_figure
from genkit.training.monitor import monitored_weights
from genkit.training.objective import objective
from genkit.training.optimization import MODEL, optimizer_configs
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


def check_monitors(model: Model, config: TrainingConfig, data: Dataset) -> None:
    """Refuse options that follow a figure of the validation data where there are none, or the model lacks the figure.

    Args:
        model: the model, with a config; it is not changed.
        config: the options of the training.
        data: the data of the training.

    Raises:
        ConfigError: an option cannot be followed; with its name and the remedy.
    """
    for option, figure in _monitored(model, config).items():
        names = ["loss", *(_figures(model) if figure != "loss" else ())]
        if data.validation is None:
            raise ConfigError(
                f"{option} follows the validation data, and there are none: hold some out, for example "
                "data.validation=0.1, or leave the option out"
            )
        if figure == "loss" and not monitored_weights(model):
            raise ConfigError(
                f"{option} follows the loss without the terms that have a critic, and no other term is left: no figure "
                "of the validation data says which epoch is better; leave the option out"
            )
        if figure not in names:
            raise ConfigError(f"{option}: the model has no figure '{figure}' to monitor; it has {', '.join(names)}")


def _monitored(model: Model, config: TrainingConfig) -> dict[str, Figure]:
    """The figures that options follow, by the names of the options."""
    figures: dict[str, Figure] = {} if config.stop is None else {"training.stop": config.stop.monitor}
    if config.keep == "best":
        figures["training.keep: best"] = kept_figure(config)
    for owner, optimizer in optimizer_configs(model, config).items():
        if isinstance(optimizer.lr, Plateau):
            option = "training" if owner == MODEL else owner
            figures[f"{option}.optimizer.lr: plateau"] = optimizer.lr.monitor
    return figures


def _figures(model: Model) -> list[str]:
    """The figures beside the loss that a model has."""
    with torch.random.fork_rng(), evaluating(model):
        zeros, side = _placeholders(model)
        _, figures, _ = objective(model, zeros, torch.ones(len(model.losses), device=model.device), side)
    names = [name for name in ("reconstruction", "kl") if name in figures]
    return [name.replace("kl", "elbo") for name in names]


def schedule_doubts(model: Model, config: TrainingConfig, count: int) -> list[str]:
    """A line for each schedule whose warm-up does not end within the training on `count` data."""
    assert model.config is not None
    epochs = config.steps_over(count) / config.steps_per_epoch(count)
    rates = optimizer_configs(model, config).items()
    schedules = {f"{'training' if owner == MODEL else owner}.optimizer.lr": each.lr for owner, each in rates}
    schedules |= {
        f"loss.{name}.weight": term.weight for name, term in zip(model.losses, model.config.loss, strict=True)
    }
    return [
        f"{option}: its warm-up takes {each.warm_up:g} epochs, and the training {epochs:.3g}: it never reaches "
        f"{each.start:g}; shorten warm_up, or train for longer"
        for option, each in schedules.items()
        if isinstance(each, Cosine) and each.warm_up >= epochs
    ]


def check_accumulation(model: Model, config: TrainingConfig) -> None:
    """Refuse to accumulate gradients where a part looks at a whole batch, which no batch of a step is.

    Raises:
        ConfigError: a term is a statistic of the batch, or a layer normalizes over it; a line for each.
    """
    if config.accumulate == 1:
        return
    frozen = {layer for part in model.frozen for layer in part.modules()}
    layers = [
        name for name, part in model.named_modules() if isinstance(part, normalization.KINDS) and part not in frozen
    ]
    wrong = [f"loss '{name}' is a statistic of a whole batch" for name in _statistics(model)]
    wrong += [f"{name} normalizes over a whole batch" for name in layers]
    if wrong:
        step = f"a step has {config.accumulate} batches, and none of them is the whole"
        remedy = "accumulate: 1 with a larger batch_size, or another part"
        raise ConfigError(*(f"training.accumulate: {each}: {step}; use {remedy}" for each in wrong))


def _statistics(model: Model) -> list[str]:
    """The terms that say that they are statistics of a batch, or give one."""
    with torch.random.fork_rng(), evaluating(model):
        zeros, side = _placeholders(model)
        forward, beside = model(zeros, side=side), model.beside(side)
        values = {name: [loss(forward, **beside.of(loss))] for name, loss in model.losses.items()}
        with torch.enable_grad():
            for name, critic in model.critics.items():
                values[name].append(critic.critic_loss(forward.detached(), **beside.of(critic)))
    return [name for name, own in values.items() if model.losses[name].over == "batch" or not all(x.ndim for x in own)]


def _placeholders(model: Model) -> tuple[Tensor, dict[str, Tensor]]:
    """Two data of zeros (2, *shape), and the side data that the model reads with them."""
    side = placeholders(model.schema, model.reads, 2, model.device)
    return torch.zeros(2, *model.shape, device=model.device), dict(side)


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
