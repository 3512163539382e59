"""Whether a training step is compiled, and how: `training.compile`."""

from __future__ import annotations

import functools
import os
import shutil
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from genkit.errors import ConfigError
from genkit.parallel import group
from genkit.speed import decompositions, onednn

COMPILING = 15.0
"""Seconds that compiling a step takes, about, the first time; 3 to 8 with what earlier runs left in the cache."""
SAVED_PER_STEP = 0.5e-3
"""Seconds that a compiled step of dense layers is shorter for the calls that it spares, about."""
SAVED_PER_VALUE = 3.7e-9
"""Seconds more for each value of a batch, for the passes over memory that it spares, about."""

Gradients = tuple[dict[str, Sequence[Tensor | None]], dict[str, Tensor]]
"""By the names of what is differentiated by; and figures."""


class Plan(NamedTuple):
    """Whether to compile, and why."""

    compiled: bool
    reason: str


def plan(wanted: bool | Literal["auto"], model: nn.Module, device: torch.device, steps: int, values: int) -> Plan:
    """What `training.compile` comes to: `auto` goes by the amount of work alone, so that a run repeats.

    The break-even is measured by `python -m benchmarks.throughput`.

    Args:
        wanted: as the config says.
        model: what is trained.
        device: where.
        steps: of the whole run.
        values: in a batch.

    Raises:
        ConfigError: compiling is asked for, and there is no C++ compiler for it.
    """
    missing = device.type == "cpu" and _compiler() is None
    if wanted is True and missing:
        raise ConfigError(
            "training.compile: needs a C++ compiler (g++ or clang++), and there is none; use auto or false"
        )
    if wanted != "auto":
        return Plan(wanted, f"training.compile is {str(wanted).lower()}")
    if missing:
        return Plan(False, "there is no C++ compiler")
    if any(isinstance(part, nn.RNNBase) for part in model.modules()):
        return Plan(False, "its recurrent layers run in kernels of their own either way")
    saved = steps * (SAVED_PER_STEP + values * SAVED_PER_VALUE)
    work = (
        f"{steps:,} steps of {values:,} values save about {saved:,.1f} s, and compiling takes about {COMPILING:.0f} s"
    )
    return Plan(saved > COMPILING, work)


def _compiler() -> str | None:
    names = [os.environ.get("CXX"), "g++", "clang++", "c++", "cl"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


class Compiled:
    """A function that takes gradients of a model, as a compiled graph for each kind of batch.

    It is traced once a kind, gradients included, with the model's parameters and buffers as inputs of the graph; from
    then on none of its Python runs. Random numbers are those of the eager function. What cannot be traced so (choices
    that depend on values, tensors that the model does not register, recurrent layers, sums over group) is left to
    torch.compile, in pieces where it must be.

    Args:
        function: takes the model, the parameters to differentiate by, and the batch; gives gradients and figures.
        model: already on its device; its parameters stay the same tensors.
        fitted: the parameters to differentiate by, under some names.
        kind: what the graph depends on, of a batch and all else that may change.
    """

    def __init__(
        self,
        function: Callable[..., Gradients],
        model: nn.Module,
        fitted: Mapping[str, Sequence[Tensor]],
        kind: Callable[..., Hashable],
    ) -> None:
        self.function, self.model, self.fitted, self.kind = function, model, fitted, kind
        self.state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        self.graphs: dict[Hashable, Callable[[list[Tensor]], Gradients]] = {}
        on_cpu = all(tensor.device.type == "cpu" for tensor in self.state.values())
        self.options: dict[str, Any] = {"fallback_random": True, "cpp_wrapper": on_cpu}  # kernels are called from C++
        self.traceable = group.count() == 1 and not any(isinstance(part, nn.RNNBase) for part in model.modules())

    def __call__(self, *batch: Tensor | None) -> Gradients:
        """What the function gives for a batch."""
        if not self.traceable:
            return self.in_pieces(*batch)
        kind = self.kind(*batch)
        if kind not in self.graphs:
            before = _plain(self.model)
            try:
                graph, names = self._traced(batch)
                self.traceable = _plain(self.model) == before  # else its Python has to run at each step
            except Exception:  # found out before anything is computed
                self.traceable = False
            if not self.traceable:
                _restore(self.model, before)
                return self.in_pieces(*batch)
            self.graphs[kind] = self._compiled(graph, batch, names)
        return self.graphs[kind]([tensor for tensor in batch if tensor is not None])

    def _traced(self, batch: Sequence[Tensor | None]) -> tuple[torch.fx.GraphModule, list[str]]:
        """The graph of parameters, buffers and batch; and the names of the figures that follow the gradients."""
        from torch.fx.experimental.proxy_tensor import make_fx  # only those who compile pay for its import

        whole, names, figures = _Whole(self.function, self.model), _names(self.state), list[str]()
        owned = {owner: [names[id(parameter)] for parameter in each] for owner, each in self.fitted.items()}

        def flat(*given: Tensor) -> tuple[Tensor | None, ...]:
            rest = iter(given)
            named = dict(zip(self.state, rest, strict=False))
            fitted = {owner: [named[name] for name in each] for owner, each in owned.items()}
            values = (fitted, *(None if tensor is None else next(rest) for tensor in batch))
            gradients, found = torch.func.functional_call(whole, {f"model.{n}": t for n, t in named.items()}, values)
            figures[:] = found
            return (*(gradient for each in gradients.values() for gradient in each), *found.values())

        with torch.compiler._compile_session_context():
            given = [*self.state.values(), *(tensor for tensor in batch if tensor is not None)]
            return make_fx(flat, decompositions.table(), "fake")(*given), figures

    def _compiled(
        self, graph: torch.fx.GraphModule, batch: Sequence[Tensor | None], names: list[str]
    ) -> Callable[[list[Tensor]], Gradients]:
        state = list(self.state.values())
        onednn.teach_compiler()
        with torch.no_grad():
            run = torch._inductor.compile(graph, [*state, *(t for t in batch if t is not None)], self.options)
        sizes = {owner: len(each) for owner, each in self.fitted.items()}

        @torch.no_grad()
        def compiled(given: list[Tensor]) -> Gradients:
            found = iter(run(*state, *given))
            gradients: dict[str, Sequence[Tensor | None]] = {}
            gradients |= {owner: list(islice(found, size)) for owner, size in sizes.items()}
            return gradients, dict(zip(names, found, strict=True))

        return compiled

    @functools.cached_property
    def in_pieces(self) -> Callable[..., Gradients]:
        """The same by torch.compile, which checks at every call whether its code still fits."""
        torch._dynamo.config.trace_autograd_ops = True  # torch.autograd.grad is part of the graph
        onednn.teach_compiler()
        function = functools.partial(self.function, self.model, self.fitted)
        fixed: dict[str, Any] = {"dynamic": False, "isolate_recompiles": True}  # a last batch is a shape of its own
        pieces: Callable[..., Gradients] = torch.compile(function, options=self.options, **fixed)

        def call(*batch: Tensor | None) -> Gradients:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor", category=UserWarning)
                return pieces(*batch)  # where pieces meet, torch looks at .grad

        return call


class _Whole(nn.Module):
    """A function of a model as a module, so that torch can put other tensors in place of the model's."""

    def __init__(self, function: Callable[..., Gradients], model: nn.Module) -> None:
        super().__init__()
        self.function, self.model = function, model

    def forward(self, *arguments: Any) -> Gradients:
        return self.function(self.model, *arguments)


def _plain(model: nn.Module) -> list[dict[str, Any]]:
    """What each part of a model holds in plain attributes: its configuration, and what it counts."""
    kinds = bool | int | float | str | None
    return [{k: v for k, v in vars(part).items() if isinstance(v, kinds)} for part in model.modules()]


def _restore(model: nn.Module, plain: list[dict[str, Any]]) -> None:
    for part, attributes in zip(model.modules(), plain, strict=True):
        vars(part).update(attributes)


def _names(state: Mapping[str, Tensor]) -> dict[int, str]:
    return {id(tensor): name for name, tensor in state.items()}
