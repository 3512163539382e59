"""A run from its config to its weights and pictures, and the same run taken up again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from genkit import atomic, checkpoint, config, pictures, processes, weights, yamlfile
from genkit.assembly import build
from genkit.check import check
from genkit.compilation import Plan, plan
from genkit.config import RunConfig
from genkit.data import Dataset, check_range
from genkit.data import load as load_data
from genkit.devices import check_precision, choose_device
from genkit.errors import ConfigError, GenkitError, RunError, WeightsError
from genkit.evaluation import Evaluation, evaluate
from genkit.events import Events, listening
from genkit.model import Model
from genkit.provenance import explained, warn_of_changes
from genkit.rundir import RunDirectory
from genkit.scores import EpochRecord, Progress
from genkit.training import (
    Trainer,
    check_last_batch,
    fit,
    own_random_state,
    seed_everything,
)


@dataclass
class Run:
    """A run: what it was asked for, what it works on, and what came of it so far."""

    config: RunConfig
    directory: RunDirectory
    data: Dataset
    model: Model
    history: list[EpochRecord] = field(default_factory=list)
    plan: Plan | None = None
    """Whether its steps are compiled, and why; None before it starts."""
    evaluation: Evaluation | None = None
    """The figures of the test split, once training is over; None where there is no test split, or this process is not
    the first of several: only that one writes, evaluates and draws."""


def run(
    source: str | Path | Mapping[str, Any] | RunConfig,
    overrides: Iterable[str] = (),
    out: str | Path | None = None,
    listeners: Iterable[object] = (),
) -> Run:
    """Train what a config describes, evaluate it, draw its pictures and save its weights.

    Args:
        source: a YAML file, plain values, or a RunConfig.
        overrides: `key=value` assignments, as on the command line.
        out: the run's directory, which must not hold anything; by default a new one in runs/.
        listeners: objects with hook implementations that follow this run alone.

    Raises:
        GenkitError: see `genkit.errors`; a config or data error leaves nothing on disk.
    """
    run_config = as_config(source, overrides)
    try:
        device = _device(run_config)
        data, model = prepare(run_config)
    except GenkitError as error:
        raise _all_of(error, run_config) from None
    with processes.joined(device):
        path = _directory(run_config, None if out is None else Path(out)) if processes.leads() else None
        directory = RunDirectory(Path(processes.told(path, device)))
        return _train(Run(run_config, directory, data, model), device, listeners)


def _all_of(error: GenkitError, run_config: RunConfig) -> GenkitError:
    """The same error, with all else that is wrong."""
    found = check(run_config, probe=False).errors
    return type(error)("\n".join(found)) if found else error


def resume(path: str | Path, epochs: int | None = None, listeners: Iterable[object] = ()) -> Run:
    """Go on with an interrupted run from its last whole epoch; the result is that of a run never interrupted.

    Warns (GenkitWarning) where a plugin is here in another version, or with other code, than the run began with.

    Args:
        path: the run's directory.
        epochs: train up to so many epochs instead of the number in the config.
        listeners: as for `run`.

    Raises:
        RunError: it is no run, or it is finished.
        ComponentError: a plugin that it began with is not here, or is too different; with the pip install line.
    """
    directory = RunDirectory.open(path)
    run_config = directory.load_config()
    if epochs is not None:
        run_config = config.parse(run_config.resolved(), [f"training.epochs={epochs}"])
    done = checkpoint.epochs_done(directory.checkpoint)
    if directory.model.is_file() and done >= run_config.training.epochs:
        raise RunError(f"{path}: is finished after {done} epochs; to train longer, resume it with --epochs {2 * done}")
    warn_of_changes(directory.plugins(), path)
    device = _device(run_config)
    data, model = prepare(run_config)
    if epochs is not None and processes.leads():
        atomic.write_text(directory.config, yamlfile.write(run_config.resolved()))
    with processes.joined(device):
        return _train(Run(run_config, directory, data, model), device, listeners)


def as_config(source: str | Path | Mapping[str, Any] | RunConfig, overrides: Iterable[str] = ()) -> RunConfig:
    """The config that any of the accepted forms stands for."""
    if isinstance(source, str | Path):
        return config.load(source, overrides)
    values = source.resolved() if isinstance(source, RunConfig) else source
    return config.parse(values, overrides)


def prepare(run_config: RunConfig) -> tuple[Dataset, Model]:
    """The data of a config, and its model with fresh weights, each checked against the other."""
    data = load_data(run_config.data)
    with own_random_state():
        seed_everything(run_config.seed, 0)
        model = build(run_config, data.shape)
    for part in filter(None, (data.train, data.validation, data.test)):
        check_range(part.x, *model.likelihood.support, f"likelihood '{run_config.likelihood.name}'")
    check_last_batch(model, len(data.train.x), run_config.training.batch_size)
    model.data = data.signature(run_config.data.name)
    return data, model


def reopen(path: str | Path, overrides: Iterable[str] = ()) -> tuple[Model, Dataset]:
    """A trained model, and the data of its config, or others: `overrides` such as `data.root=DIR` or `data=NAME`.

    Raises:
        ConfigError: an override is of something else than the data.
        GenkitError: as loading the model and its data do.
    """
    model = weights.load(path)
    for assignment in overrides:
        if re.split(r"[.=\[]", assignment)[0] != "data":
            raise ConfigError(f"'{assignment}': only the data can be changed here: data=NAME or data.KEY=VALUE")
    assert model.config is not None
    return model, load_data(config.parse(model.config.resolved(), overrides).data)


def _directory(run_config: RunConfig, out: Path | None) -> str:
    """A new directory for a run; where torchrun starts the run anew after a failure, the one that it had."""
    found = RunDirectory.unfinished(run_config, out) if processes.restarted() else None
    return str((found or RunDirectory.create(run_config, out)).path)


def _train(run: Run, device: torch.device, listeners: Iterable[object]) -> Run:
    run.model.to(device)
    run.data = run.data.to(device)
    processes.share_normalization(run.model)
    run.plan = _plan(run, device)
    trainer = Trainer(run.model, run.config.training, run.plan.compiled)
    done = 0
    if run.directory.checkpoint.is_file():
        try:
            done = checkpoint.restore(run.directory.checkpoint, trainer)
        except WeightsError as error:
            raise explained(error, run.directory.plugins(), run.directory.path) from None
    processes.wait()  # nobody writes before all have read
    if not processes.leads():
        with own_random_state():
            run.history = list(fit(trainer, run.data, run.config.seed, first=done + 1))
        processes.part_company()
        return run
    run.history = run.directory.cut_history(done)
    events = Events(run)
    with own_random_state(), listening(listeners):
        try:
            _fit(run, trainer, done, events)
            processes.part_company()
            _finish(run)
            events.emit("run_ended")
        finally:
            events.emit("run_stopped")
    return run


def _device(run_config: RunConfig) -> torch.device:
    device = choose_device(run_config.training.device)
    check_precision(run_config.training.precision, device)
    return device


def _plan(run: Run, device: torch.device) -> Plan:
    training, x = run.config.training, run.data.train.x
    size = min(training.batch_size, len(x))
    steps = training.epochs * math.ceil(len(x) / size)
    return plan(training.compile, run.model, device, steps, size * math.prod(x.shape[1:]))


def _fit(run: Run, trainer: Trainer, done: int, events: Events) -> None:
    events.emit("run_started")

    def report(progress: Progress) -> None:
        events.emit("step_ended", progress=progress)

    for record in fit(trainer, run.data, run.config.seed, first=done + 1, report=report):
        run.directory.append_metrics(record)
        checkpoint.save(run.directory.checkpoint, trainer, record.epoch)
        run.history.append(record)  # only now: what it holds is what an interruption keeps
        events.emit("epoch_ended", record=record)


def _finish(run: Run) -> None:
    """Figures and pictures; the weights last, so that their file says that the run is whole."""
    run.model.eval()
    if run.data.test is not None:
        run.evaluation = evaluate(run.model, run.data, seed=run.config.seed)
        atomic.write_text(run.directory.evaluation, json.dumps(run.evaluation.to_json(), indent=2) + "\n")
    pictures.draw_all(run.model, run.data, run.history, run.directory.pictures)
    weights.save(run.directory.model, run.model)
