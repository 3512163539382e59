"""Model files from elsewhere: what they name, such as a path of data, is read only if it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from genkit.errors import ConfigError
from genkit.interfaces import Component
from genkit.interfaces.data import NAMES


def check_asked(path: str | Path, data: Component.Config, overrides: Iterable[str]) -> None:
    """Refuse data that a model file from elsewhere names by text, such as paths, and no override; ConfigError."""
    asked = {assignment.partition("=")[0].strip() for assignment in overrides}
    for name, field in type(data).model_fields.items():
        value, option = getattr(data, name), f"data.{field.alias or name}"
        free = _is_free(field.annotation) and NAMES not in field.metadata
        by_text = free and value != field.default and re.search("['\"]", repr(value))
        if name != "name" and by_text and not asked & {"data", option}:
            raise ConfigError(
                f"{path}: says {option}={str(value)!r}, and what a model file from elsewhere names is read only if "
                f"asked for; say what to read: {option}=..."
            )


def _is_free(annotation: Any) -> bool:
    """Whether an option may hold any text, not only some words."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if isinstance(annotation, type) and issubclass(annotation, Component.Config):
        return False  # a part is chosen by its name
    parts = [part for part in get_args(annotation) if part not in (type(None), ...)]
    return get_origin(annotation) is not Literal and (not parts or any(map(_is_free, parts)))
