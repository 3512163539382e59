"""A plugin: the distribution that brings it, its components, and what went wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field

from genkit.interfaces import Component

THIS_PROCESS = "this process"
"""The distribution of classes that were registered in a process only."""


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
