"""Targets of `genkit check-plugin`: the parts that a name stands for, and the reports of their checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from genkit.errors import ComponentError, ConfigError
from genkit.interfaces import KINDS, Component, Shape
from genkit.registry.choices import installed_with_files
from genkit.registry.discovery import GROUP
from genkit.registry.kinds import name_of
from genkit.registry.parts import Parts
from genkit.registry.plugin import Plugin
from genkit.registry.registry import installed, registry
from genkit.registry.selection import canonical, names_file
from genkit.settings.base import nearest
from genkit.settings.yaml import Document
from genkit.testing import checks
from genkit.testing.check import Check, Result
from genkit.testing.settings import settings_of


@dataclass
class PartReport:
    """The results of the checks of one part, or of a plugin itself."""

    part: str
    """`kind/name`, or `plugin NAME`."""
    owner: str
    results: list[Result] = field(default_factory=list)
    problem: str | None = None
    """Why it was not checked."""
    causes: list[BaseException] = field(default_factory=list)
    """The errors by which checks fail, where these are more than wrong values."""

    def add(self, checks: Iterable[Check]) -> None:
        """Run checks, and add what comes of them."""
        for check in checks:
            self.results.append(check.result())
            self.causes += [] if check.cause is None else [check.cause]

    @property
    def broken(self) -> bool:
        """Whether it breaks a promise."""
        return any(result.status == "FAILED" for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """The report as plain values."""
        results = [result._asdict() for result in self.results]
        return {"part": self.part, "owner": self.owner, "checks": results, "problem": self.problem}


def examine(name: str, options: Iterable[str] = (), shapes: Sequence[Shape] | None = None) -> list[PartReport]:
    """Check one part, a plugin with its parts, or all plugins of a distribution.

    Args:
        name: KIND/NAME or DISTRIBUTION/NAME of a part, the name of a plugin or a distribution, or the path of a file,
            whose code runs.
        options: `KEY=VALUE` for a single part, or `KIND/NAME.KEY=VALUE` for one of several.
        shapes: the shapes of one datum to try, in place of the usual ones.

    Raises:
        ComponentError: nothing has that name, or an option is for a part that is not checked.
        ConfigError: an option is wrong.
    """
    kind, slash, bare = name.partition("/")
    plugins: list[Plugin] = []
    if names_file(name):
        plugins = [_of_file(name)]
        parts = {_part(component): component for component in plugins[0].components}
    elif slash and kind in KINDS:
        component = installed().find(kind, bare)
        parts = {f"{kind}/{bare}": component}
    elif slash:
        distribution, _, bare = name.rpartition("/")
        brought = [component for plugin in _plugins(distribution) for component in plugin.components]
        parts = {_part(component): component for component in brought if name_of(component) == bare}
        if not parts:
            hint = nearest(bare, [name_of(component) for component in brought])
            raise ComponentError(f"'{distribution}' brings no part '{bare}'; {hint}")
    else:
        plugins = _plugins(name)
        parts = {_part(component): component for plugin in plugins for component in plugin.components}
    values = _options_of(name, options, parts)
    reports = [_of_plugin(plugin) for plugin in plugins]
    return reports + [_of_part(part, component, values[part], shapes) for part, component in parts.items()]


def shape_of(text: str) -> Shape:
    """The shape that `3,32,32` or `3x32x32` stands for; raises ConfigError if the text is none."""
    sizes = text.replace("x", ",").split(",")
    if not all(size.strip().isdecimal() and int(size) > 0 for size in sizes):
        raise ConfigError(f"--shape: '{text}' is no shape; write whole numbers, such as 3,32,32")
    return tuple(int(size) for size in sizes)


def _part(component: type[Component]) -> str:
    return f"{component.kind}/{name_of(component)}"


def _of_file(path: str) -> Plugin:
    """The plugin in a file that the user names."""
    view = installed_with_files([path], Path())
    plugin = next(plugin for plugin in view.plugins if plugin.key in view.wanted)
    _check_wanted([plugin], view)
    return plugin


def _check_wanted(plugins: Iterable[Plugin], view: Parts) -> None:
    """Refuse plugins that the environment leaves out; raises ComponentError."""
    for plugin, source in view.left_out():
        if plugin in plugins:
            raise ComponentError(f"plugin '{plugin.name}' of {plugin.owner} is left out by {source}; allow it there")


def _plugins(name: str) -> list[Plugin]:
    plugins = [plugin for plugin in installed().plugins if canonical(name) == canonical(plugin.distribution)]
    plugins = plugins or [plugin for plugin in installed().plugins if name == plugin.name]
    owners = list(dict.fromkeys(plugin.distribution for plugin in plugins))
    if len(owners) > 1:
        raise ComponentError(f"plugin '{name}' is of {' and of '.join(owners)}; write the distribution's name")
    _check_wanted(plugins, installed())
    if not plugins:
        if _is_installed(name):
            raise ComponentError(
                f"'{name}' is installed, and has no entry point in the group {GROUP}: in its pyproject.toml, under "
                f"[project.entry-points.{GROUP}], name the module with its hooks, and install it again"
            )
        names = {word for plugin in installed().plugins for word in (plugin.name, plugin.distribution)}
        names |= {_part(component) for plugin in installed().plugins for component in plugin.components}
        raise ComponentError(f"there is no plugin, distribution or part '{name}'; {nearest(name, names)}")
    return plugins


def _is_installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return False
    return True


def _options_of(name: str, options: Iterable[str], parts: dict[str, type[Component]]) -> dict[str, dict[str, Any]]:
    """The options of each part."""
    documents = {part: Document(part, {}) for part in parts}
    for assignment in options:
        path = assignment.partition("=")[0]
        part = next((each for each in parts if path.startswith(f"{each}.")), None)
        if part is not None:
            assignment = assignment.removeprefix(f"{part}.")
        elif len(parts) == 1:
            (part,) = parts
        else:
            listed = ", ".join(parts) or "no parts"
            raise ComponentError(f"'{assignment}': '{name}' has {listed}; write KIND/NAME.KEY=VALUE with one of them")
        documents[part].override(assignment)
    return {part: document.values for part, document in documents.items()}


def _of_plugin(plugin: Plugin) -> PartReport:
    """The report of a plugin itself: whether it loads, and the checks of its hooks if it follows runs."""
    report = PartReport(f"plugin {plugin.name}", plugin.owner)
    remedy = "; see genkit plugins"
    problems = [Result("registration", "FAILED", problem + remedy) for problem in plugin.problems]
    report.results = problems or [Result("registration", "ok", "; ".join(plugin.notes))]
    if plugin.events:
        module = registry().manager.get_plugin(plugin.key)
        report.add(checks(module))
    return report


def _of_part(
    part: str, component: type[Component], values: dict[str, Any], shapes: Sequence[Shape] | None
) -> PartReport:
    report = PartReport(part, installed().owner(component).owner)
    try:
        config = settings_of(component, values)
    except ComponentError as error:
        report.problem = str(error)
        return report
    try:
        report.add(checks(component, config, shapes))
    except ComponentError as error:
        report.results = [Result("expected failures", "FAILED", str(error))]
    return report
