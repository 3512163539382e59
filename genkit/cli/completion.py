"""Completion on the command line: configs, runs, KEY=VALUE and parts. It imports no torch, so that it is quick."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from genkit.text import printable

Item = tuple[str, str]
"""A word, and the help that some shells show beside it."""
SCAFFOLD = Path(__file__).parents[1] / "scaffold"
CONFIGS, MODELS = (".yaml", ".yml"), (".safetensors",)


def configs(incomplete: str) -> list[Item]:
    """Configs: files, and the examples of genkit."""
    from genkit.examples import example, names

    own = [name for name in names() if name.startswith(incomplete)]
    each = [one for one in map(example, own) if one is not None]
    return [*_files(incomplete, CONFIGS), *((one.name, one.sentence) for one in each)]


def examples(incomplete: str) -> list[Item]:
    """The examples of genkit."""
    from genkit.examples import example, names

    return [(one.name, one.sentence) for one in map(example, names()) if one and one.name.startswith(incomplete)]


def runs(incomplete: str) -> list[Item]:
    """Runs: the names of those in runs/, the latest first, `last`, and files of models."""
    from genkit.record.run_names import LAST, names

    each = [(name, "a run") for name in names() if name == printable(name)]
    words = [*each, (LAST, "the run that was started last")] if each else []
    return [*(item for item in words if item[0].startswith(incomplete)), *_files(incomplete, MODELS)]


def sources(incomplete: str) -> list[Item]:
    """Runs, then configs."""
    named = dict(runs(incomplete))
    return list((named | dict(configs(incomplete)) | named).items())


def parts(incomplete: str) -> list[str]:
    """Parts as KIND/NAME, then their names alone."""
    from genkit.cli import options

    each = options.parts()
    words = [*each, *sorted({part.partition("/")[2] for part in each})]
    return [word for word in words if word.startswith(incomplete)]


def metrics(incomplete: str) -> list[str]:
    """The names of metrics."""
    return [part.removeprefix("metric/") for part in parts("metric/") if part.startswith(f"metric/{incomplete}")]


def kinds(incomplete: str) -> list[str]:
    """The kinds of plugins that genkit writes files for."""
    folder = SCAFFOLD / "kinds"
    return [kind for kind in sorted(path.stem for path in folder.glob("*.py")) if kind.startswith(incomplete)]


def systems(incomplete: str) -> list[str]:
    """The systems that genkit writes first configs for."""
    folder = SCAFFOLD / "systems"
    return [name for name in sorted(path.stem for path in folder.glob("*.yaml")) if name.startswith(incomplete)]


def splits(incomplete: str) -> list[str]:
    """The splits of data, and all of them."""
    return [split for split in ("train", "validation", "test", "all") if split.startswith(incomplete)]


def assignments(context: typer.Context, incomplete: str) -> list[Item]:
    """KEY=VALUE for the config or the run that is named before: keys, then the words that a value can be."""
    return _assignments(context, incomplete, "")


def data_assignments(context: typer.Context, incomplete: str) -> list[Item]:
    """As `assignments`, for options of the data alone."""
    return _assignments(context, incomplete, "data")


def _assignments(context: typer.Context, incomplete: str, group: str) -> list[Item]:
    from genkit.cli import options

    named = [value for value in context.params.values() if isinstance(value, Path)]
    values = options.values_of(options.config_named(named[0])) if named else {}
    each = {option.path: option for option in options.options(values) if _is_within(option.path, group)}
    key, equals, start = incomplete.partition("=")
    typed = _key_before(context, each)  # where the shell takes KEY, = and VALUE for three words
    if typed is not None:
        return [(word, "") for word in _values(each[typed]) if word.startswith(incomplete)]
    if equals:
        words = _values(each[key]) if key in each else ()
        return [(f"{key}={word}", "") for word in words if word.startswith(start)]
    keys = [(f"{path}=", option.what) for path, option in each.items() if path.startswith(incomplete)]
    if len(keys) == 1:  # a second word with the same start keeps shells from writing a blank after the sign
        keys += [(keys[0][0] + word, "as it is now") for word in _values(each[keys[0][0][:-1]])[:1]]
    return keys


def _is_within(path: str, group: str) -> bool:
    return not group or path == group or path.startswith(f"{group}.")


def _values(option: Any) -> list[str]:
    """The values to offer for an option, its present one first."""
    from genkit.cli.options import MISSING

    value = option.value.get("name", MISSING) if isinstance(option.value, dict) else option.value
    shown = [] if value is MISSING or (isinstance(value, list) and not value) else [_text(value)]
    return list(dict.fromkeys([*shown, *option.values]))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _key_before(context: typer.Context, keys: Iterable[str]) -> str | None:
    """The key whose value is to be completed, where the words before are KEY or KEY and `=`; None: none is."""
    before = next((value for value in reversed(context.params.values()) if isinstance(value, list)), [])
    words = [word for word in before if word != "="]
    return words[-1] if words and words[-1] in keys else None


def _files(incomplete: str, suffixes: Iterable[str]) -> Iterator[Item]:
    """Files with these suffixes, and folders, whose paths begin as typed."""
    folder, slash, start = incomplete.rpartition("/")
    with contextlib.suppress(OSError, RuntimeError):  # no such folder, or no such home
        for entry in sorted(Path(folder + slash or ".").expanduser().iterdir()):
            if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
                if entry.is_dir():
                    yield f"{folder}{slash}{entry.name}/", "a folder"
                elif entry.suffix in suffixes:
                    yield f"{folder}{slash}{entry.name}", "a file"
