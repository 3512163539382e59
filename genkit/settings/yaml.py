"""YAML files: plain values, with the line and column of each, so that errors can point at them."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarbool import ScalarBoolean

from genkit import examples
from genkit.errors import ConfigError
from genkit.settings.base import nearest
from genkit.settings.bounded import DEEPEST, loaded
from genkit.text import printable

Location = tuple[str | int, ...]
LISTS = ("loss", "metrics")
"""The keys at which one part stands for a list of one."""
LARGEST = 2**20
"""The largest size of a config in bytes."""
LONGEST = 200
"""The largest number of characters of an override in messages."""


@dataclass
class Document:
    """The values of a YAML file, and where each is written."""

    source: str
    values: dict[str, Any]
    places: dict[Location, str] = field(default_factory=dict)

    def place(self, location: Location) -> str:
        """The place where the value at `location` is written; for a value that is not written, its parent's place."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.places:
                return self.places[location[:end]]
        return self.source

    def order(self, location: Location) -> tuple[int, int, int]:
        """A sort key for locations: by line and column; a location that is not in the file comes last."""
        position = re.fullmatch(r":(\d+):(\d+)", self.place(location).removeprefix(self.source))
        return (0, int(position[1]), int(position[2])) if position else (1, 0, 0)

    def make_list(self, key: str) -> None:
        """Turn a single value at a top-level key into a list of one, places included."""
        if isinstance(self.values.get(key), str | Mapping):
            self.values = {**self.values, key: [self.values[key]]}
            inside = {location: place for location, place in self.places.items() if location[:1] == (key,)}
            self.places |= {(key, 0, *location[1:]): place for location, place in inside.items()}

    def override(self, assignment: str) -> None:
        """Apply `key.key=value` as typed on the command line; the value is YAML.

        The items of a list are named by their number or by their `name`, which a new value keeps.
        """
        place = f"'{printable(assignment, LONGEST)}'"
        path, equals, text = assignment.partition("=")
        keys = re.sub(r"\[(\w+)\]", r".\1", path).split(".")  # as messages write it: loss[1]
        if not equals or not all(keys) or len(keys) > DEEPEST:
            raise ConfigError(f"{place} is no override; write key=value, for example training.epochs=5")
        try:
            value = _plain(loaded(text))
        except YAMLError as error:
            problem = error.problem if isinstance(error, MarkedYAMLError) else None
            raise ConfigError(f"{place}: the value is not YAML: {problem or _first_line(error)}") from None
        self.values = _assigned(self.values, keys, value, (), place, self.places)


def values_in(text: str) -> Any:
    """The plain values of a YAML text that is right, such as one that genkit wrote."""
    return _plain(loaded(text))


def read(path: str | Path) -> Document:
    """Read a YAML file that holds one mapping.

    Raises:
        ConfigError: the file is missing, unreadable, broken (with line and column), or holds no mapping.
    """
    text = _text_of(Path(path))
    try:
        root = loaded(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: the YAML is broken: {error.problem or error.context}") from None
    except YAMLError as error:
        raise ConfigError(f"{path}: the YAML is broken: {_first_line(error)}") from None
    if not isinstance(root, CommentedMap):
        raise ConfigError(f"{path}: a config is a mapping of keys to values, and this is none")
    document = Document(str(path), _plain(root))
    _note_places(root, (), document)
    return document


def _text_of(path: Path) -> str:
    """The text of a config; raises ConfigError, also where reading it would never end."""
    try:
        if not path.exists():
            return _missing(path)
        if not path.is_file():
            raise ConfigError(f"{path}: is {'a folder' if path.is_dir() else 'no file'}, and a config is a YAML file")
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path}: has more than {LARGEST:,} bytes, and no config is as long")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be read as text: {reason}") from None


def _missing(path: Path) -> NoReturn:
    """Refuse a path without a file, with the nearest of the files beside it, or of genkit's examples."""
    what = f"is a link to {path.readlink()}, which is not there" if path.is_symlink() else "there is no such file"
    raise ConfigError(f"{path}: {what}{_hint(path)}")


def _hint(path: Path) -> str:
    example = examples.example(path.name)
    if example is not None:
        return f"; '{example.name}' alone is the example of that name"
    siblings = sorted(each.name for each in path.parent.glob("*.y*ml"))
    for candidates in (siblings, examples.names()):
        near = nearest(path.name if candidates is siblings else path.stem, candidates)
        if near.startswith("did you mean"):
            return f"; {near}"
    return ""


def write(values: Mapping[str, Any]) -> str:
    """The YAML text of plain values; each list of numbers is on one line."""
    yaml = YAML()
    yaml.Representer = _Representer
    yaml.width = sys.maxsize
    stream = StringIO()
    yaml.dump(_with_short_lists(values), stream)
    return stream.getvalue()


class _Representer(RoundTripRepresenter):
    """Writes None as `null`, not as an empty value."""


_Representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null"))


def _text(dumper: Any, value: str) -> Any:
    """Text, quoted where a YAML 1.1 reader (most are) would read a truth value."""
    style = "'" if value.lower() in ("y", "n", "yes", "no", "on", "off") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _number(dumper: Any, value: float) -> Any:
    """A number, with a decimal point: a YAML 1.1 reader takes an exponent without one for text."""
    node = dumper.represent_float(value)
    if "e" in node.value and "." not in node.value:
        node.value = node.value.replace("e", ".0e")
    return node


_Representer.add_representer(str, _text)
_Representer.add_representer(float, _number)


def _with_short_lists(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_short_lists(item) for key, item in value.items()}
    if not isinstance(value, list | tuple):
        return value
    items = CommentedSeq(_with_short_lists(item) for item in value)
    if all(isinstance(item, int | float) for item in value):
        items.fa.set_flow_style()
    return items


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _plain(value: Any) -> Any:
    """The value without ruamel's own types, which remember comments and notation."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, ScalarBoolean):
        return bool(value)
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return str(value)


def _note_places(value: Any, location: Location, document: Document) -> None:
    items: list[tuple[str | int, tuple[int, int], Any]]
    if isinstance(value, CommentedMap):
        own_keys = value.lc.data or {}  # without the keys of a merge (<<)
        items = [(str(key), value.lc.key(key), item) for key, item in value.items() if key in own_keys]
    elif isinstance(value, CommentedSeq):
        positions = value.lc.data or {}  # ruamel notes no positions in a sequence with a tag
        start = (value.lc.line, value.lc.col)
        items = [(i, value.lc.item(i) if i in positions else start, item) for i, item in enumerate(value)]
    else:
        return
    for key, (line, column), item in items:
        document.places[(*location, key)] = f"{document.source}:{line + 1}:{column + 1}"
        _note_places(item, (*location, key), document)


def _assigned(
    target: Any, keys: list[str], value: Any, above: Location, place: str, places: dict[Location, str]
) -> Any:
    """A copy of `target` with the value at `keys` replaced; notes the place of the new value."""
    if not keys:
        for location in [location for location in places if location[: len(above)] == above]:
            del places[location]
        places[above] = place
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(target, list):
        index = _item(target, key, above, place)
        if not rest and isinstance(value, Mapping) and not key.isdecimal():
            value = {"name": key, **value}
        return [
            _assigned(item, rest, value, (*above, index), place, places) if position == index else item
            for position, item in enumerate(target)
        ]
    if isinstance(target, str) and above:
        target = {"name": target}
    if not isinstance(target, Mapping):
        places[above] = place
    entries = dict(target) if isinstance(target, Mapping) else {}
    entries[key] = _assigned(entries.get(key), rest, value, (*above, key), place, places)
    return entries


def _item(items: list[Any], key: str, above: Location, place: str) -> int:
    names = [item.get("name") if isinstance(item, Mapping) else item for item in items]
    if key in names:
        return names.index(key)
    if re.fullmatch("[0-9]{1,9}", key) and int(key) < len(items):
        return int(key)
    raise ConfigError(f"{place}: {dotted(above)} has no item '{key}'; it has {', '.join(map(str, names))}")


def dotted(location: Location) -> str:
    """A location as text: `loss[1].weight`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
