"""The hooks that a plugin may implement: one that brings components, the others follow a run.

A plugin that keeps something from one event of a run to the next gives a listener for each run, by the hook `listener`;
one that keeps nothing may implement the events themselves. An implementation names those of the arguments that it
needs. genkit calls each plugin by itself, so no implementation wraps those of others (`wrapper=True`).
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
"""What a listener may hear of a run: the names of its methods, and of the hooks of a plugin that keeps nothing."""
RUN_HOOKS = ("listener", *EVENTS)
"""Every hook that follows a run."""


@hookspec
def components() -> Iterable[type[Component]]:  # type: ignore[empty-body]
    """The component classes that the plugin brings."""


@hookspec
def listener(run: Run) -> object | None:
    """An object that hears this run alone, by methods named as the hooks below; None: the plugin does not follow it.

    Called once, before `run_started`.
    """


@hookspec
def run_started(run: Run) -> None:
    """The model is built and the data are loaded; `run.history` holds earlier epochs if the run is resumed."""


@hookspec
def step_ended(run: Run, progress: Progress) -> None:
    """Some steps of an epoch are done. Called a few times a second, not at each step."""


@hookspec
def epoch_ended(run: Run, record: EpochRecord) -> None:
    """An epoch is done and its figures are known."""


@hookspec
def should_stop(run: Run, record: EpochRecord) -> bool:  # type: ignore[empty-body]
    """Whether training ends with this epoch; asked after `epoch_ended`. The run is then finished as any other."""


@hookspec
def run_ended(run: Run) -> None:
    """Training is over: the weights are saved and `run.evaluation` holds the figures of the test split."""


@hookspec
def run_stopped(run: Run) -> None:
    """The run is finished, interrupted or failed: let go of what is held open."""


def is_wrapper(implementation: pluggy.HookImpl) -> bool:
    """Whether an implementation wraps those of other plugins."""
    return implementation.wrapper or implementation.hookwrapper


def hook_problems(manager: pluggy.PluginManager, module: object) -> list[str]:
    """What is wrong with the hooks that a registered module implements: those that there are none of, and wrappers."""
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
