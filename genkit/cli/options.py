"""The options of a config without its parts' code: read from the JSON Schema that comes with genkit, in a moment.

It has genkit's own parts alone. Completion and hints on the command line use it; configs are checked by the parts.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from genkit.examples import SCHEMA, config_path, folder
from genkit.record.run_names import CONFIG_FILE, run_path

Node = Mapping[str, Any]
"""A JSON Schema."""
MISSING: Any = object()
"""Where a config says no value, and the schema no default."""


class Option(NamedTuple):
    """An option of a config."""

    path: str
    """Its names from the top, as overrides are written: `loss.kl.weight`."""
    what: str
    value: Any
    """What the config says, else the default; MISSING: neither."""
    values: tuple[str, ...]
    """The words that it can be; (): it is no choice of words."""


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of configs; an empty one where the file is not there."""
    try:
        whole: dict[str, Any] = json.loads((folder() / SCHEMA).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return whole


def parts() -> list[str]:
    """All parts as KIND/NAME."""
    titles = [str(node.get("title", "")) for node in schema().get("$defs", {}).values()]
    return sorted(title.replace(" ", "/", 1) for title in titles if " " in title)


def config_named(word: str | Path) -> Path:
    """The config that a word means: that of a run, of a model file beside it, or a config itself."""
    from genkit.errors import GenkitError

    with contextlib.suppress(GenkitError):
        path = run_path(word)
        if path.is_dir():
            return path / CONFIG_FILE
        if path.is_file():
            return path.with_name(CONFIG_FILE)
    return config_path(word)


def values_of(config: Path) -> dict[str, Any]:
    """The values of a config; none where it cannot be read."""
    from genkit.errors import GenkitError
    from genkit.settings import yaml

    try:
        document = yaml.read(config)
    except GenkitError:
        return {}
    for key in yaml.LISTS:
        document.make_list(key)
    return document.values


def options(values: Node, node: Node | None = None, above: str = "") -> Iterator[Option]:
    """The options of a config with these values, and of the parts that it chooses; arguments for the inner ones.

    Args:
        values: the values of the config, or of a group of options in it.
        node: the schema of that group; None: that of configs.
        above: the path of that group, with a dot.
    """
    for key, inner in (schema() if node is None else node).get("properties", {}).items():
        if above and key == "name":
            continue
        value = values.get(key, inner.get("default", MISSING))
        branches = list(_branches(inner))
        yield Option(above + key, str(inner.get("description", "")), value, _words(branches))
        for name, item in _items(value):
            group = _chosen(branches, item)
            if group is not None:
                path = f"{above}{key}.{name}" if name else f"{above}{key}"
                yield from options(item if isinstance(item, Mapping) else {}, group, f"{path}.")


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """The items of a list by their names, or a value alone, without a name."""
    if not isinstance(value, list):
        yield "", value
        return
    for item in value:
        name = item.get("name") if isinstance(item, Mapping) else item
        if isinstance(name, str):
            yield name, item


def _branches(node: Node) -> Iterator[Node]:
    """The forms that a value may have, those of the items of a list among them."""
    reference = node.get("$ref")
    if isinstance(reference, str):
        yield schema().get("$defs", {}).get(reference.rpartition("/")[2], {})
    else:
        yield node
    for inner in [*node.get("anyOf", []), *([node["items"]] if isinstance(node.get("items"), Mapping) else [])]:
        yield from _branches(inner)


VALUES: dict[str, list[Any]] = {"boolean": [False, True], "null": [None]}
"""All values of a type of JSON, where they are few."""


def _chosen(branches: list[Node], value: Any) -> Node | None:
    """The group of options that a name or a mapping chooses."""
    groups = [branch for branch in branches if "properties" in branch]
    name = value.get("name") if isinstance(value, Mapping) else value
    for group in groups:
        about = group["properties"].get("name", {})
        if isinstance(name, str) and name in {about.get("default"), about.get("const"), *about.get("enum", ())}:
            return group
    unnamed = [group for group in groups if "name" not in group["properties"]]
    return unnamed[0] if isinstance(value, Mapping) and len(unnamed) == 1 else None


def _words(branches: list[Node]) -> tuple[str, ...]:
    words: list[Any] = []
    for branch in branches:
        words += branch.get("enum", [branch["const"]] if "const" in branch else [])
        words += VALUES.get(str(branch.get("type")), [])
    bare = [word if isinstance(word, str) else json.dumps(word) for word in words]
    return tuple(dict.fromkeys(word for word in bare if "/" not in word))
