"""Component classes: their names, and what makes a class a component that configs can name."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_args

from pydantic import ValidationError

from genkit.interfaces import INTERFACES, Component
from genkit.registry.attributes import wrong_attribute

NAME = r"[\w.-]+"
"""The pattern of a component's name, which has no slash: in `distribution/name`, the slash separates the two."""


def name_of(component: type[Component]) -> str:
    """The name by which configs choose a component class."""
    return str(component.Config.model_fields["name"].default)


def would_be(candidate: Any) -> tuple[str, str] | None:
    """The kind and the name that a class would have if it were a component; None: it says neither."""
    try:
        return str(candidate.kind), name_of(candidate)
    except (AttributeError, KeyError):
        return None


def why_no_component(candidate: Any) -> str | None:
    """Why a class is no component that configs can name; None: it is one."""
    label = getattr(candidate, "__qualname__", repr(candidate))
    if not (inspect.isclass(candidate) and issubclass(candidate, INTERFACES)):
        return f"{label} is no component: it derives from none of {', '.join(i.__name__ for i in INTERFACES)}"
    if inspect.isabstract(candidate):
        missing = ", ".join(sorted(getattr(candidate, "__abstractmethods__", ())))
        return f"{label} is abstract: it does not implement {missing}"
    interface = next(each for each in INTERFACES if issubclass(candidate, each))
    if candidate.kind != interface.kind:
        return f"{label} says kind = {candidate.kind!r}, and derives from {interface.__name__}: leave kind as it is"
    if (wrong := wrong_attribute(candidate, interface)) is not None:
        return wrong
    name = candidate.Config.model_fields.get("name") if issubclass(candidate.Config, Component.Config) else None
    if name is None or get_args(name.annotation) != (name.default,):
        return (
            f'{label}.Config names nothing: derive it from the interface\'s and give it `name: Literal["..."] = "..."`'
        )
    try:
        candidate.Config.model_validate({"name": name.default})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            if detail["type"] != "missing":
                option = ".".join(map(str, detail["loc"]))
                return f"the default of option '{option}' of {label} breaks its own rule: {detail['msg']}"
    if not re.fullmatch(NAME, str(name.default)):
        return f"{label} has the name {name.default!r}: a name is of letters, digits, '-', '_' and '.'"
    return None
