"""Options of more than one form, such as a number or a word: one message where a value is none of them.

pydantic lists the faults of a value against each form, under names of its own (`constrained-int`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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
    by_option: dict[Any, list[Any]] = {}
    for number, detail in enumerate(details):
        key = detail["loc"][0] if detail["loc"] else number
        by_option.setdefault(key, []).append(detail)
    return [detail for key, faults in by_option.items() for detail in _one(fields.get(key), faults)]


def _one(schema: Any, faults: list[Any]) -> list[Any]:
    union, or_null = _union(schema)
    if union is None or any(len(fault["loc"]) < 2 for fault in faults):
        return faults
    inside = [fault for fault in faults if len(fault["loc"]) > 2]
    if len({fault["loc"][1] for fault in inside}) == 1:
        return [{**fault, "loc": (fault["loc"][0], *fault["loc"][2:])} for fault in inside]
    forms = [form for choice in union["choices"] for form in _forms(choice)] + ["null"] * or_null
    message = f"Input should be {', '.join(forms[:-1])} or {forms[-1]}"
    first = faults[0]
    return [{**first, "type": "union", "loc": first["loc"][:1], "msg": message}]


def _fields(schema: Any) -> dict[Any, Any]:
    """The core schemas of the options of a group, by their names and by their aliases."""
    while "fields" not in schema:
        schema = schema.get("schema") or {"fields": {}}
    by_name = {name: field["schema"] for name, field in schema["fields"].items()}
    return by_name | {field.get("validation_alias", name): by_name[name] for name, field in schema["fields"].items()}


def _union(schema: Any) -> tuple[Mapping[str, Any] | None, bool]:
    """The union that an option is, inside its default and its own checks, and whether null is allowed too."""
    or_null = False
    while schema is not None and schema["type"] != "union":
        or_null |= schema["type"] == "nullable"
        schema = schema.get("schema") if schema["type"] not in ("model", "function-wrap") else None
    return schema, or_null


def _forms(choice: Any) -> list[str]:
    """A form of a value in words: `a whole number from 1 up to 9`, `'free'`."""
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
