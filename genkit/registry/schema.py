"""One JSON Schema of all that a config may say, with every installed component, for editors and other programs."""

from __future__ import annotations

import inspect
import json
from typing import Any, NamedTuple

from pydantic.json_schema import GenerateJsonSchema

from genkit.config import RunConfig
from genkit.errors import GenkitError
from genkit.registry.kinds import KINDS
from genkit.registry.registry import registry
from genkit.settings.base import CHOICE, ChosenByName, Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of a config. What it accepts may still be refused where parts do not fit each other."""
    definitions: dict[str, Any] = {}
    made = _gathered("config", RunConfig, definitions)
    return {"$schema": DIALECT, **made, "title": "genkit config", "$defs": dict(sorted(definitions.items()))}


def options(kind: str, name: str) -> dict[str, Any]:
    """The schema of one component's options, by their keys, with `required`."""
    return _gathered(f"{kind}.{name}", registry().find(kind, name).Config, {})


class Option(NamedTuple):
    """An option, as people read of it."""

    name: str
    type: str
    default: str | None
    """As JSON; None: it has to be given."""
    what: str


def described(options: dict[str, Any]) -> list[Option]:
    """The options in a schema of `options`, the component's name left out."""
    needed = options.get("required", ())
    return [
        Option(
            name,
            _type_of(option),
            None if name in needed else json.dumps(option.get("default")),
            option.get("description", ""),
        )
        for name, option in options["properties"].items()
        if name != "name"
    ]


def _type_of(option: dict[str, Any]) -> str:
    """The type that a schema describes, as people say it."""
    if "const" in option or "enum" in option:
        return " | ".join(json.dumps(value) for value in option.get("enum", [option.get("const")]))
    if "anyOf" in option:
        if any("$ref" in each for each in option["anyOf"]):  # a choice by name
            names = option["anyOf"][0]["enum"]
            return " | ".join(name for name in names if name.rpartition("/")[2] not in {*names} - {name})
        return " | ".join(dict.fromkeys(_type_of(each) for each in option["anyOf"]))
    if option.get("type") == "array":
        inside = option.get("prefixItems") or [option.get("items", {})]
        return f"list of {' and '.join(dict.fromkeys(_type_of(item) for item in inside))}"
    if option.get("properties"):
        return "{" + ", ".join(option["properties"]) + "}"
    return str(option.get("type", "any"))


def summary(component: type) -> str:
    """What a class says of itself in its first paragraph."""
    return " ".join((inspect.getdoc(component) or "").split("\n\n")[0].split())


class _Generator(GenerateJsonSchema):
    """Lets an option that JSON knows nothing of, as a callable, be anything: it takes no other option with it."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


def _gathered(key: str, settings: type[Settings], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema of some settings; what it refers to goes into the definitions."""
    made = settings.model_json_schema(ref_template=f"#/$defs/{key}.{{model}}", schema_generator=_Generator)
    for name, inner in made.pop("$defs", {}).items():
        definitions[f"{key}.{name}"] = _resolved(inner, definitions)
    resolved: dict[str, Any] = _resolved(made, definitions)
    return resolved


def _resolved(value: Any, definitions: dict[str, Any]) -> Any:
    """With references in place of choices, and without the titles that repeat the keys."""
    if isinstance(value, list):
        return [_resolved(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if CHOICE not in value:
        return {key: _resolved(item, definitions) for key, item in value.items() if not _is_title(key, item)}
    chooser, name = value[CHOICE]
    key = f"{chooser.what}.{name.replace('/', '.')}"  # in a reference a slash would be a step down
    if key not in definitions:
        definitions[key] = {}  # a component may take others of its kind
        definitions[key] = {**_gathered(key, chooser.find(name), definitions), **_described(chooser, name)}
        if len(chooser.known()[name]) > 1:
            definitions[key]["properties"]["name"] = {"default": name, "enum": chooser.known()[name]}
    return {"type": "object", "required": value["required"], "$ref": f"#/$defs/{key}"}


def _is_title(key: str, item: Any) -> bool:
    return key == "title" and isinstance(item, str)


def _described(chooser: ChosenByName, name: str) -> dict[str, str]:
    described: type = registry().find(chooser.what, name) if chooser.what in KINDS else chooser.find(name)
    return {"title": f"{chooser.what} {name}", "description": summary(described)}


def parts(reference: str) -> tuple[str, str]:
    """The kind and the name in `encoder/mlp`; raises GenkitError where it is none."""
    kind, slash, name = reference.partition("/")
    if not slash or kind not in KINDS:
        raise GenkitError(f"'{reference}' is no part; write KIND/NAME with one of the kinds {', '.join(KINDS)}")
    return kind, name
