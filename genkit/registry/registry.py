"""The registry: every installed plugin with its components, and what failed to load.

Plugins are found through the entry-point group `genkit`. A plugin that fails to load, does not fit this genkit, or
brings something that is no component, breaks nothing but itself: its problem is kept, and shown to those who ask for
its parts. A plugin that is not wanted (`genkit.registry.selection`) is never imported. A component may be named with
its distribution, `distribution/name`; a bare name means genkit's own component where genkit has one of that name.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pluggy

from genkit.errors import ComponentError, GenkitWarning, in_a_line, place
from genkit.interfaces import Component
from genkit.registry import hooks
from genkit.registry.discovery import GROUP, Offer, contained, moved, offers
from genkit.registry.entry_points import UNKNOWN
from genkit.registry.files import NO_PART, Code, missing_neighbour, module_of
from genkit.registry.handover import Files
from genkit.registry.hooks import RUN_HOOKS, hook_problems, is_wrapper
from genkit.registry.kinds import name_of, why_no_component, would_be
from genkit.registry.parts import Claims, Parts
from genkit.registry.plugin import THIS_PROCESS, Plugin
from genkit.registry.selection import FIRST_PARTY, VARIABLE, Selection, canonical, without_paths
from genkit.settings.base import ChosenByName, nearest

SLOW = 0.5
"""The seconds from which a slow import gets a note."""

C = TypeVar("C", bound=type[Component])

NO_METADATA = "its distribution has no METADATA, or none that can be read; install it again"
NO_HOOK = (
    "it does nothing: its entry point has to name a module with a function components() that is marked with "
    "@genkit.hookimpl, or one that follows the events of a run"
)


class Registry:
    """All plugins, and their components by (kind, name).

    Args:
        wanted: the environment's choice of plugins; None: all.
    """

    def __init__(self, wanted: Selection | None = None) -> None:
        self.plugins: list[Plugin] = []
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(hooks)
        self.wanted = wanted or Selection()
        """The environment's choice of plugins."""
        self._claims: Claims = {}
        self._waiting: list[tuple[Offer, Plugin]] = []
        self.files = Files()
        """The plugins in one file that this process knows."""
        self._warned_of: set[Selection] = set()

    def parts(self, wanted: str | Iterable[str] = "all") -> Parts:
        """The components that a config can choose from; their plugins are imported now, unless they are already.

        Args:
            wanted: the config's choice of plugins, among those that the environment allows.

        Raises:
            ConfigError: `wanted` is no choice of plugins.
            ComponentError: it names a file whose code fails, or two of one name.
        """
        wanted = self.files.resolved(wanted)
        choice = Selection.of(wanted, "plugins")
        if choice not in self._warned_of:
            self._warned_of.add(choice)
            self.warn_of_unknown(choice)
        choices, unavailable = (self.wanted, choice), self.files.unavailable((*self.wanted.files, *choice.files))
        view = Parts(self.plugins, self._claims, self.manager, choices, without_paths(wanted), unavailable)
        self._load_wanted(view)
        for word in dict.fromkeys((*self.wanted.files, *choice.files)):
            if word in self.files.codes:
                self._load_file(self.files.codes[word], view)
        return view

    def find_installed(self) -> None:
        """Find the plugins of every installed distribution, in a fixed order, without importing them."""
        for offer in offers():
            if offer.distribution == UNKNOWN:
                self.plugins.append(Plugin(offer.entry.name, UNKNOWN, "", problems=[NO_METADATA]))
                continue
            plugin = Plugin(offer.entry.name, offer.distribution, offer.source.version)
            self.plugins.append(plugin)
            self._waiting.append((offer, plugin))

    def _load_wanted(self, view: Parts) -> None:
        """Import the plugins that a view wants, unless they are imported already, each on its own."""
        waiting, self._waiting = self._waiting, []
        for offer, plugin in waiting:
            if not view.wants(plugin):
                self._waiting.append((offer, plugin))
            elif (misfit := offer.misfit()) is not None:
                plugin.problems.append(misfit)
            else:
                self._load(plugin, offer.entry.load, offer.remedy)

    def _load_file(self, code: Code, view: Parts) -> None:
        """Run the code of a plugin in one file, unless it has run already or a choice leaves it out."""
        plugin = next((each for each in self.plugins if each.key == code.word), None)
        if plugin is None:
            plugin = Plugin(code.name.removesuffix(".py"), code.distribution, "", sha256=code.sha256)
            self.plugins.append(plugin)  # also where it is left out, so that messages can say by what
        if view.wants(plugin) and code.word not in self.files.begun:  # its own code may ask for the parts
            with self.files.running(code):
                if not self.manager.has_plugin(plugin.key):
                    self._run_file(code, plugin)

    def _run_file(self, code: Code, plugin: Plugin) -> None:
        """Run the code of a plugin in one file.

        Raises:
            ComponentError: it fails, has no part, or one that has the name of a part of genkit's own.
        """
        whole = False
        try:
            self._load(plugin, lambda: module_of(code), lambda error: missing_neighbour(error, code))
            self._take_over(plugin)
            plugin.problems += [problem for each in plugin.components if (problem := self._clash(each, plugin))]
            whole = not plugin.problems
        finally:
            if not whole:
                self._forget(plugin)  # what it lacks may be there at the next attempt
        if plugin.problems:
            raise ComponentError(*(f"{code.path}: {problem}" for problem in plugin.problems))

    def _take_over(self, plugin: Plugin) -> None:
        """Let a file alone bring the classes that its code registers as well (`genkit.register`)."""
        for here in [each for each in self.plugins if each.distribution == THIS_PROCESS]:
            if set(here.components) & set(plugin.components):
                self._forget(here)

    def _clash(self, component: type[Component], plugin: Plugin) -> str | None:
        """Why a part of a plugin in one file cannot be named; None: it can."""
        claims = self._claims[component.kind, name_of(component)]
        others = [other for each, other in claims if each is not component]
        if plugin in others or any(other.distribution == FIRST_PARTY for other in others):
            owner = "another class of the file" if plugin in others else FIRST_PARTY
            return f"{component.kind} '{name_of(component)}' is also of {owner}; choose another name"
        return None

    def _forget(self, plugin: Plugin) -> None:
        """Remove a plugin with its claims and hooks."""
        self.plugins[:] = [each for each in self.plugins if each is not plugin]
        for claims in self._claims.values():
            claims[:] = [claim for claim in claims if claim[1] is not plugin]
        if self.manager.has_plugin(plugin.key):
            self.manager.unregister(name=plugin.key)

    def _load(self, plugin: Plugin, load: Callable[[], object], remedy: Callable[[BaseException], str]) -> None:
        start = time.perf_counter()
        try:
            with contained(plugin.notes):
                module = load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything: SystemExit, or a test runner's skip
            what = f"{in_a_line(error)}{place(error)}{remedy(error) or moved(error)}"
            plugin.problems.append(f"its import failed: {what}")
        else:
            self.add(module, plugin)
        if (seconds := time.perf_counter() - start) > SLOW:
            plugin.notes.append(f"took {seconds:.1f} s to import")

    def warn_of_unknown(self, choice: Selection) -> None:
        """Warn (GenkitWarning) of misspelt names in a choice: no plugin has them, and one has a similar name."""
        names = {canonical(plugin.distribution) for plugin in self.plugins}
        names |= {f"{canonical(plugin.distribution)}/{plugin.name}" for plugin in self.plugins}
        for name in sorted((choice.allowed or frozenset()) | choice.denied):
            remedy = nearest(name, names)
            if name not in names and remedy.startswith("did you mean"):  # others may be installed on other machines
                message = f"{choice.source}: no plugin '{name}' is installed; {remedy}"
                warnings.warn(message, GenkitWarning, stacklevel=2)

    def add(self, module: object, plugin: Plugin) -> Plugin:
        """Register a module (or any object with hook implementations) as a plugin."""
        if plugin not in self.plugins:
            self.plugins.append(plugin)
        try:
            self.manager.register(module, name=plugin.key)
            plugin.problems += hook_problems(self.manager, module)
            plugin.events = [hook for hook in RUN_HOOKS if self._of(module, hook)]
            for implementation in self._of(module, "components"):
                with contained(plugin.notes):
                    classes = implementation.function()
                if not isinstance(classes, list | tuple):
                    plugin.problems.append(
                        f"components() gives {classes!r:.80}, and must give a list of classes, as [MyEncoder]"
                    )
                    return plugin
                for component in classes:
                    self._claim(component, plugin)
            if not plugin.events and not plugin.problems and not self._of(module, "components"):
                plugin.problems.append(NO_HOOK if plugin.sha256 is None else NO_PART)
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
        if (problem := why_no_component(component)) is not None:
            plugin.refuse(would_be(component), problem)
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
        """Register a class that no distribution brings; it replaces an earlier one of the same name."""
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
        """Register classes, as `claim_here` does, for the duration of the block."""
        for component in components:
            self.claim_here(component)
        try:
            yield
        finally:
            for component in components:
                self._claims.pop((component.kind, name_of(component)), None)
            self.plugins[:] = [each for each in self.plugins if not set(each.components) & set(components)]


@functools.cache
def registry() -> Registry:
    """The registry of this process with every installed plugin; it is built at the first call.

    Raises:
        ConfigError: the environment variable GENKIT_PLUGINS is no choice of plugins.
    """
    whole = Registry()
    whole.wanted = Selection.of(whole.files.handed_over(os.environ.get(VARIABLE, "all"), Path(), VARIABLE), VARIABLE)
    whole.files.of_environment = whole.wanted.files
    whole.find_installed()
    whole.warn_of_unknown(whole.wanted)
    return whole


def installed(wanted: str | Iterable[str] = "all") -> Parts:
    """The components that a config with this choice of plugins can name; raises as `Registry.parts` does."""
    return registry().parts(wanted)


ChosenByName.look_up = staticmethod(installed)


def register(component: C) -> C:
    """Register a component class for this process only; a decorator for notebooks and scripts.

    A second class of the same name replaces the first. A run that uses the class can be loaded only where the same
    class is registered.

    Raises:
        ComponentError: it is no component, or an installed plugin has its name.
    """
    installed()
    registry().claim_here(component)
    return component
