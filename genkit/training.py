"""Fitting a model: the one step that every system shares, and the epochs made of it.

All figures are in nats per datum. Each epoch starts from a random state of its own, made from the run's seed and the
epoch's number, so a run that is resumed at an epoch repeats what it would have done, bit for bit.
"""

from __future__ import annotations

import contextlib
import copy
import math
import random
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from genkit import compilation, partwise
from genkit.assembly import build
from genkit.config import TrainingConfig
from genkit.data import Dataset, as_float, spans
from genkit.devices import computing_in
from genkit.errors import ComponentError, ConfigError, GenkitError, TrainingError
from genkit.interfaces import Forward, LearnedLoss, Loss, Split
from genkit.layout import like
from genkit.model import Model, evaluating
from genkit.optimizers import OptimizerConfig
from genkit.processes import add_up, mean, sharing
from genkit.schedules import value_at
from genkit.scores import EpochRecord, Figures, Progress, Scores, Total

SECONDS_BETWEEN_REPORTS = 0.1
MODEL = "model"
"""Who owns all parameters that no critic owns."""


def critic_of(name: str) -> str:
    """Who owns the parameters of the learned term of that name."""
    return f"loss.{name}"


def objective(model: Model, x: Tensor, weights: Tensor) -> tuple[Tensor, Figures, Forward | None]:
    """What is minimised, and what is reported of it.

    Args:
        model: the model.
        x: (B, *shape).
        weights: (T,) the factors of the model's T terms.

    Returns:
        The weighted sum of the terms, (); the unweighted terms, the reconstruction and the KL where the model has them,
        in nats per datum; and, where a term is learned, the detached pass that its critic reads. Where processes share
        the batch, these are summands: added up over the processes, they are the means over it.
    """
    passed = model(x)
    terms = {name: mean(loss(passed)) for name, loss in model.losses.items()}
    figures = {f"term/{name}": term.detach() for name, term in terms.items()}
    if passed.log_prob is not None:
        figures["reconstruction"] = mean(-passed.log_prob.detach().mean(0))
    if passed.latent is not None and passed.latent.kl is not None:
        figures["kl"] = mean(passed.latent.kl.detach().sum(1))
    return weights @ torch.stack(list(terms.values())), figures, passed.detached() if model.critics else None


def differentiate(
    model: Model, fitted: Mapping[str, Sequence[Tensor]], x: Tensor, weights: Tensor, scale: Tensor | None = None
) -> tuple[dict[str, Sequence[Tensor | None]], Figures]:
    """One pass: the gradients of the objective, and of what each critic minimises on the same pass.

    Args:
        model: the model.
        fitted: the parameters that are learned, by their owner: `model`, or `loss.NAME`.
        x: (B, *shape), as the data are kept; uint8 stands for x / 255.
        weights: (T,) the factors of the model's T terms.
        scale: () what the gradients are multiplied by, so that float16 can hold them; None: nothing.

    Returns:
        As many gradients as parameters, by owner, None where a parameter has no part in the loss; and the figures of
        the batch.
    """
    loss, figures, passed = objective(model, as_float(x), weights)
    gradients: dict[str, Sequence[Tensor | None]] = {}
    gradients[MODEL] = _gradients(loss, fitted[MODEL], scale)
    for name, critic in model.critics.items():
        assert passed is not None
        value = mean(critic.critic_loss(passed))
        gradients[critic_of(name)] = _gradients(value, fitted[critic_of(name)], scale)
        figures[f"critic/{name}"] = value.detach()
    return gradients, figures


def _gradients(value: Tensor, parameters: Sequence[Tensor], scale: Tensor | None) -> Sequence[Tensor | None]:
    return torch.autograd.grad(value if scale is None else value * scale, parameters, allow_unused=True)


class Trainer:
    """A model with its optimizers: takes steps, and keeps the weights of the terms and the learning rates on schedule.

    A learned term's own parameters have an optimizer of their own; all others are the model's.

    Args:
        model: the model, already on its device.
        config: how it is fitted.
        compiled: whether a step's pass, gradients included, is one compiled graph (see `genkit.compilation.plan`).
    """

    def __init__(self, model: Model, config: TrainingConfig, compiled: bool = False) -> None:
        assert model.config is not None, "a Trainer needs a model that build() made"
        self.model = model
        self.config = config
        self.compiled = compiled
        terms = dict(zip(model.losses, model.config.loss, strict=True))
        self.terms = {name: term.weight for name, term in terms.items()}
        learned = {parameter for critic in model.critics.values() for parameter in critic.parameters()}
        own = [parameter for parameter in model.parameters() if parameter not in learned]
        owners = {MODEL: own, **{critic_of(name): list(loss.parameters()) for name, loss in model.critics.items()}}
        self.fitted = {owner: [p for p in owned if p.requires_grad] for owner, owned in owners.items()}
        self.differentiate: Callable[..., compilation.Gradients] = partial(differentiate, model, self.fitted)
        """`differentiate` this model by what is fitted: takes x (B, *shape), weights (T,) and the scale."""
        if compiled:
            self.differentiate = compilation.Compiled(differentiate, model, self.fitted, self._kind)
        if not self.fitted[MODEL]:
            raise ComponentError("the model has no parameter to fit: all of them are frozen, or there is none")
        configs = {MODEL: config.optimizer, **{critic_of(name): _critic_config(terms[name]) for name in model.critics}}
        self.optimizers = {owner: configs[owner].build(parameters) for owner, parameters in self.fitted.items()}
        """Every optimizer by the name of what it fits: `model`, or `loss.NAME`."""
        self.scaler = torch.amp.GradScaler(model.device.type) if config.precision == "float16" else None
        """Keeps gradients within what float16 can hold; a step whose gradients are not finite is left out."""
        self.rates = {owner: config.lr for owner, config in configs.items()}

    def step(self, x: Tensor, weights: Tensor, total: int | None = None) -> Figures:
        """One optimisation step on x (B, *shape): the model against the terms, and each critic against the model.

        `total` is the size of the batch of which x is this process's part; by default x is all of it.
        Raises as `gradients` does.
        """
        scale = self.scaler.scale(torch.ones((), device=x.device)) if self.scaler is not None else None
        gradients, figures = self.gradients(x, weights, scale, total)
        add_up(gradient for each in gradients.values() for gradient in each)
        for owner, optimizer in self.optimizers.items():
            for parameter, gradient in zip(self.fitted[owner], gradients[owner], strict=True):
                parameter.grad = None if gradient is None else like(gradient, parameter)
            if self.scaler is not None:
                self.scaler.unscale_(optimizer)
            if owner == MODEL and self.config.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.fitted[owner], self.config.clip_norm)
            if self.scaler is not None:
                self.scaler.step(optimizer)
            else:
                optimizer.step()
            for parameter in self.fitted[owner]:
                parameter.grad = None  # the next pass needs the memory
        if self.scaler is not None:
            self.scaler.update()
        return figures

    def gradients(
        self, x: Tensor, weights: Tensor, scale: Tensor | None = None, total: int | None = None
    ) -> compilation.Gradients:
        """What `differentiate` gives for this model, in the precision that the config asks for; arguments as of `step`.

        Raises:
            GenkitError: a part fails in training: which one, and where.
        """
        with sharing(len(x) if total is None else total), computing_in(self.config.precision, self.model):
            try:
                return self.differentiate(x, weights, scale)
            except GenkitError:
                raise
            except (Exception, SystemExit) as error:
                raise partwise.fault(self.model, as_float(x), error, self.compiled) from error

    def _kind(self, x: Tensor, weights: Tensor, scale: Tensor | None = None) -> Hashable:
        """What a compiled step depends on, as long as nobody else changes the model."""
        return x.shape, x.dtype, x.stride(), self.model.training, self.model.autocast, scale is None

    def weights_at(self, epoch: float) -> dict[str, float]:
        """The weight of each term after `epoch` epochs."""
        return {name: value_at(schedule, epoch) for name, schedule in self.terms.items()}

    def set_lr(self, epoch: float) -> float:
        """Bring every learning rate to where its schedule is after `epoch` epochs; returns the model's."""
        for owner, schedule in self.rates.items():
            for group in self.optimizers[owner].param_groups:
                group["lr"] = value_at(schedule, epoch)
        return value_at(self.config.optimizer.lr, epoch)

    def evaluate(self, data: Dataset, split: Split, weights: dict[str, float]) -> Scores:
        """The same objective on held-out data, without learning from them."""
        factors = torch.tensor(list(weights.values()), device=self.model.device)
        total = Total(self.model.wide)
        with evaluating(self.model):
            size = self.config.batch_size
            for x, (_, count) in zip(data.rows(split, size), spans(len(split.x), size), strict=True):
                with sharing(count):
                    total.add(objective(self.model, as_float(x), factors)[1], count)
        total.gather()
        return total.scores(weights)


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
        _check_epoch(record, trainer.model, data)
        yield record


def seed_everything(seed: int, epoch: int) -> None:
    """Put every global random generator into the state that belongs to an epoch of a run (0: before the first)."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64)
    torch.manual_seed(int(words[0] >> np.uint64(1)))
    np.random.seed(int(words[1] & np.uint64(0xFFFFFFFF)))
    random.seed(int(words[1]))


@contextlib.contextmanager
def own_random_state() -> Iterator[None]:
    """Leave every global random generator as it was before the block."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def check_last_batch(model: Model, count: int, batch_size: int) -> None:
    """Refuse a last batch of one datum where batch normalization has nothing to average over in it.

    Args:
        model: fresh; it stays as it is.
        count: of the training data.
        batch_size: as the config says.

    Raises:
        ConfigError: such a batch would come.
    """
    if count % batch_size != 1 % batch_size or not any(isinstance(part, _BatchNorm) for part in model.modules()):
        return
    tried = copy.deepcopy(model).train()
    try:
        with torch.random.fork_rng(), torch.no_grad():
            passed = tried(torch.zeros(1, *model.shape, device=model.device))
            for loss in tried.losses.values():
                loss(passed)
    except ValueError:
        raise ConfigError(
            f"training.batch_size: {count:,} data in batches of {batch_size} leave a last one of a single datum, over "
            "which batch normalization cannot average; choose another batch_size"
        ) from None


def _critic_config(term: Loss.Config) -> OptimizerConfig:
    assert isinstance(term, LearnedLoss.Config)
    return term.optimizer


def _epoch(trainer: Trainer, data: Dataset, epoch: int, report: Callable[[Progress], None]) -> EpochRecord:
    n, size, device = len(data.train.x), trainer.config.batch_size, trainer.model.device
    steps = math.ceil(n / size)
    order = torch.randperm(n).to(device)
    moments = [epoch - 1 + step / steps for step in range(steps)]
    rows = [trainer.weights_at(moment) for moment in moments]
    weights = torch.tensor([list(row.values()) for row in rows], device=device)
    total = Total(trainer.model.wide)
    trainer.model.train()
    start = reported = time.perf_counter()
    batches = zip(data.rows(data.train, size, order), spans(n, size), strict=True)
    for step, (x, (_, count)) in enumerate(batches):
        lr = trainer.set_lr(moments[step])
        total.add(trainer.step(x, weights[step], count), count)
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


def check_finite(figures: Mapping[str, float], where: str, model: Model, data: Dataset) -> None:
    """Refuse figures that are no finite numbers; raises TrainingError with their names and the likely cause.

    Args:
        figures: by their names.
        where: in training, for the message.
        model: what was trained.
        data: on what; each is sent through the model as it was before training, to tell a part that is at fault.
    """
    bad = [f"{name} {value}" for name, value in figures.items() if not math.isfinite(value)]
    if not bad:
        return
    assert model.config is not None
    with own_random_state(), evaluating(fresh := build(model.config, data.shape).to(model.device)):
        cause = partwise.not_finite(fresh, data.batches(data.train, model.config.training.batch_size))
    remedy = "lower training.optimizer.lr, or set training.clip_norm (1.0 is a usual value)"
    raise TrainingError(f"{where}: not finite: {', '.join(bad)}; {cause or remedy}")


def _check_epoch(record: EpochRecord, model: Model, data: Dataset) -> None:
    for split, scores in (("training", record.train), ("validation", record.validation)):
        if scores is not None:
            figures = {"loss": scores.loss, **scores.terms, **scores.critics}
            check_finite(figures, f"epoch {record.epoch}, {split}", model, data)
