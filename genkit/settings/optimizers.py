"""The optimizers that a config may name, with the options that each has: those of torch.optim, strictly checked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from genkit.errors import ConfigError
from genkit.settings.base import ChosenByName, Settings, nearest
from genkit.settings.schedules import Ramp, Schedule, value_at

Beta = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[
    tuple[Beta, Beta], Field(description="the decay rates of the averages of the gradient and of its square")
]
Epsilon = Annotated[float, Field(gt=0, description="a number added to the divisor, so that none is divided by 0")]
Momentum = Annotated[float, Field(ge=0, description="the share of the last update that goes into the next; 0: none")]
NotNegative = Annotated[float, Field(ge=0)]


def _not_negative(schedule: float | Ramp) -> float | Ramp:
    values = (schedule.start, schedule.end) if isinstance(schedule, Ramp) else (schedule,)
    if min(values) < 0:
        raise PydanticCustomError("lr", "must not be below 0")
    return schedule


class OptimizerConfig(Settings):
    """Options of every optimizer."""

    name: str
    lr: Annotated[
        Schedule, AfterValidator(_not_negative), Field(description="the learning rate: a number or a ramp")
    ] = 1e-3
    weight_decay: Annotated[
        NotNegative, Field(description="the factor of the L2 penalty on the weights, or of their decay")
    ] = 0.0

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer for some parameters, its learning rate as at the start of training."""
        parameters = list(parameters)
        options = self.model_dump(exclude={"name", "lr"})
        if self.name in FUSED and {parameter.device.type for parameter in parameters} <= FUSED_ON:
            options["fused"] = True  # all parameters in one pass over the memory
        return _plain(OPTIMIZERS[self.name][1])(parameters, lr=value_at(self.lr, 0.0), **options)


class Adam(OptimizerConfig):
    """Adam (Kingma & Ba 2015, arXiv:1412.6980)."""

    name: Literal["adam"] = "adam"
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8


class AdamW(OptimizerConfig):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

    name: Literal["adamw"] = "adamw"
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8


class Adamax(OptimizerConfig):
    """Adam with the infinity norm (Kingma & Ba 2015, section 7.1)."""

    name: Literal["adamax"] = "adamax"
    betas: Betas = (0.9, 0.999)
    eps: Epsilon = 1e-8


class RMSprop(OptimizerConfig):
    """RMSprop (Tieleman & Hinton 2012, lecture 6.5)."""

    name: Literal["rmsprop"] = "rmsprop"
    alpha: Annotated[float, Field(gt=0, description="the decay rate of the average of the squared gradient")] = 0.99
    eps: Epsilon = 1e-8
    momentum: Momentum = 0.0


class SGD(OptimizerConfig):
    """Stochastic gradient descent, with momentum if asked."""

    name: Literal["sgd"] = "sgd"
    momentum: Momentum = 0.0
    nesterov: Annotated[
        bool, Field(description="whether the gradient is taken ahead, where momentum leads; needs a momentum above 0")
    ] = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> SGD:
        if self.nesterov and self.momentum == 0:
            raise PydanticCustomError("nesterov", "nesterov needs a momentum above 0")
        return self


OPTIMIZERS: dict[str, tuple[type[OptimizerConfig], type[torch.optim.Optimizer]]] = {
    "adam": (Adam, torch.optim.Adam),
    "adamw": (AdamW, torch.optim.AdamW),
    "adamax": (Adamax, torch.optim.Adamax),
    "rmsprop": (RMSprop, torch.optim.RMSprop),
    "sgd": (SGD, torch.optim.SGD),
}


FUSED = {"adam", "adamw", "sgd"}
"""Those of which torch has a fused form."""
FUSED_ON = {"cpu", "cuda", "mps"}


def _plain(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """An optimizer of torch without what wraps its methods for the sake of torch.compile.

    The wrappers import all of the compiler, which takes as long as importing torch does. Where torch has one kernel for
    the update of all parameters, the step is little more than its call.
    """
    methods: dict[str, Any] = {
        name: inspect.unwrap(getattr(kind, name))
        for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    }
    methods["step"] = usual = torch.no_grad()(inspect.unwrap(kind.step))
    if kind in KERNELS:
        methods["step"] = lambda optimizer: _fused_step(optimizer, KERNELS[kind], usual)
    methods["step"].hooked = True  # nor does anybody time it, or wait for its end
    return type(kind.__name__, (kind,), methods)


@torch.no_grad()
def _fused_step(
    optimizer: torch.optim.Optimizer, kernel: Callable[..., None], usual: Callable[[torch.optim.Optimizer], None]
) -> None:
    """Update all parameters by one call of a kernel; whatever is not ordinary is left to torch's own step."""
    (group,) = optimizer.param_groups
    gradients = [parameter.grad for parameter in group["params"]]
    ordinary = group["fused"] and optimizer.state and not hasattr(optimizer, "grad_scale")
    if not ordinary or any(gradient is None for gradient in gradients):
        usual(optimizer)
        return
    first, second, counts, steps = _moments(optimizer)
    counts.add_(1)
    beta1, beta2 = group["betas"]
    options = {key: group[key] for key in ("lr", "weight_decay", "eps", "amsgrad", "maximize")}
    ordered = ([_ordered(tensor) for tensor in each] for each in (group["params"], gradients))
    kernel(*ordered, first, second, [], steps, beta1=beta1, beta2=beta2, **options)


def _moments(optimizer: Any) -> tuple[list[Tensor], list[Tensor], Tensor, list[Tensor]]:
    """Both moments of each parameter, and the counts of its steps: as one tensor, and as the elements of it."""
    states = [optimizer.state[parameter] for parameter in optimizer.param_groups[0]["params"]]
    kept: tuple[Any, ...] | None = getattr(optimizer, "moments", None)
    if kept is None or any(step is not state["step"] for step, state in zip(kept[3], states, strict=True)):
        counts = torch.stack([state["step"] for state in states])
        steps = list(counts.unbind())
        for state, step in zip(states, steps, strict=True):
            state["step"] = step
        first, second = ([_ordered(state[name]) for state in states] for name in ("exp_avg", "exp_avg_sq"))
        kept = optimizer.moments = (first, second, counts, steps)
    return kept


def _ordered(tensor: Tensor) -> Tensor:
    """A tensor with its dimensions as they lie in memory: the kernel would make copies of any other order."""
    if tensor.is_contiguous():
        return tensor
    turned = tensor.permute(sorted(range(tensor.ndim), key=tensor.stride, reverse=True))
    return turned if turned.is_contiguous() else tensor


KERNELS = {torch.optim.Adam: torch._fused_adam_, torch.optim.AdamW: torch._fused_adamw_}


class _Optimizers:
    """The optimizers as choices of a config."""

    def settings(self, kind: str, name: str) -> type[OptimizerConfig]:
        if name not in OPTIMIZERS:
            raise ConfigError(f"unknown {kind} '{name}'; {nearest(name, OPTIMIZERS)}")
        return OPTIMIZERS[name][0]

    def spellings(self, kind: str) -> dict[str, list[str]]:
        return {name: [name] for name in OPTIMIZERS}


Optimizer = Annotated[OptimizerConfig, ChosenByName("optimizer", _Optimizers(), default="adam")]
"""A config field: one of the optimizers, by its name."""
