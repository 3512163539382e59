"""Figures with their descriptions: the name, the unit and the better direction of each number of a model.

A dataclass describes its figures itself, by fields of the type `Annotated[float, Description(...)]`. Code that shows
figures (tables, cards, logs, the reference) iterates over `figures` and `descriptions`, and names no figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, get_args, get_type_hints

from genkit.interfaces import Description

LEGEND = "↑ higher is better, ↓ lower is better"


class Figure(NamedTuple):
    """A figure of one model."""

    key: str
    """The key in the JSON, with one dot per level: `elbo`, `code.l0`."""
    value: float
    about: Description

    @property
    def text(self) -> str:
        """The number in its format."""
        return format(self.value, self.about.form)


def descriptions(cls: type, above: str = "") -> dict[str, Description]:
    """The descriptions of a dataclass's figures by their keys, those of nested dataclasses included.

    Args:
        cls: the dataclass.
        above: the prefix of the keys, such as `probes.`.
    """
    types = get_type_hints(cls, include_extras=True)
    by_key: dict[str, Description] = {}
    for field in fields(cls):
        for part in (types[field.name], *getattr(types[field.name], "__metadata__", ()), *get_args(types[field.name])):
            if isinstance(part, Description):
                by_key[above + field.name] = part
            elif isinstance(part, type) and is_dataclass(part):
                by_key |= descriptions(part, f"{above}{field.name}.")
    return by_key


def figures(values: Mapping[str, Any], cls: type) -> list[Figure]:
    """The figures that a model has.

    Args:
        values: an instance of `cls` as plain values, perhaps of an older version; missing figures are left out.
        cls: a dataclass that describes its figures.
    """
    numbers = {key: _at(values, key) for key in descriptions(cls)}
    return [Figure(key, numbers[key], about) for key, about in descriptions(cls).items() if numbers[key] is not None]


def _at(values: Any, key: str) -> Any:
    for step in key.split("."):
        values = values.get(step) if isinstance(values, Mapping) else None
    return values
