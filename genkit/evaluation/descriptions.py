"""A figure: a number that says how good a model is, with its name, its unit, and whether lower or higher is better.

A dataclass describes its figures itself: such a field is `Annotated[float, Description(...)]`. Whatever shows figures
(tables, cards, logs, the reference) iterates over what `figures` and `descriptions` give, and names none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, NamedTuple, get_args, get_type_hints

NATS = "nats per datum"
LEGEND = "↑ higher is better, ↓ lower is better"


class Description(NamedTuple):
    """What people have to know of a figure in order to read it."""

    name: str
    unit: str = ""
    """As `nats per datum`; empty for a pure number."""
    better: Literal["lower", "higher"] | None = None
    """None: neither is better in itself."""
    sentence: str = ""
    """What it measures, with the source of its formula."""
    form: str = ",.4g"
    """Python's format of the number."""

    @property
    def title(self) -> str:
        """The name with its unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name

    @property
    def arrow(self) -> str:
        """The direction that is better; empty where neither is."""
        return {"higher": "↑", "lower": "↓", None: ""}[self.better]


class Figure(NamedTuple):
    """A figure of one model."""

    key: str
    """As in the JSON, a dot a level: `elbo`, `code.l0`."""
    value: float
    about: Description

    @property
    def text(self) -> str:
        """The number in its format."""
        return format(self.value, self.about.form)


def descriptions(cls: type, above: str = "") -> dict[str, Description]:
    """The described fields of a dataclass by their keys, those of the dataclasses in it included.

    Args:
        cls: a dataclass.
        above: what the keys begin with, as `probes.`.
    """
    types = get_type_hints(cls, include_extras=True)
    described: dict[str, Description] = {}
    for field in fields(cls):
        for part in (types[field.name], *getattr(types[field.name], "__metadata__", ()), *get_args(types[field.name])):
            if isinstance(part, Description):
                described[above + field.name] = part
            elif isinstance(part, type) and is_dataclass(part):
                described |= descriptions(part, f"{above}{field.name}.")
    return described


def figures(values: Mapping[str, Any], cls: type) -> list[Figure]:
    """The figures that a model has.

    Args:
        values: an instance of `cls` as plain values, perhaps of an older version: what is not there is left out.
        cls: a dataclass whose fields are described.
    """
    numbers = {key: _at(values, key) for key in descriptions(cls)}
    return [Figure(key, numbers[key], about) for key, about in descriptions(cls).items() if numbers[key] is not None]


def _at(values: Any, key: str) -> Any:
    for step in key.split("."):
        values = values.get(step) if isinstance(values, Mapping) else None
    return values
