"""The origin of a run: the config that it was started from, and what changed from there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genkit.errors import ConfigError
from genkit.files import strict_json
from genkit.record.directory import RunDirectory
from genkit.settings import yaml
from genkit.settings.differences import ABSENT, Difference, differences, paths_of, slug, varying

if TYPE_CHECKING:
    from genkit.config import RunConfig

UNNAMED = re.compile(
    r"(training\.(epochs|steps|device|threads|compile|checkpoint|on_nonfinite)|data\.root|metrics|plugins)\b"
)
"""Options that say how long, on what and where a model is trained, and how it is measured: the names of directories do
not tell of them."""
LAST = ("seed", "training.epochs", "training.steps")
"""Options that come last among changes."""
LONGEST = 64
"""The largest number of characters of the name of a run's directory."""


@dataclass(frozen=True)
class Origin:
    """What a run was started from."""

    config: str | None
    """The file of the config as it was typed, from the folder where the run was started; None: it came from Python."""
    overrides: tuple[str, ...]
    """The options in place of the file's, as they were typed: `key=value`."""
    changes: tuple[Difference, ...]
    """The options that differ from the file's, or from those of the values that Python passed."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        changes = [each._asdict() for each in self.changes]
        return {"config": self.config, "overrides": list(self.overrides), "changes": changes}


def directory_name(name: str, values: Mapping[str, Any], changes: Sequence[Difference]) -> str:
    """The name of a new run's directory: that of its config, and what changed from there, as much as is short.

    Args:
        name: the name in the config.
        values: the config as plain values.
        changes: what changed.

    Example:
        >>> directory_name("vae", {"sampler": {"latent": 8}}, [Difference("sampler.latent", 2, 8)])
        'vae-latent8'
    """
    paths = list(paths_of(values))
    for change in sorted(changes, key=lambda change: change.path in LAST):
        longer = f"{name}-{slug(change, paths)}"
        if not UNNAMED.match(change.path) and len(longer) <= LONGEST:
            name = longer
    return name


def claim(run_config: RunConfig, out: Path | None, origin: Origin | None) -> RunDirectory:
    """An empty directory: `out`, or one in runs/ that is called by the name of the config and what changed from there.

    A name that is typed is the whole name.

    Raises:
        RunError: `out` exists and is not empty, or the directory cannot be written.
    """
    is_typed = origin is None or any(each.partition("=")[0] == "name" for each in origin.overrides)
    changes = () if is_typed or origin is None else origin.changes
    return RunDirectory.claim(directory_name(run_config.name, run_config.resolved(), changes), out)


def origin_of(directory: RunDirectory) -> Origin | None:
    """The origin that a run recorded when it was started; None: it recorded none, or the record is damaged."""
    try:
        record = strict_json.read(directory.local)["origin"]
        changes = tuple(Difference(str(each["path"]), each["before"], each["after"]) for each in record["changes"])
        config = None if record["config"] is None else str(record["config"])
        return Origin(config, tuple(map(str, record["overrides"])), changes)
    except (OSError, ValueError, KeyError, TypeError):
        return None


class Config(NamedTuple):
    """The config of a run, and where it came from."""

    values: dict[str, Any]
    """Plain values, with the options that the run was given when it was resumed."""
    origin: Origin | None
    changes: dict[str, Difference]
    """What changed from its origin, and when it was resumed, by its path."""


def config_of(directory: RunDirectory) -> Config:
    """The config of a run as its files have it: no part is looked up, and no model read.

    Raises:
        ConfigError: the config is damaged.
    """
    document, origin = yaml.read(directory.config), origin_of(directory)
    start, changes = document.values, {each.path: each for each in (origin.changes if origin else ())}
    for override in _later(directory):
        document.override(override)
    for each in differences(start, document.values):
        changes[each.path] = each._replace(before=changes[each.path].before if each.path in changes else each.before)
    return Config(document.values, origin, changes)


def _later(directory: RunDirectory) -> list[str]:
    """The options that a run was given when it was resumed; raises ConfigError where their record is damaged."""
    try:
        return [str(one) for each in strict_json.read(directory.changes) for one in each["overrides"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{directory.changes}: is damaged ({error})") from None


def changes_among(configs: Sequence[Config]) -> list[list[Difference]]:
    """What changed in each of several runs, of one name as a rule: from its origin, and between their origins.

    Where a file was edited between two runs, or a run has no record of its origin, the options by which the configs
    differ are named in each of the runs, with its own value as `after`, and None as `before`. Of one run it is what
    changed from its origin.
    """
    changed = [dict(each.changes) for each in configs]
    for path, among in varying([each.values for each in configs]).items():
        within = [_is_within(path, each.changes) for each in configs]
        start = [
            each.changes[path].before if path in each.changes else value
            for each, value in zip(configs, among, strict=True)
        ]
        for side in (True, False):
            members = [i for i, inside in enumerate(within) if inside == side and start[i] is not ABSENT]
            if all(start[i] == start[members[0]] for i in members):
                continue
            for i in members:
                changed[i].setdefault(path, Difference(path, None, among[i]))
    return [_in_order(each, config.values) for each, config in zip(changed, configs, strict=True)]


def _is_within(path: str, changes: Mapping[str, Difference]) -> bool:
    """Whether an option is one of a part that changed."""
    return any(path.startswith(f"{changed}.") for changed in changes)


def _in_order(changes: Mapping[str, Difference], values: Mapping[str, Any]) -> list[Difference]:
    """Changes in the order of the config, with the seed and the length last."""
    order = {path: place for place, path in enumerate(paths_of(values))}
    return sorted(changes.values(), key=lambda change: (change.path in LAST, order.get(change.path, len(order))))
