"""Runs in MLflow: the options, figures, pictures and weights of a run."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genkit.files import atomic
from genkit.record.run import Run
from genkit.record.scores import EpochRecord, Scores

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

EXPERIMENT = "genkit"
RECORD = "mlflow.json"
"""The file in the run's directory that holds the id of the MLflow run."""
SECONDS_BETWEEN_WRITES = 1.0
LONGEST_VALUE = 5000
"""The most characters of a parameter or tag that MLflow's stores take."""
PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000
"""How many parameters and metrics MLflow takes in one request."""


class RunTracker:
    """One run in MLflow: a new one, or the earlier one of a resumed run.

    Args:
        run: the run, whose directory keeps the id of the MLflow run.
    """

    def __init__(self, run: Run) -> None:
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it reports every table that it creates
        self.run = run
        self.client = MlflowClient(tracking_uri=_store(run))
        self.finished = False
        self.written_at = float("-inf")
        self.id = self._earlier(run)
        self.epochs = 0
        """The number of epochs that are written."""
        if self.id is None:
            self.id = self._new(run)
        else:
            self._go_on(run)
        self.client.log_artifact(self.id, str(run.directory.config))

    def write_epochs(self, now: bool = False) -> None:
        """Write the new records, unless the last write was less than a second ago and `now` is false."""
        if not now and time.monotonic() - self.written_at < SECONDS_BETWEEN_WRITES:
            return
        stamp = int(time.time() * 1000)
        fresh = [record for record in self.run.history if record.epoch > self.epochs]
        self._write([Metric(name, value, stamp, record.epoch) for record in fresh for name, value in _figures(record)])
        self.epochs = len(self.run.history)
        self.written_at = time.monotonic()

    def write_end(self) -> None:
        """Write the figures of the test split, pictures and weights."""
        run = self.run
        self.write_epochs(now=True)
        figures = run.evaluation.to_json() if run.evaluation is not None else {}
        split, stamp, epoch = figures.get("split"), int(time.time() * 1000), run.history[-1].epoch
        numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
        numbers |= {figure.key: figure.value for figure in run.figures()}
        self._write([Metric(f"{split}/{name}", float(value), stamp, epoch) for name, value in numbers.items()])
        for path in (run.directory.config, run.directory.changes, run.directory.model):
            if path.is_file():
                self.client.log_artifact(self.id, str(path))
        if run.directory.pictures.is_dir():
            self.client.log_artifacts(self.id, str(run.directory.pictures), "pictures")
        self.finished = True

    def close(self, error: BaseException | None) -> None:
        """Write how the run ended; `error` is the error that stopped it, if any."""
        self.write_epochs(now=True)
        if self.finished:
            self.client.set_terminated(self.id, "FINISHED")
            return
        if error is not None:
            message = f"{type(error).__name__}: {error}"
            self.client.set_tag(self.id, "genkit.error", message[:LONGEST_VALUE])
        self.client.set_terminated(self.id, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")

    def _earlier(self, run: Run) -> str | None:
        """MLflow's id of the run that is resumed; None for a new run, or if this store does not have it."""
        record = run.directory.path / RECORD
        if not record.is_file():
            return None
        try:
            run_id = str(json.loads(record.read_text(encoding="utf-8"))["run_id"])
            self.client.get_run(run_id)
        except (ValueError, TypeError, KeyError, MlflowException):
            return None
        return run_id

    def _new(self, run: Run) -> str:
        tags = {name: value[:LONGEST_VALUE] for name, value in _provenance(run).items()}
        created = self.client.create_run(self._experiment(run), run_name=run.directory.path.resolve().name, tags=tags)
        run_id = str(created.info.run_id)
        atomic.write_text(run.directory.path / RECORD, json.dumps({"run_id": run_id}) + "\n")
        options = [Param(name, value[:LONGEST_VALUE]) for name, value in _options(run).items()]
        for first in range(0, len(options), PARAMS_AT_ONCE):
            self.client.log_batch(run_id, params=options[first : first + PARAMS_AT_ONCE])
        return run_id

    def _go_on(self, run: Run) -> None:
        """Continue an earlier MLflow run; epochs that it lacks are written with the next one."""
        params = self.client.get_run(self.id).data.params
        changed = {name: value[:LONGEST_VALUE] for name, value in _options(run).items()}
        tags = [RunTag(f"resumed.{name}", value) for name, value in changed.items() if params.get(name) != value]
        self.client.log_batch(self.id, tags=tags)
        self.client.update_run(self.id, status="RUNNING")
        self.epochs = max((metric.step for metric in self.client.get_metric_history(self.id, "train/loss")), default=0)

    def _experiment(self, run: Run) -> str:
        """The id of the experiment, created if there is none; a local store keeps artifacts beside its database."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        experiment = self.client.get_experiment_by_name(name)
        if experiment is not None:
            return str(experiment.experiment_id)
        own = None if os.environ.get("MLFLOW_TRACKING_URI") else (_folder(run) / "artifacts").as_uri()
        return str(self.client.create_experiment(name, artifact_location=own))

    def _write(self, metrics: list[Metric]) -> None:
        for first in range(0, len(metrics), METRICS_AT_ONCE):
            self.client.log_batch(self.id, metrics=metrics[first : first + METRICS_AT_ONCE])


def _folder(run: Run) -> Path:
    return run.directory.path.resolve().parent / "mlruns"


def _store(run: Run) -> str:
    """The address of MLflow's store: from its own variable, otherwise a database beside the run."""
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        return uri
    _folder(run).mkdir(exist_ok=True)
    return f"sqlite:///{(_folder(run) / 'mlflow.db').as_posix()}"


def _options(run: Run) -> dict[str, str]:
    """Every option of the resolved config: `encoder.hidden`, `loss.kl.weight`."""
    options = run.config.resolved()
    options["loss"] = dict(zip(run.model.losses, options["loss"], strict=True))
    return dict(_flat(options))


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value if isinstance(value, str) else json.dumps(value)


def _provenance(run: Run) -> dict[str, str]:
    """Tags with the distributions that the run used, from its environment.json."""
    environment = json.loads(run.directory.environment.read_text(encoding="utf-8"))
    tags = {f"genkit.version.{name}": str(version) for name, version in environment["versions"].items()}
    for plugin in environment["plugins"]:
        parts = ", ".join(plugin["components"])
        tags[f"genkit.plugin.{plugin['distribution'] or 'this process'}"] = f"{plugin['version']}: {parts}"
    return {**tags, "genkit.directory": str(run.directory.path.resolve())}


def _figures(record: EpochRecord) -> Iterator[tuple[str, float]]:
    """The figures of an epoch by name: each term unweighted, its weight, the true ELBO, learning rate, throughput."""
    for split, scores in (("train", record.train), ("validation", record.validation)):
        if scores is not None:
            yield from _scores(split, scores)
    for name, weight in record.weights.items():
        yield f"weight/{name}", weight
    yield "training/learning_rate", record.lr
    yield "training/examples_per_second", record.examples_per_second


def _scores(split: str, scores: Scores) -> Iterator[tuple[str, float]]:
    yield f"{split}/loss", scores.loss
    for name, value in scores.terms.items():
        yield f"{split}/term/{name}", value
    for name, value in scores.critics.items():
        yield f"{split}/critic/{name}", value
    for name in ("elbo", "reconstruction", "kl"):
        figure = getattr(scores, name)
        if figure is not None:
            yield f"{split}/{name}", figure
