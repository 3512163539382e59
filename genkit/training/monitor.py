"""Monitors: figures of the validation data that training follows, and the epochs since they were best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, final

from genkit.model.model import Model
from genkit.record.scores import EpochRecord
from genkit.settings.patience import Figure, Patience
from genkit.settings.schedules import Plateau, last_of


def monitored_weights(model: Model) -> dict[str, float]:
    """The weights of the monitored loss: of each term without a critic, the value that its schedule ends with.

    A weight that rises is no loss that rises, and a term that a critic works against has no direction.
    """
    assert model.config is not None
    terms = zip(model.losses, model.config.loss, strict=True)
    return {name: last_of(term.weight) for name, term in terms if name not in model.critics}


@final
class Monitor:
    """A figure of the validation data in nats per datum, and how many epochs have passed since it was best.

    Args:
        model: the model, with a config.
        figure: the name of the figure.
        min_delta: by how much it has to change in order to be better.
        patience: the number of epochs to wait for a better value; None: any number.
    """

    def __init__(self, model: Model, figure: Figure, min_delta: float = 0.0, patience: int | None = None) -> None:
        self.figure, self.min_delta, self.patience = figure, min_delta, patience
        self.weights = monitored_weights(model) if figure == "loss" else {}
        self.best: float | None = None
        """The best value so far, the lower the better; None: there is none."""
        self.waited = 0
        """The number of epochs since then."""

    @classmethod
    def of(cls, model: Model, options: Patience) -> Monitor:
        """The monitor of some options."""
        return cls(model, options.monitor, options.min_delta, options.patience)

    def value(self, record: EpochRecord) -> float:
        """The figure of an epoch, the lower the better: an ELBO with its sign turned."""
        scores = record.validation
        assert scores is not None, "data without a validation split are refused before training"
        if self.figure == "loss":
            return math.fsum(weight * scores.terms[name] for name, weight in self.weights.items())
        figure: float | None = getattr(scores, self.figure)
        assert figure is not None, "a model without the figure is refused before training"
        return -figure if self.figure == "elbo" else figure

    def improved(self, record: EpochRecord) -> bool:
        """Take note of an epoch; returns whether the figure is better than ever before."""
        value = self.value(record)
        better = self.best is None or value < self.best - self.min_delta
        self.best, self.waited = (value, 0) if better else (self.best, self.waited + 1)
        return better

    @property
    def exhausted(self) -> bool:
        """Whether it has waited for as many epochs as its patience allows."""
        return self.patience is not None and self.waited >= self.patience

    @property
    def what(self) -> str:
        """The definition of the figure, as text: values of one definition can be compared."""
        return " ".join([self.figure, *(f"{name}={weight!r}" for name, weight in self.weights.items())])

    def state_dict(self) -> dict[str, Any]:
        """The best value, the epochs since then, and the definition of the figure."""
        return {"best": self.best, "waited": self.waited, "what": self.what}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`; one of another figure is dropped, as its values cannot be compared."""
        best, waited = state["best"], state["waited"]
        if type(waited) is not int or waited < 0 or not (best is None or math.isfinite(best)):
            raise ValueError(f"{best!r} and {waited!r} are no best value and no number of epochs")
        if state["what"] == self.what:
            self.best, self.waited = best, waited
        else:
            self.best, self.waited = None, 0


@final
class ReducedRate:
    """A learning rate that is multiplied by a factor once its monitor has not become better for some epochs in a row.

    Args:
        model: the model, with a config.
        options: the options.
    """

    def __init__(self, model: Model, options: Plateau) -> None:
        self.monitor = Monitor.of(model, options)
        self.options = options
        self.times = 0
        """How often it was reduced."""

    def __call__(self, record: EpochRecord) -> None:
        """Take note of an epoch."""
        self.monitor.improved(record)
        if self.monitor.exhausted:
            self.times, self.monitor.waited = self.times + 1, 0

    def at(self, epoch: float) -> float:
        """The rate now."""
        return self.options.reduced(self.times)

    def state_dict(self) -> dict[str, Any]:
        """The state of the monitor, and how often the rate was reduced."""
        return {**self.monitor.state_dict(), "times": self.times}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`."""
        if type(state["times"]) is not int or state["times"] < 0:
            raise ValueError(f"{state['times']!r} is no number of reductions")
        self.monitor.load_state_dict(state)
        self.times = state["times"]
