"""The best weights of a training, kept beside those of its last step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor

from genkit.interfaces import FittedPrior
from genkit.model.model import Model
from genkit.record.scores import EpochRecord
from genkit.settings.patience import Figure
from genkit.settings.training import TrainingConfig
from genkit.training.monitor import Monitor

WEIGHTS = "weights/"


def kept_figure(config: TrainingConfig) -> Figure:
    """The figure by which the best weights are kept."""
    return "loss" if config.stop is None else config.stop.monitor


@final
class BestWeights:
    """The weights and buffers of the epoch in which a figure of the validation data was best.

    Args:
        model: the model, with a config.
        monitor: the figure.
    """

    def __init__(self, model: Model, monitor: Monitor) -> None:
        self.model, self.monitor = model, monitor
        self.epoch = 0
        """The epoch that the weights are of; 0: none yet."""
        self.weights: dict[str, Tensor] = {}

    def consider(self, record: EpochRecord) -> None:
        """Keep the weights that the model has now, if they are the best so far."""
        if self.monitor.improved(record):
            self.epoch = record.epoch
            self._keep(self._state())

    def _state(self) -> dict[str, Tensor]:
        """The weights and buffers of the model, without those of a prior that is fitted after training."""
        fitted = "prior." if isinstance(self.model.prior, FittedPrior) else "\n"
        return {name: each for name, each in self.model.state_dict().items() if not name.startswith(fitted)}

    @torch.no_grad()
    def _keep(self, weights: Mapping[str, Tensor]) -> None:
        if not self.weights:
            self.weights = {name: torch.empty_like(each) for name, each in self._state().items()}
        for name, kept in self.weights.items():
            kept.copy_(weights[name])

    def settle(self) -> None:
        """Give the model the best weights."""
        if self.weights:
            self.model.load_state_dict(self.weights, strict=False)

    def state_dict(self) -> dict[str, Any]:
        """The epoch, the state of the monitor, and the weights by their names in the model."""
        weights = {f"{WEIGHTS}{name}": each for name, each in self.weights.items()}
        return {"epoch": self.epoch, **self.monitor.state_dict(), **weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`; raises ValueError where its weights are not those of the model."""
        weights = {name.removeprefix(WEIGHTS): each for name, each in state.items() if name.startswith(WEIGHTS)}
        forms = {name: (each.shape, each.dtype) for name, each in weights.items()}
        expected = {name: (each.shape, each.dtype) for name, each in self._state().items()}
        if type(state["epoch"]) is not int or state["epoch"] < 0 or (state["epoch"] and forms != expected):
            raise ValueError("the best weights are not those of the model")
        self.monitor.load_state_dict(state)
        self.epoch, self.weights = state["epoch"], {}
        if self.epoch:
            self._keep(weights)
