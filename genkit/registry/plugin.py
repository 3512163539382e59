"""A plugin: its distribution, its components, and its problems."""

from __future__ import annotations

from dataclasses import dataclass, field

from genkit.interfaces import Component

THIS_PROCESS = "this process"
"""The distribution name for classes that were registered only in this process."""


@dataclass
class Plugin:
    """One plugin: its distribution, its components and events, and its problems."""

    name: str
    distribution: str
    version: str
    components: list[type[Component]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    """Why classes are no components, by the kind and the name that they would have."""
    notes: list[str] = field(default_factory=list)
    """Facts that are no faults: a slow import, a name that another plugin has too."""
    sha256: str | None = None
    """The hash of the code of a plugin in one file; None for the plugin of a distribution."""

    def refuse(self, key: tuple[str, str] | None, problem: str) -> None:
        """Note why a class is no component; `key` is the kind and the name that it would have, if any."""
        self.problems.append(problem)
        if key is not None:
            self.refused[key] = problem

    @property
    def key(self) -> str:
        """The plugin's name among all plugins; for a plugin in one file, its word in choices."""
        return f"{self.distribution}/{self.name}" if self.sha256 is None else f"{self.distribution}@{self.sha256}"

    @property
    def owner(self) -> str:
        """The distribution and its version, as messages name them."""
        return f"{self.distribution} {self.version}".strip()
