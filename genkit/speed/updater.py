"""Optimizers without their wrappers: torch's own updates of parameters, called directly.

The classes of `torch.optim` import all of torch's compiler when one is made, which takes as long as importing torch,
and at each step they gather their tensors anew. The functions that they call are public, and do neither.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.optim.adam import adam
from torch.optim.adamax import adamax
from torch.optim.adamw import adamw
from torch.optim.rmsprop import rmsprop
from torch.optim.sgd import sgd

from genkit.settings.optimizers import SGD, Adam, Adamax, AdamW, OptimizerConfig, RMSprop
from genkit.settings.schedules import value_at
from genkit.speed.layout import like
from genkit.speed.seam import MISSING, do_without


class Tensors(NamedTuple):
    """What one step works on: a tensor for each parameter in each list, dimensions in the order of their memory."""

    parameters: list[Tensor]
    gradients: list[Tensor]
    moments: Mapping[str, list[Tensor]]
    """What the optimizer keeps of each parameter, by torch's names."""
    steps: list[Tensor]
    """() each: how many steps were taken."""
    counts: Tensor | None
    """All of the steps as one tensor, which they are elements of; None: of some parameters."""


Update = Callable[[Tensors, Mapping[str, Any], Mapping[str, Any]], None]
"""Takes the tensors, the options of the config, and the scale of the gradients where there is one; works in place."""


SCALING = ("grad_scale", "found_inf")
"""What a GradScaler sets on an optimizer for the time of a step."""


@final
class Updater:
    """An optimizer of torch, by its function instead of its class; `state_dict` is that of the class.

    It has what a `torch.amp.GradScaler` and a schedule of the learning rate ask for: `param_groups` and `step`.

    Args:
        config: which optimizer, and its options.
        parameters: what it updates.
    """

    def __init__(self, config: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> None:
        fitted = list(parameters)
        self.update, fused = _update(config, fitted)
        self._step_supports_amp_scaling = fused  # a kernel leaves a step out itself, so that nothing waits for a GPU
        options = config.model_dump(exclude={"name", "lr"})
        self.param_groups: list[dict[str, Any]] = [{"params": fitted, "lr": value_at(config.lr, 0.0), **options}]
        counts = torch.zeros(len(fitted), device=fitted[0].device if fused and fitted else None)
        steps = counts.unbind()
        self.state: dict[Tensor, dict[str, Tensor]] = {
            parameter: {"step": step, **{name: torch.zeros_like(parameter) for name in config.moments}}
            for parameter, step in zip(fitted, steps, strict=True)
        }
        moments = {name: [_ordered(self.state[each][name]) for each in fitted] for name in config.moments}
        self._kept = Tensors([], [], moments, list(steps), counts)

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        (group,) = self.param_groups
        pairs = [(each, each.grad) for each in group["params"] if each.grad is not None]
        if not pairs:
            return
        parameters = [_ordered(parameter) for parameter, _ in pairs]
        gradients = [_ordered(like(gradient, parameter)) for parameter, gradient in pairs]
        kept = self._kept if len(pairs) == len(group["params"]) else self._kept_of(parameter for parameter, _ in pairs)
        scaling = {key: value for key in SCALING if (value := getattr(self, key, None)) is not None}
        self.update(Tensors(parameters, gradients, kept.moments, kept.steps, kept.counts), group, scaling)

    def _kept_of(self, parameters: Iterable[Tensor]) -> Tensors:
        states = [self.state[parameter] for parameter in parameters]
        moments = {name: [_ordered(state[name]) for state in states] for name in self._kept.moments}
        return Tensors([], [], moments, [state["step"] for state in states], None)

    def state_dict(self) -> dict[str, Any]:
        """What is kept of each parameter by its number, and the options: the layout of `torch.optim`."""
        state = {index: dict(self.state[each]) for index, each in enumerate(self.param_groups[0]["params"])}
        return {"state": state, "param_groups": [{**self.param_groups[0], "params": list(state)}]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, of this class or of torch's; a parameter that it lacks starts anew."""
        (group,), parameters = state_dict["param_groups"], self.param_groups[0]["params"]
        self.param_groups[0].update({key: value for key, value in group.items() if key != "params"})
        for index, parameter in enumerate(parameters):
            saved = state_dict["state"].get(index, {})
            for name, tensor in self.state[parameter].items():
                tensor.copy_(torch.as_tensor(saved.get(name, 0.0)))


def _update(config: OptimizerConfig, parameters: Sequence[Tensor]) -> tuple[Update, bool]:
    """The update that a config asks for, and whether a kernel does it for all parameters at once."""
    function, has_kernel = UPDATES[type(config)]
    if not has_kernel:
        return function, False
    fused = all(each.is_floating_point() and each.device.type in FUSED_ON for each in parameters)
    alike = len({(each.dtype, each.device) for each in parameters}) == 1
    if type(config) in KERNELS and fused:
        kernels = _kernels()
        fused = bool(kernels)  # torch's own function calls them too
        if fused and alike:
            return functools.partial(_by_kernel, kernels[type(config)], functools.partial(function, fused=True)), True
    return functools.partial(function, fused=fused), fused


FUSED_ON = {"cpu", "cuda", "mps"}
KERNELS: dict[type[OptimizerConfig], str] = {Adam: "_fused_adam_", AdamW: "_fused_adamw_"}
"""Private names of torch."""


@functools.cache
def _kernels() -> dict[type[OptimizerConfig], Callable[..., Any]]:
    try:
        return {kind: getattr(torch, name) for kind, name in KERNELS.items()}
    except MISSING as error:
        do_without(error, "Adam and AdamW update one parameter after the other, which takes longer")
        return {}


def _by_kernel(
    kernel: Callable[..., Any], usual: Update, tensors: Tensors, group: Mapping[str, Any], scaling: Mapping[str, Any]
) -> None:
    """One call for all parameters; whatever is not ordinary is left to torch's own function."""
    if tensors.counts is None or scaling:
        usual(tensors, group, scaling)
        return
    tensors.counts.add_(1)
    beta1, beta2 = group["betas"]
    options = {key: group[key] for key in ("lr", "weight_decay", "eps")}
    first, second = tensors.moments.values()
    kernel(
        tensors.parameters, tensors.gradients, first, second, [], tensors.steps,
        beta1=beta1, beta2=beta2, amsgrad=False, maximize=False, **options,
    )  # fmt: skip


def _adam(
    function: Callable[..., None], tensors: Tensors, group: Mapping[str, Any], scaling: Mapping[str, Any], fused: bool
) -> None:
    beta1, beta2 = group["betas"]
    options = {key: group[key] for key in ("lr", "weight_decay", "eps")}
    moments = tensors.moments.values()
    function(
        tensors.parameters, tensors.gradients, *moments, [], tensors.steps,
        fused=fused, beta1=beta1, beta2=beta2, amsgrad=False, maximize=False, **options, **scaling,
    )  # fmt: skip


def _adamax(tensors: Tensors, group: Mapping[str, Any], scaling: Mapping[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    options = {key: group[key] for key in ("lr", "weight_decay", "eps")}
    means, norms = tensors.moments.values()
    adamax(tensors.parameters, tensors.gradients, means, norms, tensors.steps, beta1=beta1, beta2=beta2, **options)


def _rmsprop(tensors: Tensors, group: Mapping[str, Any], scaling: Mapping[str, Any]) -> None:
    options = {key: group[key] for key in ("lr", "weight_decay", "eps", "alpha", "momentum")}
    squares, buffers = tensors.moments["square_avg"], tensors.moments.get("momentum_buffer", [])
    rmsprop(tensors.parameters, tensors.gradients, squares, [], buffers, tensors.steps, centered=False, **options)


def _sgd(tensors: Tensors, group: Mapping[str, Any], scaling: Mapping[str, Any], fused: bool) -> None:
    options = {key: group[key] for key in ("lr", "weight_decay", "momentum", "nesterov")}
    buffers = [*tensors.moments.get("momentum_buffer", [None] * len(tensors.parameters))]
    sgd(
        tensors.parameters, tensors.gradients, buffers, fused=fused, dampening=0.0, maximize=False, **options, **scaling
    )


UPDATES: dict[type[OptimizerConfig], tuple[Callable[..., None], bool]] = {
    Adam: (functools.partial(_adam, adam), True),
    AdamW: (functools.partial(_adam, adamw), True),
    Adamax: (_adamax, False),
    RMSprop: (_rmsprop, False),
    SGD: (_sgd, True),
}
"""The update of each optimizer, and whether torch has one kernel for it."""


def _ordered(tensor: Tensor) -> Tensor:
    """A tensor with its dimensions as they lie in memory: the kernel would make copies of any other order."""
    if tensor.is_contiguous():
        return tensor
    turned = tensor.permute(sorted(range(tensor.ndim), key=tensor.stride, reverse=True))
    return turned if turned.is_contiguous() else tensor
