"""genkit: generative models with a latent space, from one config file or from Python.

What stands here is the public interface; it is imported when it is first used, so that `import genkit` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genkit.assembly import build
    from genkit.comparison import compare
    from genkit.config import RunConfig
    from genkit.errors import ComponentError, DataError, GenkitError
    from genkit.evaluation import evaluate
    from genkit.hookspecs import hookimpl
    from genkit.interfaces import (
        DataSource,
        Decoder,
        Encoder,
        Forward,
        Latent,
        LearnedLoss,
        Likelihood,
        Loss,
        RawData,
        Sampler,
        Shape,
        Split,
    )
    from genkit.model import Model
    from genkit.registry import register
    from genkit.runs import Run, reopen, resume, run
    from genkit.weights import load

_HOMES = {
    "comparison": ("compare",),
    "config": ("RunConfig",),
    "errors": ("ComponentError", "DataError", "GenkitError"),
    "evaluation": ("evaluate",),
    "hookspecs": ("hookimpl",),
    "interfaces": (
        *(
            "DataSource",
            "Decoder",
            "Encoder",
            "Forward",
            "Latent",
            "LearnedLoss",
            "Likelihood",
            "Loss",
            "RawData",
            "Sampler",
            "Shape",
            "Split",
        ),
    ),
    "assembly": ("build",),
    "model": ("Model",),
    "registry": ("register",),
    "runs": ("Run", "reopen", "resume", "run"),
    "weights": ("load",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ComponentError",
    "DataError",
    "DataSource",
    "Decoder",
    "Encoder",
    "Forward",
    "GenkitError",
    "Latent",
    "LearnedLoss",
    "Likelihood",
    "Loss",
    "Model",
    "RawData",
    "Run",
    "RunConfig",
    "Sampler",
    "Shape",
    "Split",
    "build",
    "compare",
    "evaluate",
    "hookimpl",
    "load",
    "register",
    "reopen",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f"genkit.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'genkit' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
