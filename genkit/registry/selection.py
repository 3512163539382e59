"""A choice of plugins: all, none but genkit's own, some, or all but some."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from genkit.errors import ConfigError
from genkit.text import printable

FIRST_PARTY = "genkit-torch"
VARIABLE = "GENKIT_PLUGINS"
CODE_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,90}\.py"
"""The pattern of the names of plugins in one file: no character of it acts on a shell, a page or a terminal."""
CODE_WORD = re.compile(rf"\./({CODE_NAME})@([0-9a-f]{{64}})")
"""The pattern of a word that stands for such a file by its name and its content."""
SHORTENED = r"(?<=@[0-9a-f]{8})[0-9a-f]+$"
"""The pattern of the part of a hash that messages leave out."""
LONGEST = 100
"""The largest number of characters of a word in messages."""


def canonical(distribution: str) -> str:
    """A distribution's name as package indexes spell it; the name of a file as it is."""
    return distribution if distribution.startswith("./") else re.sub(r"[-_.]+", "-", distribution).lower()


def words_of(wanted: str | Iterable[str]) -> list[str]:
    """The words of a choice; commas separate them in a text."""
    words = [word.strip() for word in (wanted.split(",") if isinstance(wanted, str) else wanted)]
    return [word for word in words if word]


def names_file(word: str) -> bool:
    """Whether a word of a choice names a plugin in one file, by its path or by its content."""
    return word.startswith(("./", "../", "/", "~")) or word.partition("@")[0].lower().endswith(".py")


def without_paths(wanted: str | Iterable[str]) -> str | list[str]:
    """A choice without the paths of files in it, so that nobody opens them who takes its words for the user's own."""
    words = words_of(wanted)
    kept = [word for word in words if CODE_WORD.fullmatch(word) or not names_file(word)]
    if len(kept) == len(words):
        return wanted if isinstance(wanted, str) else words
    return kept or ["none"]


class Selection(NamedTuple):
    """A choice of plugins, by distribution or by `distribution/plugin`, and of plugins in one file.

    Genkit's own plugins are wanted unless they are denied by name.
    """

    allowed: frozenset[str] | None = None
    """The names of the wanted plugins; None: all."""
    denied: frozenset[str] = frozenset()
    source: str = "all"
    """The text of the choice, for messages."""
    files: tuple[str, ...] = ()
    """The wanted plugins in one file, as `./mine.py@SHA256`."""

    @classmethod
    def of(cls, wanted: str | Iterable[str], source: str) -> Selection:
        """The choice in `all`, `none`, names, or names with a minus; commas separate the names in a text.

        Files may stand beside any of these. Alone they are names: of distributions, only genkit's own is wanted then.

        Raises:
            ConfigError: only some of the names have a minus, or one is no name.
        """
        words = words_of(wanted)
        source = f"{source}={','.join(printable(re.sub(SHORTENED, '…', word), LONGEST) for word in words)}"
        files = tuple(dict.fromkeys(filter(names_file, words)))
        words = [word for word in words if not names_file(word)]
        if words == ["all"] or not (words or files):
            return cls(source=source, files=files)
        if words in ([], ["none"]):
            return cls(frozenset(), source=source, files=files)
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
        return cls(None, names, source, files) if denied else cls(names, source=source, files=files)

    def allows(self, distribution: str, plugin: str) -> bool:
        """Whether that plugin of that distribution is wanted."""
        own = {canonical(distribution), f"{canonical(distribution)}/{plugin}"}
        if own & self.denied:
            return False
        return self.allowed is None or canonical(distribution) == FIRST_PARTY or bool(own & self.allowed)


def _spelled(name: str) -> str:
    distribution, slash, plugin = name.partition("/")
    return canonical(distribution) + slash + plugin
