"""Running and resuming: a run from its config to its weights and pictures."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from genkit.config import RunConfig
from genkit.errors import GenkitError, RunError, WeightsError
from genkit.evaluation.figures import evaluate
from genkit.files import atomic, strict_json
from genkit.parallel import group, normalization
from genkit.pictures import plots
from genkit.record.directory import RunDirectory
from genkit.record.run import Run
from genkit.record.scores import Progress
from genkit.registry.provenance import explained, warn_of_changes
from genkit.runs.events import Events
from genkit.runs.opening import (
    as_config,
    config_of,
    create_directory,
    prepare,
    recorded_plugins,
    started_in,
    unfinished_directory,
)
from genkit.runs.preflight import check
from genkit.settings import yaml
from genkit.sharing import weights
from genkit.speed.compiled import Plan, plan
from genkit.speed.pieces import import_compiler
from genkit.training import checkpoint
from genkit.training.devices import check_precision, choose_device
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state
from genkit.training.trainer import Trainer


def run(
    source: str | Path | Mapping[str, Any] | RunConfig,
    overrides: Iterable[str] = (),
    out: str | Path | None = None,
    listeners: Iterable[object] = (),
) -> Run:
    """Train the model of a config, evaluate it, draw its pictures and save its weights.

    Args:
        source: a YAML file, plain values, or a RunConfig.
        overrides: `key=value` assignments, as on the command line.
        out: the run's directory, which must be empty or new; by default a new one in runs/.
        listeners: objects that follow this run, with methods named as the events in `genkit.registry.hooks`; one with
            `should_stop` may end training early.

    Raises:
        GenkitError: see `genkit.errors`; a config or data error leaves nothing on disk.
    """
    run_config = as_config(source, overrides)
    try:
        device = _device(run_config)
        data, model = prepare(run_config)
    except GenkitError as error:
        raise _all_of(error, run_config) from None
    with _joined(run_config, device) as messages:
        path = _directory(run_config, None if out is None else Path(out)) if group.is_leader() else None
        directory = RunDirectory(Path(messages.broadcast_text("directory", path)))
        return _train(Run(run_config, directory, data, model), device, listeners)


def _all_of(error: GenkitError, run_config: RunConfig) -> GenkitError:
    """The same error, with all other faults of the config."""
    problems = check(run_config, probe=False).errors
    return type(error)(*problems) if problems else error


def resume(path: str | Path, epochs: int | None = None, listeners: Iterable[object] = ()) -> Run:
    """Resume an interrupted run after its last whole epoch; the result is that of a run without interruption.

    Warns (GenkitWarning) where a plugin has another version or other code here than the run began with.

    Args:
        path: the run's directory.
        epochs: the number of epochs in all; None: the number in the config.
        listeners: objects that follow this run, as for `run`.

    Raises:
        RunError: the directory is no run's, or the run is finished.
        ComponentError: a plugin that the run began with is missing, or too different; with the pip command.
    """
    directory = RunDirectory.open(path)
    run_config = config_of(directory)
    if epochs is not None:
        run_config = as_config(run_config, [f"training.epochs={epochs}"])
    done = checkpoint.epochs_done(directory.checkpoint)
    stopped_early = epochs is None and directory.stopped_after() == done
    if directory.model.is_file() and (stopped_early or done >= run_config.training.epochs):
        raise RunError(f"{path}: is finished after {done} epochs; to train longer, resume it with --epochs {2 * done}")
    warn_of_changes(recorded_plugins(directory), path, run_config.plugins)
    device = _device(run_config)
    data, model = prepare(run_config, started_in(directory))
    if epochs is not None and group.is_leader():
        atomic.write_text(directory.config, yaml.write(run_config.resolved()))
        directory.stopped.unlink(missing_ok=True)
    with _joined(run_config, device):
        return _train(Run(run_config, directory, data, model), device, listeners)


def _joined(run_config: RunConfig, device: torch.device) -> contextlib.AbstractContextManager[group.Messages]:
    """The group of the processes that torchrun started, if it did."""
    if group.started() and run_config.training.compile is not False:
        import_compiler()
    return group.joined(device)


def _directory(run_config: RunConfig, out: Path | None) -> str:
    """A new directory for a run; the run's earlier one where torchrun restarts it after a failure."""
    unfinished = unfinished_directory(run_config, out) if group.restarted() else None
    return str((unfinished or create_directory(run_config, out)).path)


def _train(run: Run, device: torch.device, listeners: Iterable[object]) -> Run:
    run.model.to(device)
    run.data = run.data.to(device)
    normalization.share_normalization(run.model)
    run.plan = _plan(run, device)
    trainer = Trainer(run.model, run.config.training, run.plan.compiled)
    done = 0
    if run.directory.checkpoint.is_file():
        try:
            done = checkpoint.restore(run.directory.checkpoint, trainer)
        except WeightsError as error:
            raise explained(error, recorded_plugins(run.directory), run.directory.path, run.config.plugins) from None
    first = done + 1 if run.directory.stopped_after() != done else run.config.training.epochs + 1
    group.wait()  # no process writes before all have read
    if not group.is_leader():
        with own_random_state():
            run.history = list(fit(trainer, run.data, run.config.seed, first))
        group.leave_group()
        return run
    run.history = run.directory.cut_history(done)
    events = Events(run, listeners)
    trainer.stops.append(events.should_stop)
    with own_random_state():
        try:
            events.begin()
            _fit(run, trainer, first, events)
            group.leave_group()
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


def _fit(run: Run, trainer: Trainer, first: int, events: Events) -> None:
    """Train, and write each epoch's figures and checkpoint before anybody hears of it."""

    def report(progress: Progress) -> None:
        events.emit("step_ended", progress=progress)

    for record in fit(trainer, run.data, run.config.seed, first, report):
        run.directory.append_metrics(record)
        checkpoint.save(run.directory.checkpoint, trainer, record.epoch)
        run.history.append(record)  # only now, so that the history is what an interruption leaves on disk
        events.emit("epoch_ended", record=record)
    if events.stopped_by is not None and len(run.history) < run.config.training.epochs:
        stop = {"epoch": len(run.history), "by": events.stopped_by}
        atomic.write_text(run.directory.stopped, strict_json.dumps(stop) + "\n")


def _finish(run: Run) -> None:
    """Write figures, pictures and, last, the weights: their file shows that the run is complete."""
    run.model.eval()
    if run.data.test is not None:
        run.evaluation = evaluate(run.model, run.data, seed=run.config.seed)
        atomic.write_text(run.directory.evaluation, strict_json.dumps(run.evaluation.to_json(), indent=2) + "\n")
    plots.draw_all(run.model, run.data, run.history, run.directory.pictures)
    weights.save(run.directory.model, run.model)
