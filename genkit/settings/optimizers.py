"""Optimizers as config options: those of torch.optim, strictly checked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from genkit.errors import ConfigError
from genkit.settings.base import ChosenByName, Settings, nearest
from genkit.settings.schedules import Curve, Rate

Beta = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[
    tuple[Beta, Beta], Field(description="the decay rates of the averages of the gradient and of its square")
]
Epsilon = Annotated[float, Field(gt=0, description="a number added to the divisor, so that none is divided by 0")]
Momentum = Annotated[float, Field(ge=0, description="the share of the last update that goes into the next; 0: none")]
NotNegative = Annotated[float, Field(ge=0)]


def _not_negative(schedule: float | Curve) -> float | Curve:
    values = (schedule.start, schedule.last) if isinstance(schedule, Curve) else (schedule,)
    if min(values) < 0:
        raise PydanticCustomError("lr", "must not be below 0")
    return schedule


class OptimizerConfig(Settings, ABC):
    """Options of every optimizer."""

    name: str
    lr: Annotated[
        Rate,
        AfterValidator(_not_negative),
        Field(description="the learning rate: a number, or a schedule (linear, cosine, steps, plateau)"),
    ] = 1e-3
    weight_decay: Annotated[
        NotNegative, Field(description="the factor of the L2 penalty on the weights, or of their decay")
    ] = 0.0

    @property
    @abstractmethod
    def moments(self) -> tuple[str, ...]:
        """The tensors that the optimizer keeps per parameter in the parameter's shape, by torch's names."""


class Adam(OptimizerConfig):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980)."""

    name: Literal["adam"] = "adam"
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8

    @property
    def moments(self) -> tuple[str, ...]:
        """Running means of the gradient and of its square."""
        return ("exp_avg", "exp_avg_sq")


class AdamW(OptimizerConfig):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

    name: Literal["adamw"] = "adamw"
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8

    @property
    def moments(self) -> tuple[str, ...]:
        """Running means of the gradient and of its square."""
        return ("exp_avg", "exp_avg_sq")


class Adamax(OptimizerConfig):
    """Adam with the infinity norm (Kingma & Ba 2015, section 7.1)."""

    name: Literal["adamax"] = "adamax"
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8

    @property
    def moments(self) -> tuple[str, ...]:
        """The running mean of the gradient, and its infinity norm."""
        return ("exp_avg", "exp_inf")


class RMSprop(OptimizerConfig):
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5)."""

    name: Literal["rmsprop"] = "rmsprop"
    alpha: Annotated[float, Field(gt=0, description="the decay rate of the average of the squared gradient")] = 0.99
    eps: Epsilon = 1e-8
    momentum: Momentum = 0.0

    @property
    def moments(self) -> tuple[str, ...]:
        """The running mean of the squared gradient, and the velocity where there is momentum."""
        return ("square_avg", "momentum_buffer") if self.momentum > 0 else ("square_avg",)


class SGD(OptimizerConfig):
    """Stochastic gradient descent, with or without momentum."""

    name: Literal["sgd"] = "sgd"
    momentum: Momentum = 0.0
    nesterov: Annotated[
        bool,
        Field(description="whether the gradient is taken after the momentum's step; needs a momentum above 0"),
    ] = False

    @property
    def moments(self) -> tuple[str, ...]:
        """The velocity where there is momentum."""
        return ("momentum_buffer",) if self.momentum > 0 else ()

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and self.momentum == 0:
            raise PydanticCustomError("nesterov", "nesterov needs a momentum above 0")
        return self


OPTIMIZERS: dict[str, type[OptimizerConfig]] = {
    "adam": Adam,
    "adamw": AdamW,
    "adamax": Adamax,
    "rmsprop": RMSprop,
    "sgd": SGD,
}


class _Optimizers:
    """The optimizers as choices of a config."""

    def settings(self, kind: str, name: str) -> type[OptimizerConfig]:
        if name not in OPTIMIZERS:
            raise ConfigError(f"unknown {kind} '{name}'; {nearest(name, OPTIMIZERS)}")
        return OPTIMIZERS[name]

    def spellings(self, kind: str) -> dict[str, list[str]]:
        return {name: [name] for name in OPTIMIZERS}


Optimizer = Annotated[OptimizerConfig, ChosenByName("optimizer", _Optimizers(), default="adam")]
"""A config field: one of the optimizers, by its name."""
