"""Whether a training step is compiled, and how: `training.compile`."""

from __future__ import annotations

import functools
import os
import shutil
import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from genkit.errors import ConfigError, GenkitError, GenkitWarning, in_a_line
from genkit.parallel import group
from genkit.speed.graph import Function, Gradients, Graph, compiled_graph
from genkit.speed.pieces import compiled_in_pieces
from genkit.speed.seam import MISSING

COMPILING = 15.0
"""Seconds that compiling a step takes, about, the first time; 3 to 8 with what earlier runs left in the cache."""
SAVED_PER_STEP = 0.5e-3
"""Seconds that a compiled step of dense layers is shorter for the calls that it spares, about."""
SAVED_PER_VALUE = 3.7e-9
"""Seconds more for each value of a batch, for the passes over memory that it spares, about."""


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
    why = why_in_pieces(model)
    pieces = f", in pieces: {why}" if why else ""
    if wanted != "auto":
        return Plan(wanted, f"training.compile is {str(wanted).lower()}{pieces if wanted else ''}")
    if missing:
        return Plan(False, "there is no C++ compiler")
    if _recurrent(model):
        return Plan(False, "its recurrent layers run in kernels of their own either way")
    saved = steps * (SAVED_PER_STEP + values * SAVED_PER_VALUE)
    work = (
        f"{steps:,} steps of {values:,} values save about {saved:,.1f} s, and compiling takes about {COMPILING:.0f} s"
    )
    return Plan(saved > COMPILING, f"{work}{pieces if saved > COMPILING else ''}")


def why_in_pieces(model: nn.Module) -> str | None:
    """Why steps of a model cannot be one graph, as far as that is known before they are traced; None: they may be."""
    if group.count() > 1:
        return "processes that share a batch add up in the middle of it"
    return "torch does not trace recurrent layers" if _recurrent(model) else None


def _recurrent(model: nn.Module) -> bool:
    return any(isinstance(part, nn.RNNBase) for part in model.modules())


def _compiler() -> str | None:
    names = [os.environ.get("CXX"), "g++", "clang++", "c++", "cl"]
    return next((path for name in names if name and (path := shutil.which(name))), None)


class Compiled:
    """A function that takes gradients of a model, as a compiled graph for each kind of batch.

    It is traced once a kind, gradients included, with the model's parameters and buffers as inputs of the graph; from
    then on none of its Python runs. Random numbers are those of the eager function. What cannot be traced so (choices
    that depend on values, tensors that the model does not register, recurrent layers, sums over processes) is left to
    torch.compile, in pieces where it must be; a warning says why where the plan could not.

    Args:
        function: takes the model, the parameters to differentiate by, and the batch; gives gradients and figures.
        model: already on its device; its parameters stay the same tensors.
        fitted: the parameters to differentiate by, under some names.
        kind: what the graph depends on, of a batch and all else that may change.
    """

    def __init__(
        self,
        function: Function,
        model: nn.Module,
        fitted: Mapping[str, Sequence[Tensor]],
        kind: Callable[..., Hashable],
    ) -> None:
        self.function, self.model, self.fitted, self.kind = function, model, fitted, kind
        self.graphs: dict[Hashable, Graph] = {}
        tensors = (*model.parameters(), *model.buffers())
        on_cpu = all(tensor.device.type == "cpu" for tensor in tensors)
        self.options: dict[str, Any] = {"fallback_random": True, "cpp_wrapper": on_cpu}  # kernels are called from C++
        self.why_in_pieces = why_in_pieces(model)
        """Why a step is not one graph; None: it is, as far as has been seen."""

    @property
    def how(self) -> str:
        """How steps are compiled."""
        return "one graph" if self.why_in_pieces is None else f"in pieces: {self.why_in_pieces}"

    def __call__(self, *batch: Tensor | None) -> Gradients:
        """What the function gives for a batch."""
        if self.why_in_pieces is not None:
            return self.in_pieces(*batch)
        kind = self.kind(*batch)
        if kind not in self.graphs and (graph := self._graph(batch)) is not None:
            self.graphs[kind] = graph
        if self.why_in_pieces is None:
            return self.graphs[kind]([tensor for tensor in batch if tensor is not None])
        values = self.in_pieces(*batch)
        message = f"steps are compiled {self.how}; that takes longer than one graph, and the results are the same"
        warnings.warn(message, GenkitWarning, stacklevel=2)
        return values

    def _graph(self, batch: Sequence[Tensor | None]) -> Graph | None:
        """The graph for a kind of batch; where there can be none, the model is left as it was and the reason kept."""
        before = _plain(self.model)
        try:
            _teach_compiler(self.model)
            graph = compiled_graph(self.function, self.model, self.fitted, batch, self.options)
        except (GenkitError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # tracing raises whatever the code of a part runs into without numbers
            self.why_in_pieces = in_a_line(error)
        else:
            self.why_in_pieces = _changes(before, _plain(self.model))  # then its Python has to run at each step
        if self.why_in_pieces is None:
            return graph
        _restore(self.model, before)
        return None

    @functools.cached_property
    def in_pieces(self) -> Callable[..., Gradients]:
        """The same by torch.compile."""
        _teach_compiler(self.model)
        function = functools.partial(self.function, self.model, self.fitted)
        return compiled_in_pieces(function, self.options)


def _teach_compiler(model: nn.Module) -> None:
    try:
        from genkit.speed.onednn import teach_compiler
    except MISSING:  # as arrange_memory has said
        return
    teach_compiler(model)


Plain = list[dict[str, Any]]
"""What each part of a model holds in plain attributes: its configuration, and what it counts."""


def _plain(model: nn.Module) -> Plain:
    kinds = bool | int | float | str | None
    return [{k: v for k, v in vars(part).items() if isinstance(v, kinds)} for part in model.modules()]


def _changes(before: Plain, after: Plain) -> str | None:
    """What a pass changes in Python: the names of the attributes; None: nothing."""
    pairs = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    names = sorted({name for old, new in pairs for name in {**old, **new} if old.get(name) != new.get(name)})
    return f"each pass changes {', '.join(names)}, an attribute that is no tensor" if names else None


def _restore(model: nn.Module, plain: Plain) -> None:
    for part, attributes in zip(model.modules(), plain, strict=True):
        vars(part).update(attributes)
