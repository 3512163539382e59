"""Which components there are, who brought them, and what failed to load.

Plugins are found through the entry-point group `genkit`. One that fails to load, was made for another genkit, or brings
something that is no component, breaks nothing but itself: its failure is kept and shown where somebody asks for its
parts. What is not wanted (`genkit.registry.selection`) is never imported. A component may be named with its
distribution,
`distribution/name`; a bare name is that of genkit's own component where it has one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from typing import Any, Literal, TypeVar

import pluggy

from genkit.errors import ComponentError, GenkitWarning, in_a_line, place
from genkit.interfaces import Component
from genkit.registry import hooks
from genkit.registry.discovery import GROUP, UNKNOWN, Offer, contained, offers
from genkit.registry.hooks import RUN_HOOKS, hook_problems, is_wrapper
from genkit.registry.kinds import name_of, why_no_component
from genkit.registry.selection import FIRST_PARTY, VARIABLE, Selection, canonical
from genkit.settings.base import Settings, nearest

THIS_PROCESS = "this process"
SLOW = 0.5
"""Seconds of an import that are worth a note."""

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
    notes: list[str] = field(default_factory=list)
    """What is worth knowing and no fault: that it was left out, is slow, or shares a name."""

    @property
    def owner(self) -> str:
        """The distribution and its version, as messages name them."""
        return f"{self.distribution} {self.version}".strip()


NO_METADATA = "its distribution has no METADATA, or none that can be read; install it again"
NO_HOOK = (
    "it does nothing: its entry point has to name a module with a function components() that is marked with "
    "@genkit.hookimpl, or one that follows the events of a run"
)


class Registry:
    """All plugins, and the components they bring by (kind, name)."""

    def __init__(self, wanted: Selection | None = None) -> None:
        self.plugins: list[Plugin] = []
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hooks)
        self.wanted = wanted or Selection()
        """What the environment asks for."""
        self.chosen = Selection()
        """What the config that was read last asks for."""
        self._claims: dict[tuple[str, str], list[tuple[type[Component], Plugin]]] = {}
        self._waiting: list[tuple[Offer, Plugin]] = []

    def find_installed(self) -> None:
        """Find every installed distribution's plugins, in an order that does not change; none is imported yet."""
        for offer in offers():
            if offer.distribution == UNKNOWN:
                self.plugins.append(Plugin(offer.entry.name, UNKNOWN, "", problems=[NO_METADATA]))
                continue
            plugin = Plugin(offer.entry.name, offer.distribution, offer.source.version)
            self.plugins.append(plugin)
            self._waiting.append((offer, plugin))

    def load_wanted(self) -> None:
        """Import what is wanted and has not been imported yet, each on its own."""
        waiting, self._waiting = self._waiting, []
        for offer, plugin in waiting:
            if not self.wants(plugin):
                self._waiting.append((offer, plugin))
            elif (misfit := offer.misfit()) is not None:
                plugin.problems.append(misfit)
            else:
                self._load(offer.entry, plugin)

    def _load(self, entry: EntryPoint, plugin: Plugin) -> None:
        start = time.perf_counter()
        try:
            with contained(plugin.notes):
                module = entry.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a plugin raises: SystemExit, or what test runners skip with
            plugin.problems.append(f"its import failed: {in_a_line(error)}{place(error)}{_remedy(error, entry)}")
        else:
            self.add(module, plugin)
        seconds = time.perf_counter() - start
        if seconds > SLOW:
            plugin.notes.append(f"took {seconds:.1f} s to import")

    def wants(self, plugin: Plugin) -> bool:
        """Whether both the environment and the config want a plugin."""
        if plugin.distribution == THIS_PROCESS:
            return True
        return all(choice.allows(plugin.distribution, plugin.name) for choice in (self.wanted, self.chosen))

    def warn_of_unknown(self, choice: Selection) -> None:
        """Warn (GenkitWarning) of names in a choice that no installed plugin has, and that are much like one's."""
        installed = {canonical(plugin.distribution) for plugin in self.plugins}
        installed |= {f"{canonical(plugin.distribution)}/{plugin.name}" for plugin in self.plugins}
        for name in sorted((choice.allowed or frozenset()) | choice.denied):
            remedy = nearest(name, installed)
            if name not in installed and remedy.startswith("did you mean"):  # others are those of other machines
                message = f"{choice.source}: no plugin '{name}' is installed; {remedy}"
                warnings.warn(message, GenkitWarning, stacklevel=2)

    def left_out(self) -> list[tuple[Plugin, str]]:
        """The plugins that are not wanted, and what says so."""
        return [
            (plugin, choice.source)
            for plugin in self.plugins
            if plugin.distribution != THIS_PROCESS
            for choice in (self.wanted, self.chosen)
            if not choice.allows(plugin.distribution, plugin.name)
        ]

    def add(self, module: object, plugin: Plugin) -> Plugin:
        """Register a module (or any object with hook implementations) as a plugin."""
        if plugin not in self.plugins:
            self.plugins.append(plugin)
        try:
            self.manager.register(module, name=f"{plugin.distribution}/{plugin.name}")
            plugin.problems += hook_problems(self.manager, module)
            plugin.events = [hook for hook in RUN_HOOKS if self._of(module, hook)]
            for implementation in self._of(module, "components"):
                with contained(plugin.notes):
                    brought = implementation.function()
                if not isinstance(brought, list | tuple):
                    plugin.problems.append(
                        f"components() gives {brought!r:.80}, and owes a list of classes, as [MyEncoder]"
                    )
                    return plugin
                for component in brought:
                    self._claim(component, plugin)
            if not plugin.events and not plugin.problems and not self._of(module, "components"):
                plugin.problems.append(NO_HOOK)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            plugin.problems.append(f"its registration failed: {in_a_line(error)}{place(error)}")
            if self.manager.is_registered(module):
                self.manager.unregister(module)
        return plugin

    def _of(self, module: object, hook: str) -> list[pluggy.HookImpl]:
        """A module's implementations of a hook."""
        implementations = getattr(self.manager.hook, hook).get_hookimpls()
        return [each for each in implementations if each.plugin is module and not is_wrapper(each)]

    def _claim(self, component: type[Component], plugin: Plugin) -> None:
        problem = why_no_component(component)
        if problem is not None:
            plugin.problems.append(problem)
            return
        if component in plugin.components:
            plugin.notes.append(f"{component.__qualname__} is listed twice")
            return
        plugin.components.append(component)
        claims = self._claims.setdefault((component.kind, name_of(component)), [])
        claims.append((component, plugin))
        if len(claims) > 1:
            for _, each in claims:
                others = " and ".join(other.owner for _, other in claims if other is not each)
                qualified = f"{canonical(each.distribution)}/{name_of(component)}"
                what = f"{component.kind} '{name_of(component)}'"
                each.notes.append(f"{what} is also of {others}; to be unambiguous, write '{qualified}'")

    def claim_here(self, component: type[Component]) -> None:
        """Register a class that no distribution brings, in place of an earlier one of the same name."""
        here = Plugin(getattr(component, "__qualname__", repr(component)), THIS_PROCESS, "")
        if (problem := why_no_component(component)) is not None:
            raise ComponentError(f"cannot register it: {problem}")
        kind, name = component.kind, name_of(component)
        for _, plugin in self._claims.get((kind, name), []):
            if plugin.distribution != THIS_PROCESS:
                raise ComponentError(f"cannot register {kind} '{name}': {plugin.owner} has that name; choose another")
            self.plugins.remove(plugin)
        self._claims.pop((kind, name), None)
        self._claim(component, here)
        self.plugins.append(here)

    @contextlib.contextmanager
    def registered_within(self, *components: type[Component]) -> Iterator[None]:
        """Let classes be registered, as `claim_here` does it, inside the block alone."""
        for component in components:
            self.claim_here(component)
        try:
            yield
        finally:
            for component in components:
                self._claims.pop((component.kind, name_of(component)), None)
            self.plugins = [each for each in self.plugins if not set(each.components) & set(components)]

    def find(self, kind: str, name: str) -> type[Component]:
        """The component of that kind and name, or `distribution/name`.

        Raises:
            ComponentError: there is none (with the nearest name, and what failed to load), or two plugins claim it.
        """
        distribution, _, bare = name.rpartition("/")
        claims = [claim for claim in self._claims.get((kind, bare), []) if self.wants(claim[1])]
        if distribution:
            claims = [claim for claim in claims if canonical(claim[1].distribution) == canonical(distribution)]
        elif len(claims) > 1:
            claims = [claim for claim in claims if claim[1].distribution == FIRST_PARTY] or claims
        if len(claims) == 1:
            return claims[0][0]
        if claims:
            owners = " and ".join(plugin.owner for _, plugin in claims)
            choices = " or ".join(f"'{canonical(plugin.distribution)}/{bare}'" for _, plugin in claims)
            raise ComponentError(f"{kind} '{name}' is claimed by {owners}; write {choices}")
        message = f"unknown {kind} '{name}'; {nearest(bare, self.names(kind))}"
        left_out: dict[str, list[Plugin]] = {}
        for plugin, source in self.left_out():
            left_out.setdefault(source, []).append(plugin)
        for plugin in self.plugins:
            for problem in plugin.problems if self.wants(plugin) else []:
                message += f" (plugin '{plugin.name}' of {plugin.owner} has a problem: {problem})"
        for source, plugins in left_out.items():
            owners = ", ".join(dict.fromkeys(plugin.owner for plugin in plugins))
            message += f" (left out by {source}: {owners}; allow there what brings it)"
        raise ComponentError(message)

    def settings(self, kind: str, name: str) -> type[Settings]:
        """The options of a component; those of a qualified name keep it, so that a written config means the same."""
        component = self.find(kind, name)
        if "/" not in name:
            return component.Config
        return _qualified(component.Config, name)

    def names(self, kind: str) -> list[str]:
        """The names of all components of a kind, sorted."""
        claimed = self._claims.items()
        return sorted(n for (k, n), claims in claimed if k == kind and any(self.wants(plugin) for _, plugin in claims))

    def spellings(self, kind: str) -> dict[str, list[str]]:
        """The components of a kind by the shortest name that surely means each, with all names that mean it."""
        found = {}
        for bare in self.names(kind):
            for component, plugin in self._claims[kind, bare]:
                means = [
                    name
                    for name in (bare, f"{canonical(plugin.distribution)}/{bare}")
                    if self._is(kind, name, component)
                ]
                if means:
                    found[means[0]] = means
        return found

    def _is(self, kind: str, name: str, component: type[Component]) -> bool:
        try:
            return self.find(kind, name) is component
        except ComponentError:
            return False

    def owner(self, component: type[Component]) -> Plugin:
        """The plugin that brought a component class."""
        return next(plugin for plugin in self.plugins if component in plugin.components)

    def listeners(self, hook: str) -> Iterator[tuple[str, Any]]:
        """The implementations of a hook that follows runs, each with its plugin's name, in the order of their calls."""
        for implementation in reversed(getattr(self.manager.hook, hook).get_hookimpls()):
            if is_wrapper(implementation):
                continue
            plugin = next((p for p in self.plugins if f"{p.distribution}/{p.name}" == implementation.plugin_name), None)
            if plugin is None or self.wants(plugin):
                yield implementation.plugin_name, implementation


@functools.cache
def _qualified(settings: type[Component.Config], name: str) -> type[Component.Config]:
    members = {"__annotations__": {"name": Literal[name]}, "name": name, "__module__": settings.__module__}
    return type(settings.__name__, (settings,), members)


def _remedy(error: BaseException, entry: EntryPoint) -> str:
    """What to do where an entry point names what its distribution does not have."""
    lost = isinstance(error, ModuleNotFoundError) and f"{entry.module}.".startswith(f"{error.name}.")
    if lost or (isinstance(error, AttributeError) and not place(error)):
        return (
            f"; mend {entry.name} = {entry.value!r} under [project.entry-points.{GROUP}] in its pyproject.toml, and "
            "install it again"
        )
    return ""


@functools.cache
def _made() -> Registry:
    made = Registry(Selection.of(os.environ.get(VARIABLE, "all"), VARIABLE))
    made.find_installed()
    made.warn_of_unknown(made.wanted)
    return made


def registry() -> Registry:
    """The registry of this process, with every installed plugin that is wanted; made at the first call.

    Raises:
        ConfigError: the environment variable GENKIT_PLUGINS is no choice of plugins.
    """
    made = _made()
    made.load_wanted()
    return made


def choose(wanted: str | Iterable[str]) -> None:
    """Let a config say which plugins it wants, within what the environment wants; raises ConfigError."""
    made = _made()
    made.chosen = Selection.of(wanted, "plugins")
    made.warn_of_unknown(made.chosen)


def register(component: C) -> C:
    """Register a component class for this process only: a decorator for notebooks and scripts.

    Registering again under the same name replaces the class. A run that uses it can be loaded only where the same
    class is registered.

    Raises:
        ComponentError: it is no component, or an installed plugin has its name.
    """
    registry().claim_here(component)
    return component
