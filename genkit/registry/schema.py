"""The JSON Schema of configs, with the options of every installed component, for editors and other programs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic.json_schema import GenerateJsonSchema

from genkit.config import RunConfig
from genkit.errors import GenkitError
from genkit.interfaces import KINDS, Component
from genkit.registry.registry import installed
from genkit.settings.base import CHOICES, Choices, ChosenByName, Settings, nearest

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """The schema of a config. A config that it accepts may still be refused where parts do not fit each other."""
    definitions = _Definitions(installed())
    config = definitions.gathered("config", RunConfig)
    return {"$schema": DIALECT, **config, "title": "genkit config", "$defs": dict(sorted(definitions.written.items()))}


def options(kind: str, name: str) -> dict[str, Any]:
    """The schema of one component's options, by their keys, with `required`."""
    view = installed()
    return _Definitions(view).gathered(f"{kind}.{name}", view.find(kind, name).Config)


def groups(key: str, settings: type[Settings]) -> dict[str, dict[str, Any]]:
    """The schema of some settings, and of each group of options in them, by the names of their classes.

    Args:
        key: the prefix of references to the groups.
        settings: the settings class; its schema comes first.
    """
    definitions = _Definitions(installed())
    whole = definitions.gathered(key, settings)
    inside = {
        name.removeprefix(f"{key}."): each for name, each in definitions.written.items() if name.startswith(f"{key}.")
    }
    for option in whole["properties"].values():
        group = inside.get(_group_of(option))
        if group and option.get("default") == {name: each.get("default") for name, each in group["properties"].items()}:
            option["default"] = {}
    return {settings.__name__: whole, **inside}


class Option(NamedTuple):
    """An option, as text for people."""

    name: str
    type: str
    default: str | None
    """The default as JSON; None: the option has no default."""
    what: str


def described(options: dict[str, Any]) -> list[Option]:
    """The options in a schema of `options`, without the component's name."""
    required = options.get("required", ())
    return [
        Option(
            name,
            _type_of(option),
            None if name in required else json.dumps(option.get("default")),
            option.get("description", ""),
        )
        for name, option in options["properties"].items()
        if name != "name" or "const" not in option
    ]


def _type_of(option: dict[str, Any]) -> str:
    """The type that a schema describes, as text for people."""
    if "const" in option or "enum" in option:
        return " | ".join(json.dumps(value) for value in option.get("enum", [option.get("const")]))
    if "$ref" in option:
        return _group_of(option)
    if "anyOf" in option:
        return " | ".join(dict.fromkeys(_branches(option["anyOf"])))
    if option.get("type") == "array":
        inside = [*option.get("prefixItems", []), *([option["items"]] if option.get("items") else [])]
        return f"list of {' and '.join(dict.fromkeys(_type_of(item) for item in inside))}"
    if option.get("properties"):
        return "{" + ", ".join(option["properties"]) + "}"
    return str(option.get("type", "any"))


def _branches(options: list[dict[str, Any]]) -> Iterator[str]:
    """The types of the branches; for a choice by name, the names; for a list of choices, only the list."""
    is_choice = any("$ref" in each and "required" in each for each in options)
    lists = [each for each in options if is_choice and each.get("type") == "array"]
    for each in lists or options:
        if is_choice and "enum" in each:
            names = each["enum"]
            yield from (name for name in names if name.rpartition("/")[2] not in {*names} - {name})
        elif lists or not is_choice or each.get("type") == "null":
            yield _type_of(each)


def _group_of(option: dict[str, Any]) -> str:
    """The class that a reference to a group of options names."""
    return str(option.get("$ref", "")).rpartition(".")[2]


def summary(component: type) -> str:
    """The first paragraph of a class's docstring, on one line."""
    return " ".join((inspect.getdoc(component) or "").split("\n\n")[0].split())


class _Generator(GenerateJsonSchema):
    """Accepts anything for an option that JSON cannot describe, such as a callable, so that the others stay."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


class _Definitions:
    """The schemas that another schema refers to, each written once.

    Args:
        choices: the components to choose from.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.written: dict[str, Any] = {}

    def gathered(self, key: str, settings: type[Settings]) -> dict[str, Any]:
        """The schema of some settings; the schemas that it refers to are written under `key`."""
        schema = settings.model_json_schema(ref_template=f"#/$defs/{key}.{{model}}", schema_generator=_Generator)
        for name, inner in schema.pop("$defs", {}).items():
            self.written[f"{key}.{name}"] = self._resolved(inner)
        resolved: dict[str, Any] = self._resolved(schema)
        return resolved

    def _resolved(self, value: Any) -> Any:
        """The schema with choices written out, and without the titles that repeat the keys."""
        if isinstance(value, list):
            return [self._resolved(item) for item in value]
        if not isinstance(value, dict):
            return value
        plain = {
            key: self._resolved(item) for key, item in value.items() if key != CHOICES and not _is_title(key, item)
        }
        if "anyOf" in plain:  # a choice in a choice is one choice
            inner = [each["anyOf"] if [*each] == ["anyOf"] else [each] for each in plain["anyOf"]]
            plain["anyOf"] = [each for several in inner for each in several]
        return {**self._choice(value[CHOICES]), **plain} if CHOICES in value else plain

    def _choice(self, field: ChosenByName) -> dict[str, Any]:
        """The schema of a choice: a name alone, or a mapping whose `name` determines its options."""
        choices = field.choices or self.choices
        spellings = dict(sorted(choices.spellings(field.kind).items()))
        branches = []
        for name, means in spellings.items():
            required = [] if name == field.default else ["name"]
            key = self._option(field.kind, name, choices.settings(field.kind, name), means)
            branches.append({"type": "object", "required": required, "$ref": f"#/$defs/{key}"})
        return {"anyOf": [{"enum": [spelling for means in spellings.values() for spelling in means]}, *branches]}

    def _option(self, kind: str, name: str, settings: type[Settings], means: Sequence[str]) -> str:
        """The key under which the options of a choice are written."""
        key = f"{kind}.{name.replace('/', '.')}"  # a slash in a reference would mean a step down
        if key not in self.written:
            self.written[key] = {}  # first, because a component may contain others of its kind
            owner = settings.component if issubclass(settings, Component.Config) else settings
            title = {"title": f"{kind} {name}", "description": summary(owner)}
            self.written[key] = {**self.gathered(key, settings), **title}
            if len(means) > 1:
                self.written[key]["properties"]["name"] = {"default": name, "enum": list(means)}
        return key


def _is_title(key: str, item: Any) -> bool:
    return key == "title" and isinstance(item, str)


def parts_of(reference: str) -> list[tuple[str, str]]:
    """The kinds and the name of the parts that a reference means: `encoder/mlp`, or a name alone, of any kind.

    Raises:
        GenkitError: there is no such kind, or no part of that name.
    """
    if "/" in reference:
        return [parts(reference)]
    view = installed()
    kinds = [kind for kind in KINDS if reference in view.spellings(kind)]
    if not kinds:
        near = nearest(reference, {name for kind in KINDS for name in view.spellings(kind)})
        hint = (
            near if near.startswith("did you mean") else f"`genkit plugins show KIND` lists those of {', '.join(KINDS)}"
        )
        raise GenkitError(f"no part is called '{reference}'; {hint}")
    return [(kind, reference) for kind in kinds]


def names_of(kind: str) -> list[str] | None:
    """The names of all parts of a kind; None: there is no such kind."""
    return sorted(installed().spellings(kind)) if kind in KINDS else None


def parts(reference: str) -> tuple[str, str]:
    """The kind and the name in a reference such as `encoder/mlp`; raises GenkitError where it has no known kind."""
    kind, slash, name = reference.partition("/")
    if not slash or kind not in KINDS:
        raise GenkitError(f"'{reference}' is no part; write KIND/NAME with one of the kinds {', '.join(KINDS)}")
    return kind, name
