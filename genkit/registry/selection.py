"""A choice of plugins: all, none but genkit's own, some, or all but some."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from genkit.errors import ConfigError

FIRST_PARTY = "genkit-torch"
VARIABLE = "GENKIT_PLUGINS"


def canonical(distribution: str) -> str:
    """A distribution's name as package indexes spell it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class Selection(NamedTuple):
    """A choice of plugins, by distribution or by `distribution/plugin`.

    Genkit's own plugins are wanted unless they are denied by name.
    """

    allowed: frozenset[str] | None = None
    """The names of the wanted plugins; None: all."""
    denied: frozenset[str] = frozenset()
    source: str = "all"
    """The text of the choice, for messages."""

    @classmethod
    def of(cls, wanted: str | Iterable[str], source: str) -> Selection:
        """The choice in `all`, `none`, names, or names with a minus; commas separate the names in a text.

        Raises:
            ConfigError: only some of the names have a minus, or one is no name.
        """
        words = [word.strip() for word in (wanted.split(",") if isinstance(wanted, str) else wanted)]
        words = [word for word in words if word]
        source = f"{source}={','.join(words)}"
        if words in ([], ["all"]):
            return cls(source=source)
        if words == ["none"]:
            return cls(frozenset(), source=source)
        if words[0] == "all" and all(word.startswith("-") for word in words[1:]):
            words = words[1:]  # all but these
        for word in words:
            if not re.fullmatch(r"-?[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)?", word) or word in ("all", "none"):
                raise ConfigError(
                    f"{source}: '{word}' is no plugin; write all, none, DISTRIBUTION or DISTRIBUTION/PLUGIN, "
                    "each with a minus to leave it out"
                )
        denied = [word[1:] for word in words if word.startswith("-")]
        if denied and len(denied) < len(words):
            raise ConfigError(f"{source}: names either what is wanted or, with a minus each, what is not, never both")
        names = frozenset(_spelled(word) for word in denied or words)
        return cls(None, names, source) if denied else cls(names, source=source)

    def allows(self, distribution: str, plugin: str) -> bool:
        """Whether that plugin of that distribution is wanted."""
        own = {canonical(distribution), f"{canonical(distribution)}/{plugin}"}
        if own & self.denied:
            return False
        return self.allowed is None or canonical(distribution) == FIRST_PARTY or bool(own & self.allowed)


def _spelled(name: str) -> str:
    distribution, slash, plugin = name.partition("/")
    return canonical(distribution) + slash + plugin
