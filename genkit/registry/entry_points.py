"""Entry points of installed distributions; without torch, as the command line's help reads them too."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

UNKNOWN = "unknown distribution"


class Located(NamedTuple):
    """An entry point, and the distribution that has it."""

    distribution: str
    """The distribution's name, or UNKNOWN where its metadata cannot be read."""
    entry: metadata.EntryPoint
    source: metadata.Distribution


def located(group: str) -> Iterator[Located]:
    """The entry points of a group, distribution by distribution in the order of the path."""
    for source in metadata.distributions():
        for entry in _entries(source, group):
            yield Located(_name_of(source), entry, source)


def _entries(source: metadata.Distribution, group: str) -> list[metadata.EntryPoint]:
    """The entry points of a distribution; none where its list of them cannot be read."""
    try:
        return list(source.entry_points.select(group=group))
    except Exception:  # some other package's damaged files
        return []


def _name_of(source: metadata.Distribution) -> str:
    try:
        name: str | None = source.name
    except Exception:
        name = None
    return name or UNKNOWN
