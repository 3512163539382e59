"""Fitting a model: the one step that every system shares, and the epochs made of it.

All figures are in nats per datum. Each epoch starts from a random state of its own, made from the run's seed and the
epoch's number, so a run that is resumed at an epoch repeats what it would have done, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

import torch
from torch import Tensor, nn

from genkit.config import TrainingConfig
from genkit.data.dataset import Dataset, as_float
from genkit.errors import ComponentError, GenkitError
from genkit.interfaces import LearnedLoss, Loss, Split
from genkit.model import trial
from genkit.model.model import Model, evaluating
from genkit.parallel.draws import sharing
from genkit.parallel.group import add_up, answer_of_leader
from genkit.record.scores import EpochRecord, Figures, Scores, Total
from genkit.settings.optimizers import OptimizerConfig
from genkit.settings.schedules import value_at
from genkit.speed.compiled import Compiled, Gradients
from genkit.speed.layout import like
from genkit.training.devices import computing_in
from genkit.training.objective import MODEL, critic_of, differentiate, objective


class Trainer:
    """A model with its optimizers: takes steps, and keeps the weights of the terms and the learning rates on schedule.

    A learned term's own parameters have an optimizer of their own; all others are the model's.

    Args:
        model: the model, already on its device.
        config: how it is fitted.
        compiled: whether a step's pass, gradients included, is one compiled graph (see `genkit.speed.compiled.plan`).
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
        self.differentiate: Callable[..., Gradients] = partial(differentiate, model, self.fitted)
        """`differentiate` this model by what is fitted: takes x (B, *shape), weights (T,) and the scale."""
        if compiled:
            self.differentiate = Compiled(differentiate, model, self.fitted, self._kind)
        if not self.fitted[MODEL]:
            raise ComponentError("the model has no parameter to fit: all of them are frozen, or there is none")
        configs = {MODEL: config.optimizer, **{critic_of(name): _critic_config(terms[name]) for name in model.critics}}
        self.optimizers = {owner: configs[owner].build(parameters) for owner, parameters in self.fitted.items()}
        """Every optimizer by the name of what it fits: `model`, or `loss.NAME`."""
        self.scaler = torch.amp.GradScaler(model.device.type) if config.precision == "float16" else None
        """Keeps gradients within what float16 can hold; a step whose gradients are not finite is left out."""
        self.rates = {owner: config.lr for owner, config in configs.items()}
        self.stops: list[Callable[[EpochRecord], bool]] = []
        """What may end training early: asked after each epoch."""

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

    def gradients(self, x: Tensor, weights: Tensor, scale: Tensor | None = None, total: int | None = None) -> Gradients:
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
                raise trial.fault(self.model, as_float(x), error, self.compiled) from error

    def _kind(self, x: Tensor, weights: Tensor, scale: Tensor | None = None) -> Hashable:
        """What a compiled step depends on, as long as nobody else changes the model."""
        return x.shape, x.dtype, x.stride(), self.model.training, self.model.autocast, scale is None

    def should_stop(self, record: EpochRecord) -> bool:
        """Whether training ends with this epoch: as the leading process says, where there are several."""
        answers = [stop(record) for stop in self.stops]
        return answer_of_leader(any(answers), self.model.device)

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
        total = Total(self.model.sum_dtype)
        with evaluating(self.model):
            size = self.config.batch_size
            for x, count in data.batches(split, size):
                with sharing(count):
                    total.add(objective(self.model, as_float(x), factors)[1], count)
        total.gather()
        return total.scores(weights)


def _critic_config(term: Loss.Config) -> OptimizerConfig:
    assert isinstance(term, LearnedLoss.Config)
    return term.optimizer
