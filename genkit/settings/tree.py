"""The options that a config has at every depth, by their paths, for hints about options that are written elsewhere."""

from __future__ import annotations

import contextlib
import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from genkit.errors import GenkitError
from genkit.settings.base import Choices, ChosenByName, Settings

Path = tuple[str, ...]
MOST = 3
"""The largest number of paths in a hint."""


def elsewhere(
    key: str, settings: type[Settings], values: Mapping[str, Any], choices: Choices, exactly: bool = False
) -> list[str]:
    """The paths of the options that are called `key`, as `called` chooses them.

    Args:
        key: the last name of an option.
        settings: the settings of the whole config.
        values: the values of the config, which choose its parts.
        choices: the parts that there are.
        exactly: as for `called`.
    """
    return called(key, list(paths(settings, values, choices)), exactly)


def called(key: str, each: Sequence[Path], exactly: bool = False) -> list[str]:
    """The paths that end in `key`, the shallowest of each group, dotted.

    Args:
        key: the last name of an option.
        each: the paths of all options.
        exactly: whether to leave out the options of a similar name, which are taken where none has this one.
    """
    names = sorted({path[-1] for path in each})
    words = [name for name in names if key in name.split("_")] + [word for word in key.split("_") if word in names]
    similar = [] if exactly else [*difflib.get_close_matches(key, names, n=1, cutoff=0.8), *words[:1]]
    for name in (key, *similar):
        if same := [path for path in each if path[-1] == name]:
            return [".".join(path) for path in same if len(path) == _depth(path[0], same)][:MOST]
    return []


def _depth(group: str, each: Iterable[Path]) -> int:
    """The length of the shortest path in a group."""
    return min(len(path) for path in each if path[0] == group)


def paths(settings: type[Settings], values: Mapping[str, Any], choices: Choices) -> Iterator[Path]:
    """The paths of all options, groups of options among them; arguments as for `elsewhere`."""
    for name, field in settings.model_fields.items():
        key = field.alias or name
        yield (key,)
        value = values.get(key, field.get_default(call_default_factory=True) if not field.is_required() else None)
        for above, inner, inside in _groups((field.annotation, *field.metadata), value, choices):
            if above:
                yield (key, *above)
            yield from ((key, *above, *path) for path in paths(inner, inside, choices))


def _groups(annotation: Any, value: Any, choices: Choices) -> Iterator[tuple[Path, type[Settings], Mapping[str, Any]]]:
    """The groups of options in a value, each with its name in a list, its settings and its values."""
    if isinstance(value, Settings):
        yield (), type(value), {}
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            named = item.get("name") if isinstance(item, Mapping) else item
            for _, inner, inside in _groups(annotation, item, choices):
                yield (str(named),), inner, inside
    elif isinstance(value, str | Mapping) and (group := _settings(annotation, value, choices)) is not None:
        yield (), group, value if isinstance(value, Mapping) else {}


def _settings(annotation: Any, value: Any, choices: Choices) -> type[Settings] | None:
    """The settings that validate a name or a mapping; None: there are none, or no such choice."""
    parts = list(_parts(annotation))
    choice = next((part for part in parts if isinstance(part, ChosenByName)), None)
    if choice is not None:
        name = value.get("name", choice.default) if isinstance(value, Mapping) else value
        with contextlib.suppress(GenkitError):
            return (choice.choices or choices).settings(choice.kind, str(name))
        return None
    groups = [part for part in parts if inspect.isclass(part) and issubclass(part, Settings)]
    return groups[0] if len(groups) == 1 and isinstance(value, Mapping) else None


def _parts(annotation: Any) -> Iterator[Any]:
    """An annotation and all that is in it."""
    for part in annotation if isinstance(annotation, tuple) else (annotation,):
        yield part
        if inside := get_args(part):
            yield from _parts(inside)
