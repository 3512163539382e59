"""Signatures of components: what genkit gives their methods, and how to mend those of parts for another genkit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from genkit.errors import ComponentError
from genkit.interfaces.component import Component
from genkit.interfaces.loss import Forward
from genkit.interfaces.part import Attached, Follower, Part
from genkit.interfaces.prior import Prior
from genkit.interfaces.sampler import Sampler

HERE = __name__.rpartition(".")[0]
READING = {"forward", "log_prob", "log_density", "mean", "sample", "critic_loss"}
"""The methods that get side data as keywords, as `__init__` does."""
NEWER = {
    "model": "a pass has no `model` any more: read forward.likelihood or forward.latent.extra, or write attach(model)",
}
"""What has taken the place of fields of a pass that there were."""


def misfit(component: type[Component]) -> str | None:
    """Which method of a component cannot be called as genkit calls it, and what to write; None: all can be."""
    for name, declared in _declared(component):
        method = inspect.getattr_static(component, name)
        if method is declared or not inspect.isfunction(method):
            continue
        positional = list(inspect.signature(declared).parameters.values())
        reads_side = issubclass(component, Part) and _is_told(component, name)
        reads, may_read = (component.reads, component.may_read) if reads_side else ((), ())
        facts = component.asks if name == "__init__" else ()
        try:
            inspect.signature(method).bind(*(None for _ in positional), **dict.fromkeys((*reads, *may_read, *facts)))
        except TypeError as error:
            optional = [f"{each}=None" for each in may_read]
            wanted = ", ".join([*map(_plain, positional), *reads, *facts, *optional])
            because = f" (reads = {reads!r})" if reads else f" (asks = {facts!r})" if facts else ""
            return (
                f"{component.__name__}.{name} has another signature than genkit calls it with{because}: {error}; "
                f"write def {name}({wanted})"
            )
    return None


def check_signatures(config: Component.Config) -> None:
    """Refuse a component, by its name, where a method of it cannot be called; raises ComponentError."""
    if (problem := misfit(config.component)) is not None:
        raise ComponentError(f"{config.component.kind} '{config.name}': {problem}")


def _declared(component: type[Component]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The methods of a component that an interface declares, `__init__` first, each as the nearest of them does."""
    declared: dict[str, Callable[..., Any]] = {}
    bases = [base for base in component.__mro__ if base.__module__.startswith(f"{HERE}.")]
    for base in (*bases, Attached, Follower):
        for name, value in vars(base).items():
            if (
                inspect.isfunction(value)
                and (name == "__init__" or not name.startswith("_"))
                and hasattr(component, name)
            ):
                declared.setdefault(name, value)
    if "__init__" in declared and declared["__init__"].__module__.startswith(HERE):
        yield "__init__", declared.pop("__init__")
    yield from declared.items()


def _is_told(component: type[Component], method: str) -> bool:
    """Whether a method gets the side data that the component reads."""
    return method == "__init__" or (method in READING and not issubclass(component, Prior))


def _plain(parameter: inspect.Parameter) -> str:
    """A parameter without its type."""
    return str(parameter.replace(annotation=inspect.Parameter.empty))


def remedy(error: BaseException) -> str:
    """What to do about something that an interface has no more, or a sampler has not, as a suffix; else empty."""
    if isinstance(error, AttributeError) and isinstance(error.obj, Forward) and error.name in NEWER:
        return f"; {NEWER[error.name]}"
    if isinstance(error, AttributeError) and isinstance(error.obj, Sampler) and error.name == "log_q":
        return (
            "; the sampler's q(z|x) has no density at any z: choose one that has (a genkit.DensitySampler), and name "
            "it in `checked_with` where the part is checked"
        )
    if isinstance(error, ValueError) and "values to unpack" in str(error):
        return (
            "; where that is a Latent or a Forward, read its fields by name (latent.z, latent.kl): there are more now"
        )
    return ""
