"""Options in Python, as mappings and keywords, in the form that the command line has: `key=value`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from genkit.config import RunConfig
from genkit.errors import ConfigError
from genkit.settings.base import Settings, nearest
from genkit.settings.training import TrainingConfig
from genkit.text import printable

Overrides = Iterable[str] | Mapping[str, Any]
"""Options that replace those of a config: `key=value` texts, or a mapping by dotted keys or nested."""


def assignments(overrides: Overrides, options: Mapping[str, Any] = MappingProxyType({})) -> list[str]:
    """The `key=value` texts of overrides and of keywords.

    A keyword is a key of a config, or of its `training`: `epochs=5` is `training.epochs=5`. A nested mapping replaces
    the options that it has; one with a `name` is a whole part, and replaces the part.

    Raises:
        ConfigError: a value is none that a YAML file can hold, or overrides are one text in place of a list.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides are a list or a mapping, not the text {overrides!r}: write [{overrides!r}]")
    texts = _texts(overrides) if isinstance(overrides, Mapping) else map(_checked, overrides)
    return [*texts, *_texts({_full(name): value for name, value in options.items()})]


def _checked(assignment: object) -> str:
    if isinstance(assignment, str):
        return assignment
    raise ConfigError(f"an override is a text such as 'training.epochs=5', not {printable(repr(assignment), 80)}")


def _full(name: str) -> str:
    """The dotted key of a keyword."""
    own, of_training = RunConfig.model_fields, TrainingConfig.model_fields
    if name in own:
        return name
    if name in of_training:
        return f"training.{name}"
    near = nearest(name, {*own, *of_training})
    if near.startswith("did you mean"):
        raise ConfigError(f"'{name}' is no option of a config, nor of its training; {near}")
    return name  # the config says what it does not know


def _texts(values: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value and "name" not in value:
            yield from _texts(value, f"{above}{key}.")
        else:
            yield f"{above}{key}={_text(value, f'{above}{key}')}"


def _text(value: Any, key: str) -> str:
    """A value as text that YAML reads; raises ConfigError where there is none."""
    try:
        return json.dumps(value, default=_plain, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        what = f"{printable(repr(value), 80)} ({type(value).__name__})"
        raise ConfigError(f"{key}: takes numbers, texts, lists and mappings of them, not {what}") from None


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config in Python, with paths as texts."""
    return {key: _with_texts(value) for key, value in values.items()}


def _with_texts(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_with_texts(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _plain(value: Any) -> Any:
    """The plain value of a path, of settings, and of a number of another library; raises TypeError for all else."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Settings):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return dict(value)
    if callable(item := getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        return item()
    raise TypeError(value)
