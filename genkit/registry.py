"""Which components there are, who brought them, and what failed to load.

Plugins are found through the entry-point group `genkit`. One that fails to load, or brings something that is no
component, breaks nothing but itself: its failure is kept and shown where somebody asks for its parts.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, TypeVar, get_args

import pluggy

from genkit import hookspecs
from genkit.errors import ComponentError
from genkit.interfaces import Component, DataSource, Decoder, Encoder, Likelihood, Loss, Sampler
from genkit.settings import nearest

GROUP = "genkit"
THIS_PROCESS = "this process"
EVENTS = ("run_started", "step_ended", "epoch_ended", "run_ended", "run_stopped")
INTERFACES: tuple[type[Component], ...] = (DataSource, Encoder, Sampler, Decoder, Likelihood, Loss)
KINDS = tuple(interface.kind for interface in INTERFACES)

C = TypeVar("C", bound=type[Component])


@dataclass
class Plugin:
    """One plugin: where it came from, what it brings, and what went wrong with it."""

    name: str
    distribution: str
    version: str
    components: list[type[Component]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def owner(self) -> str:
        """The distribution and its version, as messages name them."""
        return f"{self.distribution} {self.version}".strip()


def name_of(component: type[Component]) -> str:
    """The name by which configs choose a component class."""
    return str(component.Config.model_fields["name"].default)


class Registry:
    """All plugins, and the components they bring by (kind, name)."""

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hookspecs)
        self._claims: dict[tuple[str, str], list[tuple[type[Component], Plugin]]] = {}

    def load_installed(self) -> None:
        """Load every installed distribution's plugins, each on its own, in an order that does not change."""
        found = [(dist, entry) for dist in metadata.distributions() for entry in dist.entry_points.select(group=GROUP)]
        seen = set()
        for dist, entry in sorted(found, key=lambda pair: (pair[0].name, pair[1].name)):
            if (dist.name, entry.name) in seen:  # the same distribution twice on the path: the first is imported
                continue
            seen.add((dist.name, entry.name))
            plugin = Plugin(entry.name, dist.name, dist.version)
            try:
                module = entry.load()
            except (Exception, SystemExit) as error:
                plugin.problems.append(f"its import failed: {_in_a_line(error)}")
                self.plugins.append(plugin)
            else:
                self.add(module, plugin)

    def add(self, module: object, plugin: Plugin) -> Plugin:
        """Register a module (or any object with hook implementations) as a plugin."""
        self.plugins.append(plugin)
        try:
            self.manager.register(module, name=f"{plugin.distribution}/{plugin.name}")
            plugin.problems += self._unknown_hooks(module)
            plugin.events = [event for event in EVENTS if self._implements(module, event)]
            if self._implements(module, "components"):
                for component in getattr(module, "components")():  # noqa: B009 - the hook, of this plugin alone
                    self._claim(component, plugin)
        except Exception as error:
            plugin.problems.append(f"its registration failed: {_in_a_line(error)}")
            if self.manager.is_registered(module):
                self.manager.unregister(module)
        return plugin

    def _unknown_hooks(self, module: object) -> list[str]:
        callers = self.manager.get_hookcallers(module) or []
        unknown = [caller.name for caller in callers if not caller.has_spec()]
        return [f"there is no hook '{name}'; {nearest(name, ('components', *EVENTS))}" for name in unknown]

    def _implements(self, module: object, hook: str) -> bool:
        caller = getattr(self.manager.hook, hook)
        return any(implementation.plugin is module for implementation in caller.get_hookimpls())

    def _claim(self, component: type[Component], plugin: Plugin) -> None:
        problem = _why_no_component(component)
        if problem is not None:
            plugin.problems.append(problem)
            return
        plugin.components.append(component)
        self._claims.setdefault((component.kind, name_of(component)), []).append((component, plugin))

    def claim_here(self, component: type[Component]) -> None:
        """Register a class that no distribution brings, in place of an earlier one of the same name."""
        here = Plugin(getattr(component, "__qualname__", repr(component)), THIS_PROCESS, "")
        if (problem := _why_no_component(component)) is not None:
            raise ComponentError(f"cannot register it: {problem}")
        kind, name = component.kind, name_of(component)
        for _, plugin in self._claims.get((kind, name), []):
            if plugin.distribution != THIS_PROCESS:
                raise ComponentError(f"cannot register {kind} '{name}': {plugin.owner} has that name; choose another")
            self.plugins.remove(plugin)
        self._claims.pop((kind, name), None)
        self._claim(component, here)
        self.plugins.append(here)

    def find(self, kind: str, name: str) -> type[Component]:
        """The component of that kind and name.

        Raises:
            ComponentError: there is none (with the nearest name, and what failed to load), or two plugins claim it.
        """
        claims = self._claims.get((kind, name), [])
        if len(claims) == 1:
            return claims[0][0]
        if claims:
            owners = " and ".join(plugin.owner for _, plugin in claims)
            raise ComponentError(f"{kind} '{name}' is claimed by {owners}; uninstall all but one of them")
        message = f"unknown {kind} '{name}'; {nearest(name, self.names(kind))}"
        for plugin in self.plugins:
            for problem in plugin.problems:
                message += f" (plugin '{plugin.name}' of {plugin.owner} has a problem: {problem})"
        raise ComponentError(message)

    def names(self, kind: str) -> list[str]:
        """The names of all components of a kind, sorted."""
        return sorted(name for claimed_kind, name in self._claims if claimed_kind == kind)

    def owner(self, component: type[Component]) -> Plugin:
        """The plugin that brought a component class."""
        return next(plugin for plugin in self.plugins if component in plugin.components)

    def listeners(self, event: str) -> Iterator[tuple[str, Any]]:
        """The implementations of an event's hook, each with its plugin's name."""
        for implementation in reversed(getattr(self.manager.hook, event).get_hookimpls()):
            yield implementation.plugin_name, implementation


def _why_no_component(candidate: Any) -> str | None:
    label = getattr(candidate, "__qualname__", repr(candidate))
    if not (inspect.isclass(candidate) and issubclass(candidate, INTERFACES)):
        return f"{label} is no component: it derives from none of {', '.join(i.__name__ for i in INTERFACES)}"
    if inspect.isabstract(candidate):
        missing = ", ".join(sorted(getattr(candidate, "__abstractmethods__", ())))
        return f"{label} is abstract: it does not implement {missing}"
    name = candidate.Config.model_fields.get("name") if issubclass(candidate.Config, Component.Config) else None
    if name is None or get_args(name.annotation) != (name.default,):
        return (
            f'{label}.Config names nothing: derive it from the interface\'s and give it `name: Literal["..."] = "..."`'
        )
    return None


def _in_a_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:300]


@functools.cache
def registry() -> Registry:
    """The registry of this process, with every installed plugin; made at the first call."""
    made = Registry()
    made.load_installed()
    return made


def register(component: C) -> C:
    """Register a component class for this process only: a decorator for notebooks and scripts.

    Registering again under the same name replaces the class. A run that uses it can be loaded only where the same
    class is registered.

    Raises:
        ComponentError: it is no component, or an installed plugin has its name.
    """
    registry().claim_here(component)
    return component
