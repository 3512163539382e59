"""The optimizers of a training step: one for the model and one for each critic, with their learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import LearnedLoss
from genkit.model.model import Model
from genkit.settings.optimizers import OptimizerConfig
from genkit.settings.schedules import Curve, Plateau, Varying, value_at
from genkit.settings.training import TrainingConfig
from genkit.speed.layout import like
from genkit.speed.updater import Updater
from genkit.training.monitor import ReducedRate

MODEL = "model"
"""The owner of all parameters that belong to no critic."""


def critic_of(name: str) -> str:
    """The owner name of a learned term's parameters: `loss.NAME`."""
    return f"loss.{name}"


def fitted_parameters(model: Model) -> dict[str, list[nn.Parameter]]:
    """The parameters to learn, by their owner: `model`, or `loss.NAME` for those of a critic."""
    of_critics = {parameter for critic in model.critics.values() for parameter in critic.parameters()}
    owners = {MODEL: [parameter for parameter in model.parameters() if parameter not in of_critics]}
    owners |= {critic_of(name): list(critic.parameters()) for name, critic in model.critics.items()}
    return {owner: [p for p in parameters if p.requires_grad] for owner, parameters in owners.items()}


def check_parameters(model: Model) -> None:
    """Refuse a model without anything to fit; raises ComponentError."""
    if not fitted_parameters(model)[MODEL]:
        remedy = "leave a part out of init.freeze" if model.frozen else "choose a part that learns"
        raise ComponentError(f"the model has no parameter to fit; {remedy}")


class Optimization:
    """The optimizers of a model and its critics: they change the parameters by the gradients of a step.

    Args:
        model: the model, with a config and already on its device.
        config: the options of the training.

    Raises:
        ComponentError: the model has no parameter to fit.
    """

    def __init__(self, model: Model, config: TrainingConfig) -> None:
        self.parameters = fitted_parameters(model)
        """The parameters to learn, by their owner."""
        check_parameters(model)
        configs = optimizer_configs(model, config)
        self.optimizers = {owner: Updater(configs[owner], fitted) for owner, fitted in self.parameters.items()}
        """The optimizers by the owners of their parameters."""
        self.reduced = {owner: ReducedRate(model, lr) for owner, lr in _rates(configs) if isinstance(lr, Plateau)}
        """The learning rates that follow the validation data, by the owners of their parameters."""
        self.schedules: dict[str, float | Varying] = {**dict(_rates(configs)), **self.reduced}
        self.clip_norms = _clip_norms(model, config)
        """The greatest norm of the gradients of each owner that has one."""
        self.steps = steps_of(model)
        """The updates of each owner in a period."""
        self.period = max(self.steps.values())
        """The number of steps after which the model is updated."""
        self.scaler = torch.amp.GradScaler(model.device.type) if config.precision == "float16" else None
        """Keeps gradients within the range of float16; a step with gradients that are not finite is left out."""

    def due(self, step: int) -> frozenset[str]:
        """The owners that are updated at a step, counted from 0: the model at the last of so many of its critics."""
        place = step % self.period
        return frozenset(owner for owner, steps in self.steps.items() if place >= self.period - steps)

    def scale(self, device: torch.device) -> Tensor | None:
        """The factor () of the objective before its gradients are taken; None: 1."""
        return None if self.scaler is None else self.scaler.scale(torch.ones((), device=device))

    def apply(self, gradients: Mapping[str, Sequence[Tensor | None]]) -> None:
        """Change the parameters of each owner by its gradients, which have the factor `scale`."""
        for owner in gradients:
            optimizer = self.optimizers[owner]
            for parameter, gradient in zip(self.parameters[owner], gradients[owner], strict=True):
                parameter.grad = gradient
            if self.scaler is not None:
                self.scaler.unscale_(optimizer)  # type: ignore[arg-type]  # it asks for param_groups alone
            if owner in self.clip_norms:
                nn.utils.clip_grad_norm_(self.parameters[owner], self.clip_norms[owner])
            if self.scaler is not None:
                self.scaler.step(optimizer)  # type: ignore[arg-type]
            else:
                optimizer.step()
            for parameter in self.parameters[owner]:
                parameter.grad = None  # the next pass needs the memory
        if self.scaler is not None:
            self.scaler.update()

    def set_rates(self, epoch: float) -> float:
        """Set every learning rate to its schedule's value after `epoch` epochs; returns the model's."""
        rates = {owner: value_at(schedule, epoch) for owner, schedule in self.schedules.items()}
        for owner, rate in rates.items():
            for group in self.optimizers[owner].param_groups:
                group["lr"] = rate
        return rates[MODEL]

    def state_dict(self) -> dict[str, Any]:
        """The states of the optimizers by owner, as torch gives them, and of the scaler, or None."""
        return {
            "optimizers": {owner: optimizer.state_dict()["state"] for owner, optimizer in self.optimizers.items()},
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state of `state_dict`; each moment gets the memory layout of its parameter."""
        for owner, optimizer in self.optimizers.items():
            states = state["optimizers"].get(owner, {})
            laid_out = {
                index: {name: _laid_out(value, parameter) for name, value in states.get(index, {}).items()}
                for index, parameter in enumerate(self.parameters[owner])
            }
            optimizer.load_state_dict({"state": laid_out, "param_groups": optimizer.state_dict()["param_groups"]})
        if self.scaler is not None and state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])


def _rates(configs: Mapping[str, OptimizerConfig]) -> list[tuple[str, float | Curve]]:
    """The learning rates by the owners of their parameters."""
    return [(owner, config.lr) for owner, config in configs.items()]


def _laid_out(value: Any, parameter: Tensor) -> Any:
    """A moment in the memory layout of its parameter, which a file does not keep."""
    return like(value, parameter) if isinstance(value, Tensor) and value.shape == parameter.shape else value


def optimizer_configs(model: Model, config: TrainingConfig) -> dict[str, OptimizerConfig]:
    """The optimizer configs by owner: the run's for the model, a learned term's own for its critic."""
    return {MODEL: config.optimizer, **{owner: critic.optimizer for owner, critic in _critic_configs(model).items()}}


def _clip_norms(model: Model, config: TrainingConfig) -> dict[str, float]:
    norms = {MODEL: config.clip_norm, **{owner: critic.clip_norm for owner, critic in _critic_configs(model).items()}}
    return {owner: norm for owner, norm in norms.items() if norm is not None}


def _critic_configs(model: Model) -> dict[str, LearnedLoss.Config]:
    """The options of the learned terms by owner."""
    assert model.config is not None
    terms = zip(model.losses, model.config.loss, strict=True)
    return {critic_of(name): term for name, term in terms if isinstance(term, LearnedLoss.Config)}


def steps_of(model: Model) -> dict[str, int]:
    """How many updates each owner gets for one of the model, which is an owner too."""
    return {MODEL: 1, **{owner: critic.steps for owner, critic in _critic_configs(model).items()}}
