"""Figures with their descriptions: the name, the unit and the better direction of each number of a model.

A dataclass describes its figures itself, by fields of the type `Annotated[float, Description(...)]`. Code that shows
figures (tables, cards, logs, the reference) iterates over `figures` and `descriptions`, and names no figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple, get_args, get_type_hints

from genkit.errors import in_a_line
from genkit.interfaces import Description

LEGEND = "↑ higher is better, ↓ lower is better"


class Figure(NamedTuple):
    """A figure of one model."""

    key: str
    """The key in the JSON, with one dot per level: `elbo`, `code.l0`."""
    value: float
    """The number, in the unit of its description."""
    about: Description
    """The name, the unit, the better direction and the meaning."""

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


def wrong_figures(described: Any) -> str | None:
    """What is wrong with the descriptions of a metric's figures, with the key and the remedy; None: nothing."""
    if not isinstance(described, Mapping) or not described:
        return f"`figures` is {described!r:.80}: it must map the key of each figure to a genkit.Description"
    for key, about in described.items():
        if not isinstance(key, str) or not key:
            return f"the key {key!r:.80} of a figure is no text; write a word, such as 'accuracy'"
        if not isinstance(about, Description):
            remedy = 'write Description("its name", sentence="What it means.")'
            return f"figure '{key}' is described by no genkit.Description: {about!r:.80}; {remedy}"
        if (fault := _wrong(about)) is not None:
            return f"figure '{key}': {fault}"
    return None


def _wrong(about: Description) -> str | None:
    """What is wrong with the description of a figure that is a float; None: nothing."""
    for field in ("name", "unit", "sentence", "form"):
        if not isinstance(getattr(about, field), str):
            return f"{field} is {getattr(about, field)!r:.80}, and must be a text"
    if not about.name:
        return "it has no name; write one, as tables show it"
    if about.better not in (None, "lower", "higher"):
        return f"better is {about.better!r:.80}; write 'lower', 'higher' or None"
    try:
        format(1.5, about.form)
    except ValueError as error:
        return f"form {about.form!r:.80} formats no number ({in_a_line(error)}); write one such as ',.4g' or '.1%'"
    return None


def _at(values: Any, key: str) -> Any:
    for step in key.split("."):
        values = values.get(step) if isinstance(values, Mapping) else None
    return values
