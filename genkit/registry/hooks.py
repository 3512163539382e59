"""The hooks that a plugin may implement: one brings components, the others follow a run.

A plugin that keeps a state between the events of a run implements the hook `listener`, which gives one object per run;
a plugin without a state may implement the events themselves. An implementation takes only the arguments that it needs.
genkit calls each plugin by itself, so no implementation can wrap those of others (`wrapper=True`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pluggy

from genkit.settings.base import nearest

if TYPE_CHECKING:
    from genkit.interfaces import Component
    from genkit.record.run import Run
    from genkit.record.scores import EpochRecord, Progress

hookspec = pluggy.HookspecMarker("genkit")
hookimpl = pluggy.HookimplMarker("genkit")

EVENTS = ("run_started", "step_ended", "epoch_ended", "should_stop", "run_ended", "run_stopped")
"""The events of a run: the names of a listener's methods, and of the hooks of a plugin without a state."""
RUN_HOOKS = ("listener", *EVENTS)
"""Every hook that follows a run."""


@hookspec
def components() -> Iterable[type[Component]]:  # type: ignore[empty-body]
    """The component classes that the plugin brings."""


@hookspec
def listener(run: Run) -> object | None:
    """An object that follows this run alone, with methods named as the hooks below; None: the plugin ignores the run.

    Called once, before `run_started`.
    """


@hookspec
def run_started(run: Run) -> None:
    """The model is built and the data are loaded; `run.history` holds the earlier epochs of a resumed run."""


@hookspec
def step_ended(run: Run, progress: Progress) -> None:
    """Some steps of an epoch are done. Called a few times per second, not at each step."""


@hookspec
def epoch_ended(run: Run, record: EpochRecord) -> None:
    """An epoch is done and its figures are known."""


@hookspec
def should_stop(run: Run, record: EpochRecord) -> bool:  # type: ignore[empty-body]
    """Whether training ends with this epoch; called after `epoch_ended`. The run is then finished like any other."""


@hookspec
def run_ended(run: Run) -> None:
    """Training is over: weights and pictures are written, and `run.evaluation` holds the figures of the test split."""


@hookspec
def run_stopped(run: Run) -> None:
    """The run is finished, interrupted or failed: close all that is open."""


def is_wrapper(implementation: pluggy.HookImpl) -> bool:
    """Whether an implementation wraps those of other plugins."""
    return implementation.wrapper or implementation.hookwrapper


def hook_problems(manager: pluggy.PluginManager, module: object) -> list[str]:
    """The problems of the hooks that a registered module implements: hooks that do not exist, and wrappers."""
    return [problem for hook, each in _implementations(manager, module) if (problem := _problem(manager, hook, each))]


def _implementations(manager: pluggy.PluginManager, module: object) -> Iterator[tuple[str, pluggy.HookImpl]]:
    for caller in manager.get_hookcallers(module) or []:
        for implementation in caller.get_hookimpls():
            if implementation.plugin is module:
                yield caller.name, implementation


def _problem(manager: pluggy.PluginManager, hook: str, implementation: pluggy.HookImpl) -> str | None:
    if not getattr(manager.hook, hook).has_spec():
        optional = implementation.optionalhook
        return None if optional else f"there is no hook '{hook}'; {nearest(hook, ('components', *RUN_HOOKS))}"
    if is_wrapper(implementation):
        option = "wrapper" if implementation.wrapper else "hookwrapper"
        return (
            f"its hook '{hook}' is a wrapper, which never runs: genkit calls each plugin by itself; write it without "
            f"{option}=True, as a function without a yield"
        )
    return None
