"""The trainer: the training step of every system, and the hooks around it.

B data, T loss terms. All figures are in nats per datum.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from genkit.data.dataset import Batch, Dataset, as_float
from genkit.errors import GenkitError
from genkit.evaluation.activity import Activity
from genkit.interfaces import Split
from genkit.model import trial
from genkit.model.conditions import NOTHING
from genkit.model.model import Model
from genkit.model.network import evaluating
from genkit.parallel.draws import sharing
from genkit.parallel.group import add_up, answer_of_leader
from genkit.parallel.overlap import Overlap
from genkit.record.scores import EpochRecord, Scores
from genkit.record.totals import Figures, Total
from genkit.settings.schedules import value_at
from genkit.settings.training import TrainingConfig
from genkit.speed.compiled import Compiled
from genkit.speed.graph import Gradients
from genkit.training.averaging import AveragedWeights
from genkit.training.devices import computing_in
from genkit.training.keeping import BestWeights, kept_figure
from genkit.training.monitor import Monitor
from genkit.training.objective import differentiate, objective
from genkit.training.optimization import MODEL, Optimization


class Stateful(Protocol):
    """An object with a state that a resumed run restores."""

    def state_dict(self) -> dict[str, Any]:
        """The state: tensors and plain values by their names."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`."""


def _added(share: float, total: Tensor | None, summand: Tensor | None) -> Tensor | None:
    """A sum of gradients and a share of one more; None is 0."""
    if summand is None:
        return total
    return share * summand if total is None else total.add_(summand, alpha=share)


class Trainer:
    """A model with its optimizers: it takes steps with scheduled term weights and learning rates.

    Args:
        model: the model, already on its device.
        config: the options of the training.
        compiled: whether a step's pass, gradients included, is one compiled graph (see `genkit.speed.compiled.plan`).
    """

    def __init__(self, model: Model, config: TrainingConfig, compiled: bool = False) -> None:
        assert model.config is not None, "a Trainer needs a model that build() made"
        self.model = model
        self.config = config
        self.compiled = compiled
        self.weights = {name: term.weight for name, term in zip(model.losses, model.config.loss, strict=True)}
        self.optimization = Optimization(model, config)
        fitted = self.optimization.parameters
        self.differentiate: Callable[..., Gradients] = self._differentiating(fitted)
        """`differentiate` for this model and all its parameters: takes x (B, *shape), weights (T,), scale and side."""
        self.overlap = Overlap({} if compiled else fitted)  # in a compiled graph nothing begins
        """The sums of gradients over processes."""
        self.taken = 0
        """The number of steps that are done."""
        self._of_some: dict[frozenset[str], Callable[..., Gradients]] = {frozenset(fitted): self.differentiate}
        self.inspect: Callable[[Mapping[str, Sequence[Tensor | None]], Figures], None] | None = None
        """A function to call before each update, with the gradients by owner and the figures; it may raise."""
        self.after_step: list[Callable[[Trainer], None]] = []
        """Functions to call after each step, in this order."""
        self.after_epoch: list[Callable[[EpochRecord], object]] = []
        """Functions to call after each epoch, before its checkpoint."""
        self.stops: list[Callable[[EpochRecord], bool]] = []
        """Functions to ask after each epoch: training ends once one of them says so."""
        self.states: dict[str, Stateful] = {}
        """Further objects by name, with a state that goes into checkpoints."""
        self.average: AveragedWeights | None = None
        """The average of the model's weights; None: it is not asked for."""
        self.best: BestWeights | None = None
        """The best weights; None: those at the end are kept."""
        self.stopping: Monitor | None = None
        """What ends training early; None: nothing in the config."""
        self._add_options()

    def _add_options(self) -> None:
        """Add what options of the config do beside the steps."""
        model, config = self.model, self.config
        if config.ema is not None:
            self.average = AveragedWeights(self.optimization.parameters[MODEL], config.ema.decay)
            self.after_step.append(self._average)
            self.states["ema"] = self.average
        if config.keep == "best":
            self.best = BestWeights(model, Monitor(model, kept_figure(config)))
            self.after_epoch.append(self._keep_best)
            self.states["best"] = self.best
        if config.stop is not None:
            self.stopping = Monitor.of(model, config.stop)
            self.after_epoch.append(self.stopping.improved)
            self.stops.append(lambda _: self.stopped)
            self.states["stop"] = self.stopping
        for owner, reduced in self.optimization.reduced.items():
            self.after_epoch.append(reduced)
            self.states[f"lr.{owner}"] = reduced

    def _average(self, _: Trainer) -> None:
        assert self.average is not None
        if self.taken % self.optimization.period == 0:  # critics may have updates between those of the model
            self.average.add()

    def _keep_best(self, record: EpochRecord) -> None:
        assert self.best is not None
        with self.judged():
            self.best.consider(record)

    def judged(self) -> contextlib.AbstractContextManager[None]:
        """The model has the weights inside the block that are evaluated, drawn and saved: averages, where asked for."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    @property
    def stopped(self) -> bool:
        """Whether `training.stop` has ended training."""
        return self.stopping is not None and self.stopping.exhausted

    def settle(self) -> None:
        """Give the model the weights that the config says training ends with: the best, or the averages."""
        if self.best is not None:
            self.best.settle()
        elif self.average is not None:
            self.average.settle()

    def step(
        self, x: Tensor, weights: Tensor, total: int | None = None, side: Mapping[str, Tensor] = NOTHING
    ) -> Figures:
        """One optimisation step: the model against the terms, and each critic against the model.

        Args:
            x: this process's rows of the batch (B, *shape), as they are stored; uint8 is read as x / 255.
            weights: the factors (T,) of the terms.
            total: the number of data in the whole batch; None: x is the whole batch.
            side: the side data that the model reads, (B, ...) each.

        Raises:
            GenkitError: a part fails in training; with its name and the place.
        """
        with self.overlap:
            gradients, figures = self.gradients(x, weights, self.optimization.scale(x.device), total, side)
        return self._update(self.overlap.added_up(gradients), figures)

    def step_over(self, batches: Sequence[Batch], weights: Tensor) -> Figures:
        """One optimisation step with the gradients of a batch that holds the data of several; errors as for `step`.

        Each batch counts with its share of the data, so that the last one may have fewer. The terms have to be means
        over the data: a statistic of a batch is none of a larger one.
        """
        scale, whole = self.optimization.scale(weights.device), sum(batch.total for batch in batches)
        gradients: dict[str, list[Tensor | None]] = {}
        figures: Figures = {}
        for batch in batches:
            share = batch.total / whole
            summands, values = self.gradients(batch.x, weights, scale, batch.total, batch.side)
            for owner, own in summands.items():
                gradients[owner] = list(map(partial(_added, share), gradients.get(owner, [None] * len(own)), own))
            figures = {name: figures.get(name, 0.0) + share * value for name, value in values.items()}
        add_up(gradient for each in gradients.values() for gradient in each)
        return self._update(gradients, figures)

    def _update(self, gradients: Mapping[str, Sequence[Tensor | None]], figures: Figures) -> Figures:
        """Change the parameters by the gradients of a step, of all processes; returns the figures."""
        if self.inspect is not None:
            self.inspect(gradients, figures)
        self.optimization.apply(gradients)
        self.taken += 1
        for act in self.after_step:
            act(self)
        return figures

    def gradients(
        self,
        x: Tensor,
        weights: Tensor,
        scale: Tensor | None = None,
        total: int | None = None,
        side: Mapping[str, Tensor] = NOTHING,
    ) -> Gradients:
        """The gradients by owner, in the config's precision, and the figures; arguments and errors as for `step`."""
        with sharing(len(x) if total is None else total), computing_in(self.config.precision, self.model):
            try:
                differentiate = self.differentiate if self.optimization.period == 1 else self._of_due()
                return differentiate(x, weights, scale, *(side[name] for name in self.model.reads))
            except GenkitError:
                raise
            except (Exception, SystemExit) as error:
                raise trial.fault(self.model, as_float(x), side, error, self.compiled) from error

    def _differentiating(self, fitted: Mapping[str, Sequence[Tensor]]) -> Callable[..., Gradients]:
        """The function that takes gradients with respect to some parameters, compiled where steps are."""
        if self.compiled:
            return Compiled(differentiate, self.model, fitted, self._kind)
        return partial(differentiate, self.model, fitted)

    def _of_due(self) -> Callable[..., Gradients]:
        """The same for the owners that are updated at this step."""
        due = self.optimization.due(self.taken)
        if due not in self._of_some:
            fitted = {owner: each for owner, each in self.optimization.parameters.items() if owner in due}
            self._of_some[due] = self._differentiating(fitted)
        return self._of_some[due]

    def _kind(self, x: Tensor, weights: Tensor, scale: Tensor | None = None, *side: Tensor) -> Hashable:
        """The key of the compiled graph: the properties that a compiled step depends on."""
        of_x, of_side = (x.shape, x.dtype, x.stride()), tuple((each.dtype, each.stride()) for each in side)
        return of_x, of_side, self.model.training, self.model.autocast, scale is None

    def weights_at(self, epoch: float) -> dict[str, float]:
        """The weight of each term after `epoch` epochs."""
        return {name: value_at(schedule, epoch) for name, schedule in self.weights.items()}

    def set_rates(self, epoch: float) -> float:
        """Set every learning rate to its schedule's value after `epoch` epochs; returns the model's."""
        return self.optimization.set_rates(epoch)

    def end_epoch(self, record: EpochRecord) -> None:
        """Call the functions of `after_epoch`."""
        for act in self.after_epoch:
            act(record)

    def should_stop(self, record: EpochRecord) -> bool:
        """Whether training ends with the epoch of that record; of several processes, the leading one decides."""
        answers = [stop(record) for stop in self.stops]  # each is asked: it may count its own epochs
        return answer_of_leader(any(answers), self.model.device)

    def evaluate(self, data: Dataset, split: Split, weights: dict[str, float]) -> Scores:
        """The scores of the objective on held-out data."""
        factors = torch.tensor(list(weights.values()), device=self.model.device)
        total, activity = Total(self.model.sum_dtype), Activity(self.model.sum_dtype)
        with self.judged(), evaluating(self.model):
            for batch in data.batches(split, self.config.batch_size, names=self.model.reads):
                with sharing(batch.total):
                    _, figures, forward = objective(self.model, as_float(batch.x), factors, batch.side)
                total.add(figures, batch.total)
                if forward.latent is not None:
                    activity.add(forward.latent.mean)
        total.gather()
        return replace(total.scores(weights), active_units=activity.active())

    def state_dict(self) -> dict[str, Any]:
        """The states of the model, the optimizers and the scaler, and of `states` by name: all that a resume needs."""
        states = {name: each.state_dict() for name, each in self.states.items()}
        return {"model": self.model.state_dict(), **self.optimization.state_dict(), "states": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`; objects in `states` that it lacks are not changed."""
        self.model.load_state_dict(state["model"])
        self.optimization.load_state_dict(state)
        for name, each in self.states.items():
            if name in state["states"]:
                each.load_state_dict(state["states"][name])
