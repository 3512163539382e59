"""The attributes of component classes that the interfaces declare, checked against their types."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence, Set
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from genkit.interfaces import Component, Schema

FACTS: Mapping[str, tuple[str, ...]] = {"asks": Schema._fields}
"""The choices of attributes whose types do not name them."""


def wrong_attribute(component: type[Component], interface: type[Component]) -> str | None:
    """Which attribute of a component class has a value that its interface does not allow, and what to write.

    Attributes that instances compute (properties) are left out, and so are types other than choices, names, truth
    values and pairs of numbers.
    """
    for name, hint in get_type_hints(interface).items():
        value = inspect.getattr_static(component, name, None)
        if value is None or hasattr(value, "__get__"):
            continue
        if (what := _fault(name, hint, value, hasattr(interface, name))) is not None:
            return f"{component.__qualname__} says {name} = {value!r:.80}: {what}"
    return None


def _fault(name: str, hint: Any, value: Any, has_default: bool) -> str | None:
    """What is wrong with the value of an attribute of a type, which may have a default; None: nothing."""
    of_class = get_origin(hint) is ClassVar or has_default
    kind = get_args(hint)[0] if get_origin(hint) is ClassVar else hint
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return None if value in inner else f"write one of {_listed(inner)}"
    if get_origin(kind) is not tuple:
        return "write True or False" if of_class and kind is bool and not isinstance(value, bool) else None
    if inner[-1] is not ...:
        are_numbers = isinstance(value, tuple | list) and all(isinstance(each, int | float) for each in value)
        is_right = not of_class or (are_numbers and len(value) == len(inner))
        return None if is_right else f"write a tuple of {len(inner)} numbers"
    choices = FACTS.get(name) or get_args(inner[0])
    return _fault_of_names(name, choices, value) if inner[0] is str or choices else None


def _fault_of_names(name: str, choices: tuple[Any, ...], value: Any) -> str | None:
    of = f", of {_listed(choices)}" if choices else ""
    if isinstance(value, str) or not isinstance(value, Sequence | Set):
        example = f": {name} = ({value!r},)" if isinstance(value, str) and (not choices or value in choices) else ""
        return f"write a tuple of names{of}{example}"
    wrong = [each for each in value if not isinstance(each, str) or (choices and each not in choices)]
    return f"{_listed(wrong)} cannot be named; write a tuple of names{of}" if wrong else None


def _listed(values: Sequence[Any] | Any) -> str:
    return ", ".join(map(repr, values))
