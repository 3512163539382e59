"""The base of everything that a user writes in a config: strict, frozen, and helpful about typos."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from genkit.errors import MOST, GenkitError
from genkit.settings.unions import joined

CHOICES = "x-genkit-choices"
"""The key of the choices: in the context of a validation, and in a JSON Schema that is not finished."""


def nearest(word: str, candidates: Iterable[str]) -> str:
    """A hint for a misspelt word: the nearest candidate, else all of them."""
    words = sorted(candidates)
    close = difflib.get_close_matches(word, words, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(words)}" if words else "none is known"


class Settings(BaseModel):
    """A group of options. Unknown keys and wrong types are errors; numbers are never guessed from text."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        validate_default=True,
    )

    def __repr_name__(self) -> str:
        return type(self).__qualname__

    def __str__(self) -> str:
        return repr(self)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The options that are others than their defaults: `MLPEncoder.Config(hidden=(16,))`."""
        for name, value in super().__repr_args__():
            field = type(self).model_fields.get(name or "")
            if field is None or field.is_required() or value != field.get_default(call_default_factory=True):
                yield name, value

    @model_validator(mode="wrap")
    @classmethod
    def _validate(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        if isinstance(value, Mapping):
            value = {key: _as_tuples(item) if key in cls._tuples() else item for key, item in value.items()}
        try:
            return handler(value)
        except ValidationError as error:
            details = joined(cls.__pydantic_core_schema__, error.errors(include_url=False))
            explained = [cls._explained(each) for each in details[:MOST] if not _is_hollow(each, details[:MOST])]
            raise ValidationError.from_exception_data(cls.__name__, explained) from None

    @classmethod
    def _tuples(cls) -> set[str]:
        """The keys of fields that hold tuples, which YAML and JSON can only write as lists."""
        fields = cls.model_fields.items()
        return {field.alias or name for name, field in fields if _takes_tuple(field.annotation)}

    @classmethod
    def _explained(cls, detail: Any) -> InitErrorDetails:
        kind, message, location = detail["type"], detail["msg"], detail["loc"]
        if kind == "extra_forbidden" and len(location) == 1:
            keys = [field.alias or name for name, field in cls.model_fields.items()]
            kind, message = "unknown_key", f"unknown key '{location[0]}'; {nearest(str(location[0]), keys)}"
        return InitErrorDetails(type=PydanticCustomError(kind, message), loc=location, input=detail["input"])


def _is_hollow(detail: Any, others: list[Any]) -> bool:
    """Whether a list counts as too short only because its items are wrong."""
    depth = len(detail["loc"])
    inside = any(len(other["loc"]) > depth and other["loc"][:depth] == detail["loc"] for other in others)
    return bool(detail["type"] == "too_short" and inside)


def _takes_tuple(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_takes_tuple(part) for part in get_args(annotation))


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list) else value


def several(value: Any) -> Any:
    """A tuple: one name or one mapping stands for a list of one."""
    return (value,) if isinstance(value, str | Mapping) else value


class Choices(Protocol):
    """The names that a config can choose from, and the options of each."""

    def settings(self, kind: str, name: str) -> type[Settings]:
        """The options of the choice with that kind and name; raises GenkitError where there is none."""

    def spellings(self, kind: str) -> Mapping[str, Sequence[str]]:
        """All names of a kind, each with every spelling of it."""


class ChosenByName:
    """A field whose `name` chooses the settings that validate it; a bare string means `{name: string}`.

    Components are looked up among the choices of the config that is being read (`CHOICES` in pydantic's context), else
    among all that are installed.

    Args:
        kind: the kind that is chosen, for look-ups and messages ("encoder", "optimizer").
        choices: fixed choices; None: they depend on what is installed.
        default: the name for a mapping without one.
    """

    look_up: ClassVar[Callable[[], Choices] | None] = None
    """Returns all that is installed; `genkit.registry`, a higher floor, sets it."""

    def __init__(self, kind: str, choices: Choices | None = None, default: str | None = None) -> None:
        self.kind = kind
        self.choices = choices
        self.default = default

    def validate(self, value: Any, info: ValidationInfo) -> Settings:
        """The settings that `value` means: settings, a mapping with a name, or a name."""
        if isinstance(value, Settings) and getattr(getattr(value, "component", None), "kind", None) == self.kind:
            return value
        if isinstance(value, Settings):
            value = value.model_dump(by_alias=True)
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, Mapping):
            raise PydanticCustomError("choice_type", f"must be a name, or a mapping with a name: which {self.kind}?")
        if self.default is not None:
            value = {"name": self.default, **value}
        if not isinstance(value.get("name"), str):
            raise PydanticCustomError("choice_name", f"says no name: which {self.kind}?")
        try:
            settings = self._choices(info).settings(self.kind, value["name"])
        except GenkitError as error:
            raise PydanticCustomError("choice_unknown", str(error)) from None
        return settings.model_validate(value, context=info.context)

    def _choices(self, info: ValidationInfo) -> Choices:
        context = info.context or {}
        choices: Choices | None = self.choices or context.get(CHOICES)
        if choices is not None:
            return choices
        if ChosenByName.look_up is None:
            raise GenkitError(f"no {self.kind} is known yet by its name; import genkit.registry.registry first")
        return ChosenByName.look_up()

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda settings: settings.model_dump(mode="json", by_alias=True)
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """This field itself; `genkit.registry.schema` replaces it with its choices."""
        return {CHOICES: self}
