"""Options of more than one form, such as a number or a word: one message where a value is none of them.

pydantic lists the faults of a value against each form, under names of its own (`constrained-int`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_WORDS = {
    "bool": "true or false",
    "str": "a text",
    "none": "null",
    "model": "a mapping",
    "dict": "a mapping",
    "list": "a list",
    "tuple": "a list",
}
_BOUNDS = {"gt": "above {}", "ge": "from {}", "lt": "below {}", "le": "up to {}"}


def joined(schema: Any, details: Iterable[Any]) -> list[Any]:
    """The faults of a group of options, with one for each option that is none of its forms.

    Where a value has the shape of one form alone, such as a list, the faults inside it are kept at their places.

    Args:
        schema: the core schema of the group.
        details: the faults, as pydantic gives them.
    """
    fields = _fields(schema)
    by_place: dict[Any, tuple[_Union | None, list[Any]]] = {}
    for number, detail in enumerate(details):
        union = _union(fields, detail["loc"])
        place = number if union is None else detail["loc"][: union.depth]
        by_place.setdefault(place, (union, []))[1].append(detail)
    return [
        fault for union, faults in by_place.values() for fault in (faults if union is None else _one(union, faults))
    ]


class _Union(NamedTuple):
    """An option, or an item of one, that has several forms."""

    choices: list[Any]
    or_null: bool
    depth: int
    """The number of steps of its place."""


def _one(union: _Union, faults: list[Any]) -> list[Any]:
    depth = union.depth
    inside = [fault for fault in faults if len(fault["loc"]) > depth + 1]
    if len({fault["loc"][depth] for fault in inside}) == 1:
        return [{**fault, "loc": (*fault["loc"][:depth], *fault["loc"][depth + 1 :])} for fault in inside]
    forms = [form for choice in union.choices for form in _forms(choice)] + ["null"] * union.or_null
    message = f"Input should be {', '.join(forms[:-1])} or {forms[-1]}"
    return [{**faults[0], "type": "union", "loc": faults[0]["loc"][:depth], "msg": message}]


def _fields(schema: Any) -> dict[Any, Any]:
    """The core schemas of the options of a group, by their names and by their aliases."""
    while "fields" not in schema:
        schema = schema.get("schema") or {"fields": {}}
    by_name = {name: field["schema"] for name, field in schema["fields"].items()}
    return by_name | {field.get("validation_alias", name): by_name[name] for name, field in schema["fields"].items()}


def _union(fields: Mapping[Any, Any], place: tuple[Any, ...]) -> _Union | None:
    """The first union on the way to a place whose next step is one of its forms; None: there is none."""
    schema = fields.get(place[0]) if place else None
    for depth in range(1, len(place)):
        schema, or_null = _bare(schema)
        if schema is None or schema["type"] == "union":
            return None if schema is None else _Union(schema["choices"], or_null, depth)
        schema = _item(schema, place[depth])
    return None


def _bare(schema: Any) -> tuple[Any, bool]:
    """The schema inside its default and its own checks, and whether null is allowed too; None: a group of options."""
    or_null = False
    while schema is not None and schema["type"] in ("default", "nullable", "function-before", "function-after"):
        or_null |= schema["type"] == "nullable"
        schema = schema["schema"]
    return schema, or_null


def _item(schema: Any, step: Any) -> Any:
    """The schema of an item of a list or a mapping; None: it has none."""
    if schema["type"] == "tuple" and isinstance(step, int):
        items = schema["items_schema"]
        return items[min(step, len(items) - 1)] if items else None
    return schema.get({"list": "items_schema", "dict": "values_schema"}.get(schema["type"], ""))


def _forms(choice: Any) -> list[str]:
    """A form of a value in words: `a whole number from 1 up to 9`, `'free'`."""
    choice = choice[0] if isinstance(choice, tuple) else choice  # with a name that its author gave it
    kind = choice["type"]
    if kind == "literal":
        return [repr(value) for value in choice["expected"]]
    if kind in ("int", "float"):
        bounds = [text.format(choice[bound]) for bound, text in _BOUNDS.items() if bound in choice]
        return [" ".join(["a whole number" if kind == "int" else "a number", *bounds])]
    if kind == "union":
        return [form for each in choice["choices"] for form in _forms(each)]
    if kind == "tuple" and choice.get("variadic_item_index") is None:
        return [f"a list of {len(choice['items_schema'])}"]
    return [_WORDS[kind]] if kind in _WORDS else _forms(choice["schema"]) if "schema" in choice else [f"of type {kind}"]
