"""Differences of configs: the options by which configs, as plain values, differ, each by its path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, NamedTuple

ABSENT = object()
"""The value of an option that a config does not have, as its part is another one."""
IDENTITY = ("name",)
"""Options that say how a run is called, and nothing of what it does."""


class Difference(NamedTuple):
    """An option with two values."""

    path: str
    """The option as an override writes it: `loss.kl.weight`; of another part the part alone: `encoder`."""
    before: Any
    after: Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """The options by which one config differs from another, names of runs left out, in the order of the config."""
    return [Difference(path, *values) for path, values in varying([before, after]).items()]


def varying(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The options that are not the same in all configs, with the value of each config, or ABSENT.

    Of parts that are others their names differ, and their options are compared among the configs that have the part.
    """
    paths = dict(_varying(list(configs), ""))
    return {path: values for path, values in paths.items() if path not in IDENTITY}


def _varying(values: list[Any], path: str) -> Iterator[tuple[str, list[Any]]]:
    there = [value for value in values if value is not ABSENT]
    if all(value == there[0] for value in there):
        return
    forms = [None if value is ABSENT else _form(value, path) for value in values]
    whole = len({form for form in forms if form is not None}) > 1 or "value" in forms
    if whole:
        yield path, [value if value is ABSENT else _named(value) for value in values]
    for form in dict.fromkeys(form for form in forms if form not in (None, "value")):
        if whole and form.startswith("options"):
            continue
        parts = [_parts(value) if own == form else {} for value, own in zip(values, forms, strict=True)]
        for key in dict.fromkeys(key for part in parts for key in part):
            yield from _varying([part.get(key, ABSENT) for part in parts], f"{path}.{key}".lstrip("."))


def _form(value: Any, path: str) -> str:
    """What two values have in common whose options are compared one by one; `value`: they have none."""
    if isinstance(value, Mapping):
        is_group = "." not in path and (not path or "name" not in value)
        return "group" if is_group else f"part {value['name']}" if "name" in value else f"options {sorted(value)}"
    return f"list {list(_parts(value))}" if _is_list_of_parts(value) else "value"


def _named(value: Any) -> Any:
    """The name in place of a part, the names in place of parts; else the value."""
    if isinstance(value, Mapping):
        return value.get("name", value)
    return list(_parts(value)) if _is_list_of_parts(value) else value


def _is_list_of_parts(value: Any) -> bool:
    parts = list(value) if isinstance(value, list | tuple) else []
    return bool(parts) and all(isinstance(part, Mapping) and isinstance(part.get("name"), str) for part in parts)


def _parts(value: Any) -> dict[str, Any]:
    """The options of a mapping, or the parts of a list by their names; of two parts `kl` one is `kl-2`."""
    if isinstance(value, Mapping):
        return {str(key): each for key, each in value.items() if key != "name" or not isinstance(each, str)}
    parts: dict[str, Any] = {}
    for part in value if _is_list_of_parts(value) else ():
        number = 1 + sum(name.rpartition("-")[0] == part["name"] or name == part["name"] for name in parts)
        parts[part["name"] if number == 1 else f"{part['name']}-{number}"] = part
    return parts


def paths_of(values: Any, path: str = "") -> Iterator[str]:
    """The path of each option of a config."""
    if path:
        yield path
    if isinstance(values, Mapping) or _is_list_of_parts(values):
        for key, value in _parts(values).items():
            yield from paths_of(value, f"{path}.{key}".lstrip("."))


def short(path: str, paths: Iterable[str]) -> str:
    """The shortest end of a path that no other path of as few levels has: `latent` for `sampler.latent`."""
    keys = path.split(".")
    others = [f".{other}" for other in paths if other != path and other.count(".") <= path.count(".")]
    for start in range(len(keys) - 1, 0, -1):
        end = ".".join(keys[start:])
        if not any(other.endswith(f".{end}") for other in others):
            return end
    return path


def text_of(value: Any) -> str:
    """A value on one line, as YAML has it and an override takes it; options that are null are left out of a group."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {text_of(each)}' for key, each in value.items() if each is not None)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


UNSAFE = re.compile(r"[^A-Za-z0-9.]+")
LONGEST = 24
"""The largest number of characters of a difference in a file name."""


def slug(difference: Difference, paths: Iterable[str]) -> str:
    """A difference as a piece of a file name: `latent8`, `encoder-cnn`, `hidden256x128`; of a path its last name."""
    value, key = difference.after, short(difference.path, paths)
    if isinstance(value, Mapping):
        value = [value["schedule"]] if "schedule" in value else []
    items = value if isinstance(value, list | tuple) else [value]
    words = [UNSAFE.sub("-", PurePath(each).stem if isinstance(each, str) else text_of(each)) for each in items]
    is_number = bool(items) and all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
    return (key + ("" if is_number else "-") + "x".join(words))[:LONGEST].strip("-.")
