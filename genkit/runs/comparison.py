"""Comparison of trained models on the same data: their costs, their figures, and the quality of their samples.

N data.
"""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genkit.data.dataset import Dataset, side_data
from genkit.data.extent import same_values
from genkit.data.steps import filled
from genkit.errors import DataError, GenkitWarning, MetricError, RunError
from genkit.evaluation.classifier import FEATURES, feature_network
from genkit.evaluation.figures import Evaluation, evaluate
from genkit.evaluation.metrics import lack, measure_each, named, usable
from genkit.evaluation.sample_quality import LEAST, SampleQuality, sample_quality
from genkit.interfaces import Metric
from genkit.interfaces.reader import Data, taken
from genkit.model.model import Model
from genkit.model.side import classes_in_turn
from genkit.record.directory import MODEL_FILE, RunDirectory
from genkit.runs.assignments import Overrides, assignments
from genkit.runs.compared import Compared as Compared
from genkit.runs.compared import Comparison as Comparison
from genkit.runs.compared import Entry as Entry
from genkit.runs.metrics import chosen
from genkit.runs.opening import reopen
from genkit.settings.differences import ABSENT, varying

MOST = 10_000


def compare(
    paths: Sequence[str | Path],
    overrides: Overrides = (),
    count: int = MOST,
    seed: int = 0,
    cache: Path | None = None,
    metrics: Iterable[str] = (),
) -> Compared:
    """Compare trained models on the test split of the data that they share, by the metrics of all of their configs.

    Args:
        paths: run directories, or model.safetensors files.
        overrides: other data for all models: data=NAME, data.KEY=VALUE.
        count: the number N of samples and of data to compare them with, fewer where a split has fewer.
        seed: the seed of the samples and of the ELBO's draws.
        cache: the folder for the network, as in `feature_network`.
        metrics: further metrics, and options of metrics, as on the command line: `nll`, `nll.draws=500`.

    Raises:
        MetricError: a metric fails, or applies to none of the models.
        RunError: there is no path, or one path occurs twice.
        DataError: the models have different data, or the data are too few.
        GenkitError: a model or its data cannot be loaded, as in `reopen`.
    """
    if not paths or len({_run_of(path).resolve() for path in paths}) < len(paths):
        raise RunError("compare takes at least one run, and each of them once")
    overrides = assignments(overrides)
    pairs = [reopen(path, overrides) for path in paths]
    data = pairs[0][1]
    for path, (model, other) in zip(paths, pairs, strict=True):
        _check_same(data, other, model, (paths[0], path))
    measured = _metrics_of([model for model, _ in pairs], data, metrics)
    judge = _Judge(data, count, seed, cache, measured)
    entries = [
        _entry(name, Path(path), model, judge, options)
        for name, path, (model, _), options in zip(_names(paths), paths, pairs, _options(pairs), strict=True)
    ]
    comparison = Comparison(tuple(entries), judge.floor(), judge.features())
    return Compared(comparison, tuple(model for model, _ in pairs), data, measured)


def _metrics_of(models: Sequence[Model], data: Dataset, asked: Iterable[str]) -> tuple[Metric.Config, ...]:
    """The metrics of all configs, each with its options once, and those asked for; MetricError: one fits no model."""
    configs = [model.config for model in models if model.config is not None]
    union: list[Metric.Config] = []
    for metric in usable(each for config in configs for each in config.metrics):
        if metric not in union:
            union.append(metric)
    metrics = chosen(configs[0], union, asked)
    for metric in metrics:
        reasons = [lack(model, [data.split("test"), data.train], metric) for model in models]
        if all(reasons):
            raise MetricError(reasons[0])
    return metrics


class _Judge:
    """Judges samples by N data of the test split, drawn at random where the split has more."""

    def __init__(
        self, data: Dataset, count: int, seed: int, cache: Path | None, metrics: Sequence[Metric.Config]
    ) -> None:
        self.data = data
        self.seed = seed
        self.metrics = metrics
        held_out = data.split("test")
        self.count = min(count, len(held_out.x), len(data.train.x))
        if self.count < LEAST:
            raise DataError(
                f"{self.count} data are too few to judge samples by, it takes {LEAST}: the least of -n ({count:,}), "
                f"the test split ({len(held_out.x):,}) and the training split ({len(data.train.x):,})"
            )
        self.network = feature_network(data, cache)
        self.real, self.looks = self.network.read(self._some(held_out.x))

    def of(self, x: Tensor, asked: Tensor | None = None) -> SampleQuality:
        """The quality of data x (N, *shape), taken as samples of the classes asked for (N,), if any."""
        features, looks = self.network.read(filled(x))
        both = None if looks is None or self.looks is None else (self.looks, looks)
        return sample_quality(self.real, features, both, self.network.classes, asked)

    def evaluation_of(self, model: Model, name: str) -> Evaluation:
        """The figures of a model, and its metrics that apply to it; one that fails is a warning (GenkitWarning)."""
        evaluation, splits = evaluate(model, self.data, seed=self.seed), [self.data.split("test"), self.data.train]
        fit = {key: one for key, one in named(self.metrics).items() if lack(model, splits, one) is None}
        values, errors = measure_each(model, self.data, fit, seed=self.seed)
        evaluation.metrics.update(values)
        for error in errors.values():
            warnings.warn(f"{name}: {error}", GenkitWarning, stacklevel=2)
        return evaluation

    def samples_of(self, model: Model) -> SampleQuality | None:
        """The quality of a model's samples, the means of p(x|z) for z from the prior; None where it gives none."""
        if not (model.has_prior and model.decodes):
            return None
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            return self.of(model.sample(self.count, False, **self._numbers(model)).cpu(), self._asked(model))

    def _numbers(self, model: Model) -> dict[str, Tensor]:
        """The side data of the judging data that are numbers, such as the depth of cells, which take no turns."""
        held_out = self.data.split("test")
        names = [name for name in model.decoder_inputs if model.schema.side[name].classes is None]
        return {name: self._some(values) for name, values in side_data(held_out, names).items()}

    def _asked(self, model: Model) -> Tensor | None:
        """The classes (N,) that the samples of a model were asked for; None where it takes none."""
        side = model.schema.side.get("labels") if "labels" in model.decoder_inputs else None
        return None if side is None or side.classes is None or side.shape else classes_in_turn(side, self.count)

    def floor(self) -> SampleQuality:
        """The quality of as many training data, taken as samples."""
        return self.of(self._some(self.data.train.x))

    def _some(self, x: Data) -> Tensor:
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(self.seed))
        return taken(x, order[: self.count])

    def features(self) -> str:
        """The features as text."""
        accuracy = self.network.accuracy(self.data.split("test"))
        if accuracy is None:
            return f"{FEATURES} features of a random network, as the training data have no classes to tell apart"
        return f"{FEATURES} features of a classifier of the data, right for {accuracy:.1%} of the test split"


def _check_same(data: Dataset, other: Dataset, model: Model, paths: tuple[str | Path, str | Path]) -> None:
    """Refuse a model that cannot be measured on the same data as the first; raises DataError."""
    remedy = "give data that fit all of them: data=NAME data.KEY=VALUE"
    if model.shape != data.shape:
        raise DataError(
            f"{paths[1]} is for data of shape {model.shape}, those of {paths[0]} have {data.shape}; {remedy}"
        )
    model.fitting(data.split("test").x)
    if data.binarize != other.binarize:
        raise DataError(f"{paths[0]} and {paths[1]}: one of them binarizes its data, so their ELBOs differ; {remedy}")
    if not same_values(data.split("test").x, other.split("test").x):
        raise DataError(f"{paths[0]} and {paths[1]} hold out different data for their tests; {remedy}")


def _options(pairs: Sequence[tuple[Model, Dataset]]) -> list[dict[str, Any]]:
    """The options by which the configs of models differ, of each model those that it has."""
    configs = [{} if model.config is None else model.config.resolved() for model, _ in pairs]
    varied = varying(configs).items()
    return [
        {path: values[place] for path, values in varied if values[place] is not ABSENT} for place in range(len(pairs))
    ]


def _entry(name: str, path: Path, model: Model, judge: _Judge, options: Mapping[str, Any]) -> Entry:
    history = RunDirectory(path).history() if path.is_dir() else []
    return Entry(
        name=name,
        path=str(path),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        epochs=len(history) or None,
        seconds=sum(record.seconds for record in history) if history else None,
        examples_per_second=statistics.median(r.examples_per_second for r in history) if history else None,
        evaluation=judge.evaluation_of(model, name),
        samples=judge.samples_of(model),
        options=options,
    )


def _run_of(path: str | Path) -> Path:
    """The directory of a run, from its own path or from the path of its weights."""
    path = Path(path)
    return path.absolute().parent if path.name == MODEL_FILE else path


def _names(paths: Sequence[str | Path]) -> list[str]:
    """The names of the runs, or their paths where two have the same name."""
    names = [_run_of(path).resolve().name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
