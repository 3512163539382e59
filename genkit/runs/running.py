"""Running and resuming: a run from its config to its weights and pictures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genkit import config
from genkit.config import RunConfig
from genkit.errors import GenkitError, RunError
from genkit.files import atomic, strict_json
from genkit.files.lock import locked
from genkit.model.model import Model
from genkit.parallel import group
from genkit.parallel.cores import Usage
from genkit.record.directory import RunDirectory
from genkit.record.run import Run
from genkit.record.stages import STAGES
from genkit.registry.provenance import warn_of_changes
from genkit.registry.registry import installed
from genkit.runs import changes
from genkit.runs.opening import (
    as_config,
    config_of,
    prepare,
    recorded_plugins,
    started_in,
    write_environment,
)
from genkit.runs.origins import origin_from
from genkit.runs.placing import placed_lines
from genkit.runs.preflight import check
from genkit.runs.session import train
from genkit.runs.starting import check_origin, start_from_trained
from genkit.runs.together import joined, opened, shared_directory
from genkit.sharing import weights
from genkit.training import checkpoint
from genkit.training.devices import check_precision, choose_device
from genkit.training.monitor import Monitor


def run(
    source: str | Path | Mapping[str, Any] | RunConfig,
    overrides: Iterable[str] = (),
    out: str | Path | None = None,
    listeners: Iterable[object] = (),
    until: tuple[int, int] | None = None,
) -> Run:
    """Train the model of a config, save its weights, evaluate it and draw its pictures.

    Args:
        source: a YAML file, plain values in nested mappings, or a RunConfig.
        overrides: `key=value` assignments, as on the command line.
        out: the run's directory, which must be empty or new; by default a new one in runs/.
        listeners: objects that follow this run, with methods named as the events in `genkit.registry.hooks`; one with
            `should_stop` may end training early.
        until: whole epochs and further steps after which the run is left as if it were interrupted; None: to its end.

    Raises:
        GenkitError: see `genkit.errors`; a config or data error leaves nothing on disk.
    """
    overrides = list(overrides)
    run_config, since = as_config(source, overrides), Usage.now()
    try:
        device = _device(run_config)
        data, model = prepare(run_config)
        trained = start_from_trained(model, run_config)
    except GenkitError as error:
        raise _all_of(error, run_config, partial(placed_lines, source=source, overrides=overrides)) from None
    with contextlib.ExitStack() as stack:
        messages, threads = stack.enter_context(joined(run_config, device, since, model))
        place, origin = None if out is None else Path(out), origin_from(source, overrides, run_config)
        directory = stack.enter_context(shared_directory(run_config, place, messages, origin))
        if trained is not None and group.is_leader():
            atomic.write_text(directory.init, strict_json.dumps(trained) + "\n")
        return train(Run(run_config, directory, data, model, threads=threads.note), device, listeners, until)


def _all_of(error: GenkitError, run_config: RunConfig, placing: Callable[[Iterable[str]], list[str]]) -> GenkitError:
    """The same error, with all other faults of the config, each with its place."""
    return type(error)(*placing(check(run_config, probe=False).errors or error.args))


def resume(
    path: str | Path,
    epochs: int | None = None,
    listeners: Iterable[object] = (),
    overrides: Iterable[str] = (),
    accept_changes: bool = False,
    until: tuple[int, int] | None = None,
) -> Run:
    """Resume a run where it stands, as if it had never been interrupted; warns (GenkitWarning) of changed plugins.

    Args:
        path: the run's directory.
        epochs: the number of epochs in all; None: the number in the config.
        listeners: as for `run`.
        overrides: `key=value` assignments that hold from here on; the run records them.
        accept_changes: whether to warn of changed data and a changed config instead of refusing them.
        until: as for `run`.

    Raises:
        RunError: the directory is no run's, is finished, is written by another process, or its data or config changed.
        ComponentError: a plugin that the run began with is missing, or too different; with the pip command.
    """
    directory, since = opened(path), Usage.now()
    overrides = [*overrides, *([] if epochs is None else [f"training.epochs={epochs}"])]
    with _locked(directory):
        point = checkpoint.read(directory.checkpoint)
        header = None if point is None else weights.header_of(point.path, point.metadata)
        run_config = _resumed_config(directory, header, overrides, accept_changes)
        stand = _Length(run_config, (0, 0) if point is None else point.place, header)
        _check_unfinished(directory, stand, asked=bool(overrides))
        warn_of_changes(recorded_plugins(directory), path, run_config.plugins)
        device, (data, model) = _device(run_config), prepare(run_config, started_in(directory))
        _check_data(directory, header, model, accept_changes or any(each.startswith("data") for each in overrides))
        _check_weights(directory, point, model, accept_changes)
        if group.is_leader():
            _record(directory, run_config, stand, overrides + _other_plugins(header, run_config))
        with joined(run_config, device, since, model, directory) as (_, threads):
            return train(Run(run_config, directory, data, model, threads=threads.note), device, listeners, until)


def _locked(directory: RunDirectory) -> contextlib.AbstractContextManager[None]:
    return locked(directory.path) if group.is_leader() else contextlib.nullcontext()


def _resumed_config(
    directory: RunDirectory, header: weights.Header | None, overrides: Iterable[str], accept: bool
) -> RunConfig:
    """The config of a run with overrides; raises RunError where it changed since the checkpoint with this header."""
    run_config = config_of(directory)
    if header is not None:
        recorded = config.parse(header.config, installed, changes.overrides_of(directory), str(directory.checkpoint))
        changes.check_config(recorded, run_config, directory, accept)
    return as_config(run_config, overrides)


def _check_data(directory: RunDirectory, header: weights.Header | None, model: Model, accept: bool) -> None:
    """Refuse data that are not those of the checkpoint with this header."""
    if header is not None:
        changes.check_data(header.data, model.data, directory.path, accept)


def _other_plugins(header: weights.Header | None, run_config: RunConfig) -> list[str]:
    """The override that says which plugins a run goes on with, where a file took the place of the checkpoint's."""
    recorded, wanted = None if header is None else header.config.get("plugins"), run_config.plugins
    if not isinstance(recorded, list) or isinstance(wanted, str) or tuple(recorded) == wanted:
        return []
    return [f"plugins=[{', '.join(wanted)}]"]


class _Length:
    """How long a run trains, and where it stands.

    Args:
        run_config: the config of the run.
        place: the numbers of whole epochs and of steps after them that are done.
        header: the header of the checkpoint, which knows the number of training data; None: there is none.
    """

    def __init__(self, run_config: RunConfig, place: tuple[int, int], header: weights.Header | None) -> None:
        self.place = place
        count = None if header is None else header.data.counts.get("train")
        training, number = run_config.training, count or 1
        whole, further = place if count else (place[0], 0)
        self.epochs = training.epochs_over(number)
        self.by_steps = training.steps is not None
        self.most = training.steps_over(number)
        self.done = whole * training.steps_per_epoch(number) + further
        self.last_epoch = whole + (further > 0)
        """The epoch whose weights these are."""

    @property
    def text(self) -> str:
        """What is done, in words."""
        return f"{self.done} steps" if self.by_steps else f"{self.last_epoch} epochs"


def _check_unfinished(directory: RunDirectory, length: _Length, asked: bool) -> None:
    """Refuse a run with nothing left to do, and a length below what is done; `asked`: whether options were given."""
    if length.done > length.most:
        option = f"training.steps: {length.most}" if length.by_steps else f"training.epochs: {length.epochs}"
        raise RunError(f"{directory.path}: {length.text} are done already, more than {option}")
    stopped_early = not asked and directory.stopped_after() == length.last_epoch
    if (length.done == length.most or stopped_early) and directory.stages.done(length.last_epoch) == list(STAGES):
        option = f"training.steps={2 * length.done}" if length.by_steps else f"--epochs {2 * length.last_epoch}"
        message = f"is finished after {length.text}; to train longer, resume it with {option}"
        raise RunError(f"{directory.path}: {message}")


def _check_weights(directory: RunDirectory, point: checkpoint.Checkpoint | None, model: Model, accept: bool) -> None:
    """Refuse a run that its config ends at its checkpoint; without one, give it the weights that it starts from."""
    if point is not None:
        _check_stop(directory, point, model)
        return
    assert model.config is not None
    check_origin(directory, start_from_trained(model, model.config, started_in(directory)), accept)


def _check_stop(directory: RunDirectory, point: checkpoint.Checkpoint, model: Model) -> None:
    """Refuse a finished run that its config ends where it stands, whatever its number of epochs."""
    assert model.config is not None
    options, state = model.config.training.stop, point.state("stop")
    if options is None or not state or directory.stages.done(point.epoch) != list(STAGES):
        return
    stopping = Monitor.of(model, options)
    with contextlib.suppress(ValueError, KeyError, TypeError):  # a damaged state is named when it is restored
        stopping.load_state_dict(state)
    if stopping.exhausted:
        longer = "to train longer, give it more training.stop.patience, or training.stop=null"
        raise RunError(f"{directory.path}: is finished after {point.epoch} epochs, by training.stop; {longer}")


def _record(directory: RunDirectory, run_config: RunConfig, length: _Length, overrides: Sequence[str]) -> None:
    """Write what a resumed run records before it goes on."""
    change = changes.Change(*length.place, overrides)
    directory.sweep()
    if not directory.environment.is_file():
        write_environment(directory, run_config)
    if change.overrides:
        changes.record(directory, change)
        directory.stopped.unlink(missing_ok=True)
    if length.done < length.most and directory.stopped_after() != change.epoch:
        directory.stages.begin(change.epoch)


def _device(run_config: RunConfig) -> torch.device:
    device = choose_device(run_config.training.device)
    check_precision(run_config.training.precision, device)
    return device
