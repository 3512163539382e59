"""Checks of options: they are documented and strict, and can be written and read again."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from genkit.errors import ConfigError
from genkit.interfaces import Component
from genkit.interfaces.signatures import misfit
from genkit.settings import yaml
from genkit.testing.check import promise
from genkit.testing.subject import ContractError, Subject, require


@promise(Component)
def documentation(subject: Subject) -> None:
    """The class has a docstring of its own, and each of its options a description."""
    own = (subject.component.__doc__ or "").strip()
    require(bool(own), f"the class {subject.component.__name__} has no docstring: say in it what the part is and does")
    for place, option in _options(type(subject.config)):
        require(
            bool(option.description),
            f"option '{place}' has no description; write {place.rpartition('.')[2]}: Annotated[..., "
            'Field(description="...")]',
        )


@promise(Component)
def signatures(subject: Subject) -> None:
    """Its methods take what genkit gives them."""
    if (problem := misfit(subject.component)) is not None:
        raise ContractError(problem)


@promise(Component)
def strict_options(subject: Subject) -> None:
    """A misspelt option is refused, and `genkit schema` can describe the options."""
    plain = {**subject.config.model_dump(by_alias=True), "no_such_option": 1}
    try:
        type(subject.config).model_validate(plain)
    except ValidationError:
        pass
    else:
        raise ContractError(
            "its Config takes unknown keys, so that a typo passes unseen: leave extra='forbid' as it is"
        )
    try:
        type(subject.config).model_json_schema()
    except Exception as error:
        raise ContractError(
            f"its options have no JSON Schema, which `genkit schema` and editors need: {_first_line(error)}; give the "
            "field's type a __get_pydantic_json_schema__, or plain types"
        ) from error


@promise(Component)
def config_round_trip(subject: Subject) -> None:
    """The options stay the same when a run writes and reads them, as JSON and as YAML."""
    try:
        plain = subject.config.model_dump(mode="json", by_alias=True)
        forms = {"JSON": json.loads(json.dumps(plain)), "YAML": _through_yaml(plain)}
    except (ValueError, TypeError, ConfigError) as error:
        raise ContractError(
            f"the options cannot be written: {_first_line(error)}; use numbers, text, lists and mappings of them"
        ) from error
    for form, values in forms.items():
        try:
            again = type(subject.config).model_validate(values)
        except ValidationError as error:
            raise ContractError(
                f"the options cannot be read again from {form}: {_first_line(error)}; a type of its own needs a "
                "validator for what its serializer writes"
            ) from error
        require(
            again == subject.config,
            f"the options are others once read again from {form}: {again} in place of {subject.config}; a validator or "
            "a serializer changes them",
        )


def _options(settings: type[BaseModel], above: str = "") -> Iterator[tuple[str, Any]]:
    """The options of settings and of the settings nested in them, by their paths; a component's name is not one."""
    for name, option in settings.model_fields.items():
        if name != "name":
            yield f"{above}{name}", option
        for inner in _settings_in(option.annotation):
            yield from _options(inner, f"{above}{name}.")


def _settings_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if (
        isinstance(annotation, type)
        and issubclass(annotation, BaseModel)
        and not issubclass(annotation, Component.Config)
    ):
        yield annotation
    for inner in get_args(annotation):
        yield from _settings_in(inner)


def _through_yaml(plain: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "options.yaml"
        path.write_text(yaml.write(plain), encoding="utf-8")
        return yaml.read(path).values


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n")[:3])
