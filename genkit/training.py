"""Fitting a model: the one step that every system shares, and the epochs made of it.

All figures are in nats per datum. Each epoch starts from a random state of its own, made from the run's seed and the
epoch's number, so a run that is resumed at an epoch repeats what it would have done, bit for bit.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genkit.config import TrainingConfig
from genkit.data import Dataset
from genkit.errors import ConfigError, TrainingError
from genkit.interfaces import Loss, Split
from genkit.model import Model, evaluating
from genkit.schedules import Ramp, value_at

SECONDS_BETWEEN_REPORTS = 0.1


@dataclass(frozen=True)
class Scores:
    """Means over the data of a split, in nats per datum."""

    loss: float
    """What is minimised: the weighted sum of the terms."""
    terms: dict[str, float]
    """Each term, unweighted."""
    reconstruction: float
    """E_q[-log p(x|z)]."""
    kl: float | None
    """KL(q(z|x) || p(z)); None where the sampler has none."""
    elbo: float | None
    """The evidence lower bound, -reconstruction - kl, whatever the weights (Kingma & Welling 2014, arXiv:1312.6114)."""


@dataclass(frozen=True)
class EpochRecord:
    """What an epoch came to."""

    epoch: int
    """From 1."""
    steps: int
    """Optimisation steps since the start of the run."""
    seconds: float
    """Of training, validation left out."""
    examples_per_second: float
    lr: float
    weights: dict[str, float]
    """The factor of each term at the last step of the epoch."""
    train: Scores
    validation: Scores | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EpochRecord:
        """What `to_json` gave."""
        validation = values["validation"]
        scores = {"train": Scores(**values["train"]), "validation": validation and Scores(**validation)}
        return cls(**{**values, **scores})


@dataclass(frozen=True)
class Progress:
    """How far an epoch has come."""

    epoch: int
    epochs: int
    step: int
    steps: int
    examples_per_second: float
    weights: dict[str, float]
    """The factor of each term at this step."""
    scores: Scores
    """Of the part of the epoch that is done."""


def objective(model: Model, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """What is minimised, and what is reported of it.

    Args:
        model: the model.
        x: (B, *shape).
        weights: (T,) the factors of the model's T terms.

    Returns:
        The weighted sum of the terms, (), and the row (T + 1 or T + 2,) of the terms' unweighted values, the
        reconstruction, and the KL where the sampler has one; nats per datum.
    """
    passed = model(x)
    terms = torch.stack([loss(passed).mean() for loss in model.losses.values()])
    figures = [terms, -passed.log_prob.mean().unsqueeze(0)]
    if passed.latent.kl is not None:
        figures.append(passed.latent.kl.sum(1).mean().unsqueeze(0))
    return weights @ terms, torch.cat(figures).detach()


class Trainer:
    """A model with its optimizer: takes steps, and keeps the weights of the terms and the learning rate on schedule.

    Args:
        model: the model, already on its device.
        config: how it is fitted.
    """

    def __init__(self, model: Model, config: TrainingConfig) -> None:
        self.model = model
        self.config = config
        self.optimizer = config.optimizer.build(model.parameters())
        self.objective = torch.compile(objective) if config.compile else objective
        self.terms: dict[str, float | Ramp] = {
            name: config.weight for name, config in zip(model.losses, _term_configs(model), strict=True)
        }

    def step(self, x: Tensor, weights: Tensor) -> Tensor:
        """One optimisation step on x (B, *shape); returns the row of figures that `objective` describes."""
        loss, figures = self.objective(self.model, x, weights)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        return figures

    def weights_at(self, epoch: float) -> dict[str, float]:
        """The weight of each term after `epoch` epochs."""
        return {name: value_at(schedule, epoch) for name, schedule in self.terms.items()}

    def set_lr(self, epoch: float) -> float:
        """Bring the learning rate to where its schedule is after `epoch` epochs."""
        lr = value_at(self.config.optimizer.lr, epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def scores(self, total: Tensor, count: int, weights: dict[str, float]) -> Scores:
        """Scores of `count` data from the sum of their rows (T + 1 or T + 2,), each times its batch's size."""
        row = (total / count).tolist()
        terms = dict(zip(self.terms, row, strict=False))
        reconstruction, *rest = row[len(terms) :]
        kl = rest[0] if rest else None
        loss = math.fsum(weights[name] * value for name, value in terms.items())
        return Scores(loss, terms, reconstruction, kl, None if kl is None else -reconstruction - kl)

    def evaluate(self, data: Dataset, split: Split, weights: dict[str, float]) -> Scores:
        """The same objective on held-out data, without learning from them."""
        factors = torch.tensor(list(weights.values()), device=self.model.device)
        total: Tensor | float = 0.0
        with evaluating(self.model):
            for x in data.batches(split, self.config.batch_size):
                total = total + objective(self.model, x, factors)[1].double() * len(x)
        assert isinstance(total, Tensor)
        return self.scores(total, len(split.x), weights)


def fit(
    trainer: Trainer,
    data: Dataset,
    seed: int,
    first: int = 1,
    report: Callable[[Progress], None] = lambda _: None,
) -> Iterator[EpochRecord]:
    """Train epoch by epoch, from epoch `first` on, and yield the record of each.

    `report` is called some times a second with the progress within the epoch.

    Raises:
        TrainingError: a term is no longer finite.
    """
    for epoch in range(first, trainer.config.epochs + 1):
        seed_everything(seed, epoch)
        record = _epoch(trainer, data, epoch, report)
        _check_finite(record)
        yield record


def seed_everything(seed: int, epoch: int) -> None:
    """Put every global random generator into the state that belongs to an epoch of a run (0: before the first)."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64)
    torch.manual_seed(int(words[0] >> np.uint64(1)))
    np.random.seed(int(words[1] & np.uint64(0xFFFFFFFF)))
    random.seed(int(words[1]))


def choose_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where there is one."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, there in available.items() if there)
    if not available[name]:
        raise ConfigError(f"training.device: '{name}' is not available on this machine; use auto or cpu")
    return torch.device(name)


def _term_configs(model: Model) -> tuple[Loss.Config, ...]:
    assert model.config is not None, "a Trainer needs a model that build() made"
    return model.config.loss


def _epoch(trainer: Trainer, data: Dataset, epoch: int, report: Callable[[Progress], None]) -> EpochRecord:
    n, size, device = len(data.train.x), trainer.config.batch_size, trainer.model.device
    steps = math.ceil(n / size)
    order = torch.randperm(n).to(device)
    moments = [epoch - 1 + step / steps for step in range(steps)]
    rows = [trainer.weights_at(moment) for moment in moments]
    weights = torch.tensor([list(row.values()) for row in rows], device=device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    trainer.model.train()
    done, start = 0, time.perf_counter()
    reported = start
    for step, x in enumerate(data.batches(data.train, size, order)):
        lr = trainer.set_lr(moments[step])
        total = total + trainer.step(x, weights[step]).double() * len(x)
        done += len(x)
        now = time.perf_counter()
        if now - reported > SECONDS_BETWEEN_REPORTS:
            reported = now
            scores = trainer.scores(total, done, rows[step])
            report(Progress(epoch, trainer.config.epochs, step + 1, steps, done / (now - start), rows[step], scores))
    train = trainer.scores(total, n, rows[-1])
    seconds = time.perf_counter() - start
    validation = None if data.validation is None else trainer.evaluate(data, data.validation, rows[-1])
    return EpochRecord(epoch, epoch * steps, seconds, n / seconds, lr, rows[-1], train, validation)


def _check_finite(record: EpochRecord) -> None:
    for split, scores in (("training", record.train), ("validation", record.validation)):
        if scores is None or math.isfinite(scores.loss):
            continue
        bad = [name for name, value in scores.terms.items() if not math.isfinite(value)]
        raise TrainingError(
            f"epoch {record.epoch}: the {split} loss is {scores.loss} (term {', '.join(bad) or 'sum'}); "
            "lower training.optimizer.lr, or set training.clip_norm (1.0 is a usual value)"
        )
