"""Parts: the components that one config can choose from, of the plugins that the environment and the config want."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import pluggy

from genkit.errors import ComponentError
from genkit.interfaces import Component
from genkit.registry.hooks import is_wrapper
from genkit.registry.kinds import name_of
from genkit.registry.plugin import THIS_PROCESS, Plugin
from genkit.registry.selection import FIRST_PARTY, Selection, canonical
from genkit.settings.base import Settings, nearest

Claims = dict[tuple[str, str], list[tuple[type[Component], Plugin]]]
"""The components of each kind and name, with the plugins that bring them."""


class Parts:
    """A view of the registry: the plugins that some choices allow.

    Args:
        plugins: all installed plugins, and those of this process.
        claims: the components of these plugins.
        manager: the plugin manager with their hooks.
        choices: the choices of the environment and of a config; a plugin has to be allowed by each, and one in one file
            has to be named by one of them.
        wanted: the config's choice, with each file by its content, and no path.
        unavailable: why the code of files in it does not run, a message for each.
    """

    def __init__(
        self,
        plugins: Sequence[Plugin],
        claims: Claims,
        manager: pluggy.PluginManager,
        choices: Sequence[Selection],
        wanted: str | Sequence[str] = "all",
        unavailable: Sequence[str] = (),
    ) -> None:
        self.plugins = plugins
        self.wanted = wanted
        self.unavailable = unavailable
        self._claims = claims
        self._manager = manager
        self._choices = choices

    def wants(self, plugin: Plugin) -> bool:
        """Whether every choice allows a plugin."""
        return self._concerns(plugin) and not any(self._refuses(choice, plugin) for choice in self._choices)

    def left_out(self) -> list[tuple[Plugin, str]]:
        """The plugins that some choice leaves out, each with the source of that choice."""
        return [
            (plugin, choice.source)
            for plugin in self.plugins
            if self._concerns(plugin)
            for choice in self._choices
            if self._refuses(choice, plugin)
        ]

    def _concerns(self, plugin: Plugin) -> bool:
        """Whether a plugin is installed, or one of the files that the choices name."""
        return plugin.sha256 is None or any(plugin.key in choice.files for choice in self._choices)

    def _refuses(self, choice: Selection, plugin: Plugin) -> bool:
        if plugin.distribution == THIS_PROCESS:
            return False
        if plugin.sha256 is not None:
            return choice.allowed is not None and plugin.key not in choice.files
        return not choice.allows(plugin.distribution, plugin.name)

    def find(self, kind: str, name: str) -> type[Component]:
        """The component of that kind and name, or `distribution/name`.

        Raises:
            ComponentError: no plugin has it (with the nearest name and the failed plugins), or two plugins claim it.
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
            spellings = " or ".join(f"'{canonical(plugin.distribution)}/{bare}'" for _, plugin in claims)
            raise ComponentError(f"{kind} '{name}' is claimed by {owners}; write {spellings}")
        for plugin in filter(self.wants, self.plugins):
            is_meant = not distribution or canonical(plugin.distribution) == canonical(distribution)
            if is_meant and (kind, bare) in plugin.refused:
                raise ComponentError(f"{kind} '{name}' of {plugin.owner} is refused: {plugin.refused[kind, bare]}")
        raise ComponentError(f"unknown {kind} '{name}'; {nearest(bare, self.names(kind))}{self._causes()}")

    def _causes(self) -> str:
        """Why a component may be missing: plugins with problems, and plugins that are left out."""
        causes = [
            f" (plugin '{plugin.name}' of {plugin.owner} has a problem: {problem})"
            for plugin in self.plugins
            if self.wants(plugin)
            for problem in plugin.problems
        ]
        causes += [f" ({message})" for message in self.unavailable]
        left_out: dict[str, dict[str, None]] = {}
        for plugin, source in self.left_out():
            left_out.setdefault(source, {})[plugin.owner] = None
        for source, owners in left_out.items():
            causes.append(f" (left out by {source}: {', '.join(owners)}; allow there what brings it)")
        return "".join(causes)

    def settings(self, kind: str, name: str) -> type[Settings]:
        """The options class of a component; for a qualified name, with that name in its `name`."""
        component: Any = self.find(kind, name)
        return settings_of(component, name if "/" in name else None)

    def names(self, kind: str) -> list[str]:
        """The names of all components of a kind, sorted."""
        claimed = self._claims.items()
        return sorted(n for (k, n), claims in claimed if k == kind and any(self.wants(plugin) for _, plugin in claims))

    def spellings(self, kind: str) -> Mapping[str, Sequence[str]]:
        """All unambiguous names of each component of a kind, by the shortest of them."""
        spellings = {}
        for bare in self.names(kind):
            for component, plugin in self._claims[kind, bare]:
                names = (bare, f"{canonical(plugin.distribution)}/{bare}")
                if means := [name for name in names if self._is(kind, name, component)]:
                    spellings[means[0]] = means
        return spellings

    def _is(self, kind: str, name: str, component: type[Component]) -> bool:
        try:
            return self.find(kind, name) is component
        except ComponentError:
            return False

    def owner(self, component: type[Component]) -> Plugin:
        """The plugin that brought a component class."""
        return next(plugin for plugin in self.plugins if component in plugin.components)

    def listeners(self, hook: str) -> Iterator[tuple[str, Any]]:
        """The implementations of an event, each with its plugin's name, in the order of their calls."""
        for implementation in reversed(getattr(self._manager.hook, hook).get_hookimpls()):
            if is_wrapper(implementation):
                continue
            plugin = next((p for p in self.plugins if p.key == implementation.plugin_name), None)
            if plugin is None or self.wants(plugin):
                yield implementation.plugin_name, implementation


@functools.cache
def settings_of(component: Any, name: str | None = None) -> type[Component.Config]:
    """The settings class of a component, with the component in its attribute `component`.

    Args:
        component: the component class; its `Config` may be inherited, so that it belongs to another class.
        name: a qualified name for the settings, so that a written config means the same component; None: their own.
    """
    settings: type[Component.Config] = component.Config
    if name is None and settings.component is component:
        return settings
    name = name or name_of(component)
    members: dict[str, Any] = {"__annotations__": {"name": Literal[name]}, "name": name, "component": component}
    members["__module__"] = settings.__module__
    return type(settings.__name__, (settings,), members)
