"""Whether a training step is compiled, and how: `training.compile`."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Hashable
from typing import Any, Generic, Literal, NamedTuple, ParamSpec, TypeVar

import torch
from torch import nn

from genkit import layout
from genkit.errors import ConfigError

COMPILING = 15.0
"""Seconds that compiling a step takes, about: 2 to 8 with what an earlier run left in the cache, 9 to 40 without."""
SAVED_PER_STEP = 0.5e-3
"""Seconds that a compiled step of dense layers is shorter for the calls that it spares, about."""
SAVED_PER_VALUE = 3.7e-9
"""Seconds more for each value of a batch, for the passes over memory that it spares, about."""

P = ParamSpec("P")
R = TypeVar("R")


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


class Compiled(Generic[P, R]):
    """A function that takes gradients, as one compiled graph; random numbers are those of the eager function.

    A function that holds something which cannot be traced (recurrent layers) is compiled in pieces around it, and its
    gradients are taken piece by piece. Whether an earlier compilation fits is checked by torch once a key: after that
    the key alone decides.

    Args:
        function: what is compiled, at its first call.
        key: what the compiled code depends on, of the arguments of a call; None: torch has to check.
        device: where the function computes.
    """

    def __init__(
        self, function: Callable[P, R], key: Callable[P, Hashable] = lambda *_, **__: None, device: str = "cpu"
    ) -> None:
        options: dict[str, Any] = {
            "dynamic": False,  # the last batch of an epoch is a shape of its own
            "isolate_recompiles": True,  # models that follow each other in a process do not count as one
            "options": {"fallback_random": True, "cpp_wrapper": device == "cpu"},  # kernels are called from C++
        }
        torch._dynamo.config.trace_autograd_ops = True  # torch.autograd.grad is part of the graph
        layout.teach_compiler()
        self.whole = torch.compile(function, fullgraph=True, **options)
        self.pieces = torch.compile(function, **options)
        self.traceable = True
        self.key = key
        self.known: set[Hashable] = set()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """What the function gives."""
        key = self.key(*args, **kwargs)
        if key in self.known:
            with torch.compiler.set_stance(skip_guard_eval_unsafe=True):
                return self.whole(*args, **kwargs)
        if self.traceable:
            try:
                given = self.whole(*args, **kwargs)
            except torch._dynamo.exc.Unsupported:  # found out before anything is computed
                self.traceable = False
            else:
                self.known |= {key} - {None}
                return given
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The .grad attribute of a Tensor", category=UserWarning)
            return self.pieces(*args, **kwargs)  # where pieces meet, torch looks at .grad
