"""Overviews of runs: what is in their directories, read from JSON and YAML alone, so that a folder of runs is quick."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from genkit.errors import GenkitError, RunError, in_a_line
from genkit.files import strict_json
from genkit.record.directory import CONFIG_FILE, MODEL_FILE, RunDirectory
from genkit.record.origin import Config, changes_among, config_of
from genkit.record.state import State, Word, state_of
from genkit.settings.differences import Difference, paths_of, short

DEEPEST = 3
"""How many levels of folders below the first are looked through for runs."""
TRACES = (CONFIG_FILE, "metrics.jsonl", MODEL_FILE)
"""Files by which a directory is that of a run, whatever of it is lost."""
TEST, VALIDATION, TRAINING = "test", "validation", "train"
OF_AN_EPOCH = ("elbo", "loss", "reconstruction", "kl")
"""The figures of an epoch."""
TAIL = 2**18
"""The number of bytes at the end of a file of metrics in which the last epoch is looked for."""
NO_FIGURES = ("count", "draws", "latents")
"""Numbers of an evaluation that say how it was made."""


@dataclass(frozen=True)
class Overview:
    """What the directory of a run says of it."""

    path: Path
    name: str
    """The name in its config; of a damaged run that of its directory."""
    state: State | None
    """None: the run is damaged."""
    problem: str = ""
    """The error that ended it, or what of it is damaged; else empty."""
    started: float | None = None
    """Seconds since 1970, in UTC."""
    epochs: int = 0
    """The number of epochs done."""
    split: str | None = None
    """The split that the figures are of: `test` after the run's evaluation, else that of its last epoch; None: none."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """The figures by their keys: `elbo` where the model has one, and those of metrics, such as `nll`."""
    loss: float | None = None
    """The objective over the last epoch, of the validation data where there are some."""
    own_units: str | None = None
    """The transform in whose units the densities are, so that they rank no models; None: in the data's units."""
    changes: tuple[Difference, ...] = ()
    """What changed from the config that it was started from, and from other runs of its name."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The shortest names of the options that changed, by their paths: `latent` for `sampler.latent`."""

    @property
    def word(self) -> str:
        """The word for its state."""
        return "damaged" if self.state is None else str(self.state.word)

    def to_json(self) -> dict[str, Any]:
        """Plain values; each change by its path, with the value that the run has."""
        return {
            "path": str(self.path),
            "name": self.name,
            "state": self.word,
            "problem": self.problem,
            "started": self.started,
            "epochs": self.epochs,
            "changes": {change.path: change.after for change in self.changes},
            "split": self.split,
            "figures": dict(self.figures),
            "loss": self.loss,
            "own_units": self.own_units,
        }


def overviews(folder: Path) -> list[Overview]:
    """The overviews of the runs in a folder and in folders below it, or of the run that it is, the newest first.

    Runs whose configs have one name are compared with each other: see `changes_among`.

    Raises:
        RunError: there is no such folder.
    """
    if not folder.is_dir():
        raise RunError(f"{folder}: there is no such folder; runs are where --out says, by default in runs/")
    entries = [_read(path) for path in ([folder] if _is_run(folder) else _runs_in(folder, DEEPEST))]
    each_run = [each for each, config in entries if config is None]
    named: dict[str, list[tuple[Overview, Config]]] = {}
    for each, config in entries:
        if config is not None:
            named.setdefault(each.name, []).append((each, config))
    for group in named.values():
        paths = {path for _, config in group for path in paths_of(config.values)}
        changed = changes_among([config for _, config in group])
        for (each, _), own in zip(group, changed, strict=True):
            labels = {change.path: short(change.path, paths) for change in own}
            each_run.append(replace(each, changes=tuple(own), labels=labels))
    return sorted(each_run, key=lambda each: (-(each.started or 0.0), str(each.path)))


def _runs_in(folder: Path, depth: int) -> Iterator[Path]:
    try:
        below = sorted(each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    except OSError:
        return
    for each in below:
        if _is_run(each):
            yield each
        elif depth > 1 and not each.is_symlink():
            yield from _runs_in(each, depth - 1)


def _is_run(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TRACES)


def _read(path: Path) -> tuple[Overview, Config | None]:
    """The overview of a run without its changes, and its config; of a damaged run without one."""
    directory, started = RunDirectory(path), _started(path)
    try:
        config, state = config_of(directory), state_of(directory)
        epochs, split, figures = _last_epoch(directory)
        loss, own_units = figures.pop("loss", None), None
        if state.word == Word.FINISHED and (evaluation := _evaluation(directory)):
            split, figures, own_units = TEST, _numbers(evaluation), evaluation.get("own_units")
        name = str(config.values.get("name", path.name))
        return Overview(path, name, state, state.reason, started, epochs, split, figures, loss, own_units), config
    except GenkitError as error:
        return Overview(path, path.name, None, "; ".join(str(error).splitlines()), started), None
    except Exception as error:  # whatever is wrong with it, the other runs are shown
        return Overview(path, path.name, None, in_a_line(error), started), None


def _started(path: Path) -> float | None:
    """When a run was started, by its own record or by the time of its files; None: neither can be read."""
    directory = RunDirectory(path)
    try:
        started = float(strict_json.read(directory.local)["started"])
        return started if math.isfinite(started) else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        with contextlib.suppress(OSError):
            return (directory.config if directory.config.exists() else path).stat().st_mtime
    return None


def _last_epoch(directory: RunDirectory) -> tuple[int, str | None, dict[str, float]]:
    """The number of a run's last epoch, the split of its figures, and these; earlier epochs are not read.

    Raises:
        RunError: no line can be read.
    """
    try:
        with directory.metrics.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return 0, None, {}
    for line in reversed(lines):  # the last one may be half written
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            record = strict_json.loads(line)
            split = TRAINING if record["validation"] is None else VALIDATION
            return int(record["epoch"]), split, _numbers({key: record[split].get(key) for key in OF_AN_EPOCH})
    if lines:
        raise RunError(f"{directory.metrics}: is damaged: no line of it is the record of an epoch")
    return 0, None, {}


def _evaluation(directory: RunDirectory) -> dict[str, Any]:
    """The evaluation on the test split; {}: there is none. RunError: it is damaged."""
    try:
        return dict(strict_json.read(directory.evaluation))
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise RunError(f"{directory.evaluation}: is damaged ({in_a_line(error)})") from None


def _numbers(values: Mapping[str, Any], above: str = "") -> dict[str, float]:
    """The figures among nested values by their keys: `elbo`, `code.l0`, of a metric `probe.accuracy`, or `nll`."""
    numbers: dict[str, float] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            numbers |= _numbers(value, "" if key == "metrics" and not above else f"{above}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            names = f"{above}{key}".split(".")
            numbers[names[0] if len(set(names)) == 1 else ".".join(names)] = value
    return {key: value for key, value in numbers.items() if key not in NO_FIGURES}


def figure_keys(runs: Iterable[Overview]) -> list[str]:
    """The keys of all figures of some runs, in their order."""
    return list(dict.fromkeys(key for each in runs for key in each.figures))
