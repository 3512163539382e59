"""Places in a config of parts that do not go together, so that errors of a model can point at them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from genkit.config import RunConfig
from genkit.errors import ConfigError, GenkitError
from genkit.examples import config_path
from genkit.settings import yaml
from genkit.settings.yaml import LISTS, Document, Location

KEYS = {"metric": ("metrics",), "transform": ("data", "transform")}
"""The keys at which a config has parts of a kind, where they are not the kind itself."""


@contextlib.contextmanager
def placed(source: Any, overrides: Iterable[str] = ()) -> Iterator[None]:
    """Where `source` is a YAML file, errors raised inside say its line and column, as those of its options do."""
    try:
        yield
    except GenkitError as error:
        raise type(error)(*placed_lines(error.args, source, overrides)) from error


def placed_lines(lines: Iterable[str], source: Any, overrides: Iterable[str] = ()) -> list[str]:
    """Faults that begin with a part (`loss 'kl'`) or with an option (`training.accumulate`), with its line in front.

    What an override says is named by the fault itself.

    Args:
        lines: the faults of a config.
        source: where the config is from; only a YAML file has places.
        overrides: the assignments that were applied to it.
    """
    document = _document(source, overrides) if isinstance(source, str | Path) else None
    return list(lines) if document is None else [_placed(line, document) for line in lines]


def _document(path: str | Path, overrides: Iterable[str]) -> Document | None:
    with contextlib.suppress(ConfigError):  # it changed since it was read
        document = yaml.read(config_path(path))
        for key in LISTS:
            document.make_list(key)
        for assignment in overrides:
            document.override(assignment)
        return document
    return None


def _placed(line: str, document: Document) -> str:
    location = _location(line, document.values)
    place = "" if location is None else document.place(location)
    return f"{place}: {line}" if place.startswith(f"{document.source}:") else line


def _location(line: str, values: Mapping[str, Any]) -> Location | None:
    """The place of the part or the option that a fault begins with; None: it begins with neither."""
    part = re.match(r"(?:the \w+ split: )?(\w+) '([^']+)'", line)
    if part is not None:
        keys = KEYS.get(part[1], (part[1],))
        return _item(keys, part[2], values) if keys[0] in RunConfig.model_fields else None
    option = re.match(r"([a-z_]+(?:\.[a-z_]+)*)(:| reads )", line)
    keys = tuple(option[1].split(".")) if option is not None else ("",)
    return keys if keys[0] in RunConfig.model_fields else None


def _item(keys: Location, name: str, values: Any) -> Location:
    """The location of the part with a name: at these keys, or in a list there; of two terms `kl` one is `kl-2`."""
    for key in keys:
        values = values.get(key) if isinstance(values, Mapping) else None
    if not isinstance(values, list):
        return keys
    names = [item.get("name") if isinstance(item, Mapping) else item for item in values]
    bare, _, number = name.rpartition("-")
    which = [index for index, each in enumerate(names) if each == name]
    if not which and number.isdecimal():
        which = [index for index, each in enumerate(names) if each == bare][int(number) - 1 :]
    return (*keys, which[0]) if which else keys
