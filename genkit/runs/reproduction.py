"""Reproductions: a run is run again, with the options that it was given meanwhile, and compared bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genkit import config
from genkit.config import RunConfig
from genkit.data.paths import anchored
from genkit.errors import RunError
from genkit.files import strict_json
from genkit.files.tensors import read_tensors
from genkit.record.directory import RunDirectory
from genkit.record.scores import EpochRecord
from genkit.registry.choices import complete
from genkit.runs.changes import changes_of, check_data, differences
from genkit.runs.opening import started_in
from genkit.runs.running import resume, run
from genkit.runs.starting import anchored_init
from genkit.runs.threads import recorded_in
from genkit.sharing import weights

CLOCK = ("seconds", "examples_per_second")
"""The values of an epoch's record that no run repeats."""


@dataclass(frozen=True)
class Reproduction:
    """A run beside its repetition."""

    tensors: int
    """The number of tensors of the model."""
    figures: int
    """The number of figures of the test split."""
    epochs: int
    """The number of epochs whose figures are compared."""
    different: list[str]
    """What differs, a line each; empty: all is equal bit for bit."""
    environment: list[str]
    """What differs in the environments of the two, such as versions."""


def reproduce(path: str | Path, out: str | Path | None = None) -> Reproduction:
    """Run a finished run again, from its config and the options of its resumptions, and compare the two.

    Args:
        path: the run's directory.
        out: the directory of the repetition; by default it is removed afterwards.

    Raises:
        RunError: the run is not finished, or its data are not those of its training.
        GenkitError: the run cannot be run again here.
    """
    directory = RunDirectory.open(path)
    if not directory.model.is_file():
        raise RunError(f"{path}: is not finished, so there is nothing to compare with; genkit resume {path}")
    with tempfile.TemporaryDirectory() as temporary:
        again = _repeated(directory, Path(temporary) / "run" if out is None else Path(out))
        return _compared(directory, again)


def _repeated(directory: RunDirectory, out: Path) -> RunDirectory:
    """Run the run again in a new directory, with a stop wherever the run was given other options."""
    first = config.load(directory.config, complete)
    folder = started_in(directory)
    first = first.model_copy(update={"data": anchored(first.data, folder), "init": anchored_init(first.init, folder)})
    first = _on_threads_of(first, directory)
    options: dict[tuple[int, int], list[str]] = {(0, 0): []}
    for change in changes_of(directory):
        options.setdefault((change.epoch, change.step), []).extend(change.overrides)
    begin, *later = options
    run(first, options[begin], out=out, until=later[0] if later else None)
    check_data(weights.read_header(directory.model).data, _signature(out), directory.path, accept=False)
    for place, end in zip(later, [*later[1:], None], strict=False):
        resume(out, overrides=options[place], until=end)
    return RunDirectory(out)


def _on_threads_of(run_config: RunConfig, directory: RunDirectory) -> RunConfig:
    """The config with the number of threads that the run was begun with, where it is recorded."""
    threads = recorded_in(directory)
    if threads is None:
        return run_config
    training = run_config.training.model_copy(update={"threads": threads})
    return run_config.model_copy(update={"training": training})


def _signature(out: Path) -> Any:
    """The data's signature in the model or the checkpoint of a run."""
    there = RunDirectory(out)
    return weights.read_header(there.model if there.model.is_file() else there.checkpoint).data


def _compared(one: RunDirectory, other: RunDirectory) -> Reproduction:
    (tensors, _), (others, _) = read_tensors(one.model), read_tensors(other.model)
    different = [
        line for name in sorted(tensors.keys() | others) if (line := _difference(name, tensors, others)) is not None
    ]
    figures, again = _read(one.evaluation), _read(other.evaluation)
    different += [f"evaluation.json, {line}" for line in differences(figures, again)]
    records, repeated = one.history(), other.history()
    if len(records) != len(repeated):
        different.append(f"metrics.jsonl: {len(records)} epochs, now {len(repeated)}")
    for first, second in zip(records, repeated, strict=False):
        lines = differences(_unclocked(first), _unclocked(second))
        different += [f"metrics.jsonl, epoch {first.epoch}, {line}" for line in lines]
    environment = differences(_read(one.environment), _read(other.environment))
    return Reproduction(len(tensors), len(figures), len(records), different, environment)


def _unclocked(record: EpochRecord) -> dict[str, Any]:
    return {name: value for name, value in record.to_json().items() if name not in CLOCK}


def _difference(name: str, tensors: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]) -> str | None:
    if name not in tensors or name not in others:
        return f"model.safetensors, {name}: is in one of the two alone"
    one, other = tensors[name], others[name]
    if one.shape != other.shape or one.dtype != other.dtype:
        return f"model.safetensors, {name}: {one.dtype} {tuple(one.shape)}, now {other.dtype} {tuple(other.shape)}"
    if torch.equal(one, other):
        return None
    return f"model.safetensors, {name}: differs by up to {float((one.double() - other.double()).abs().max()):.3g}"


def _read(path: Path) -> dict[str, Any]:
    try:
        values = strict_json.read(path) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: is damaged ({error})") from None
    return values if isinstance(values, dict) else {}
