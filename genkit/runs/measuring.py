"""Figures and scores in Python: of a model, a run or a path, on a split by its name or on data.

N data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from genkit.data.dataset import Dataset
from genkit.data.steps import held
from genkit.errors import DataError, GenkitError, MetricError
from genkit.evaluation import figures, scoring
from genkit.evaluation.figures import Evaluation
from genkit.evaluation.metrics import descriptions, measure_each, named, usable
from genkit.evaluation.scoring import Scores
from genkit.interfaces import Metric, Reader, Split
from genkit.interfaces.component import MASK
from genkit.model.model import Model, as_tensor
from genkit.model.side import completed, own_side
from genkit.record.run import Run
from genkit.runs.metrics import chosen, missed
from genkit.runs.new_data import data_of
from genkit.sharing import weights

Trained = Model | Run | str | Path
"""A trained model: itself, its run, or the path of its run or file, or hf://USER/REPO."""
Held = str | Dataset | Split | Tensor | np.ndarray[Any, Any]
"""Data to measure a model on: the name of a split of its own data, a data set, or data (N, *shape)."""


def evaluate(
    model: Trained,
    data: Held = "test",
    split: str | None = None,
    draws: int = 1,
    seed: int | None = None,
    metrics: str | Iterable[str | Metric.Config] | None = None,
) -> Evaluation:
    """Estimate the ELBO and its parts, and measure metrics; the same seed gives the same figures.

    `genkit.evaluate(run, "validation")`, `genkit.evaluate(model, x)`, `genkit.evaluate("runs/vae", metrics="nll")`.

    Args:
        model: a model, a run, or the path of one.
        data: the name of a split of the data that the model was trained on (train, validation, test, all); a data set,
            as `reopen` gives it; or data x (N, *shape), as a `Split` where the model reads side data such as labels.
        split: the split of a data set, by default `test`.
        draws: the number of draws from q(z|x) per datum.
        seed: the seed of the draws; None: that of the model's config, so that the figures of a run are repeated.
        metrics: names, options with names such as `nll.draws=500`, or settings; None: those of the config, and none
            for data x. Metrics of data x read the training data too.

    Raises:
        DataError: the split is empty, the data do not fit the model, or have changed since the training.
        TrainingError: the figures are not finite.
        MetricError: a metric that was asked for cannot be computed; one of the config is left out with a warning.
        GenkitError: the model or its data cannot be loaded.
    """
    trained, own = _opened(model)
    configs = _metrics_of(trained, metrics, of_config=isinstance(data, str | Dataset))
    dataset, name = _data_of(trained, own, data, split, with_training=bool(configs))
    seed = seed if seed is not None else 0 if trained.config is None else trained.config.seed
    taken = "test" if name is None else name
    evaluation = figures.evaluate(trained, dataset, taken, draws, seed)
    each = named(configs)
    values, errors = measure_each(trained, dataset, each, taken, seed)
    missed(errors, () if metrics is None else each)
    return replace(evaluation, metrics=values, described=descriptions(configs), split=name or "all")


def score(
    model: Trained,
    data: Held = "test",
    split: str | None = None,
    draws: int = 16,
    seed: int = 0,
    parts: bool = True,
) -> Scores:
    """Score each datum; the same seed gives the same scores, and their means are the figures of `evaluate`.

    Memory beyond the scores grows neither with the number of data nor with that of draws; errors in parts are as many
    values as the data, or one per column.

    Args:
        model: a model with an encoder, its run, or the path of one.
        data: as for `evaluate`.
        split: as for `evaluate`.
        draws: the number K of draws from q(z|x) per datum.
        seed: the seed of the draws.
        parts: whether errors are given in parts too, such as for each column.

    Raises:
        ComponentError: the model has no encoder.
        DataError: the split is empty, its data do not fit the model, or there is no draw.
        TrainingError: a score is not finite.
        GenkitError: the model or its data cannot be loaded.
    """
    trained, own = _opened(model)
    dataset, name = _data_of(trained, own, data, split)
    return scoring.score(trained, dataset, "test" if name is None else name, draws, seed, parts)


def _opened(model: Trained) -> tuple[Model, Dataset | None]:
    """The model, and its data where they are in memory already."""
    if isinstance(model, Run):
        return model.model, model.data
    if isinstance(model, str | Path):
        return weights.load(model), None
    if isinstance(model, Model):
        return model, None
    raise GenkitError(f"the model is {_what(model)}; give a genkit.Model, a genkit.Run, or the path of a run")


def _data_of(
    model: Model, own: Dataset | None, data: Held, split: str | None, with_training: bool = False
) -> tuple[Dataset, str | None]:
    """A data set, and the name of its split to take; None: its test split, which holds data from elsewhere."""
    if isinstance(data, Dataset):
        return data, split or "test"
    if split is not None:
        raise DataError(f"split='{split}' is that of a data set, and the data are {_what(data)}: leave it out")
    if isinstance(data, str):
        return own or data_of(model), data
    if not isinstance(data, Split | Tensor | np.ndarray):
        splits = "the name of a split (train, validation, test, all)"
        raise DataError(f"the data are {_what(data)}; give {splits}, an array, a tensor, a genkit.Split or a data set")
    new = _checked(model, data if isinstance(data, Split) else Split(as_tensor(data), None))
    if with_training:
        whole = own or data_of(model)
        return whole._replace(test=new, validation=None, ids={}, rows={}), None
    return _alone(model, new), None


def _checked(model: Model, split: Split) -> Split:
    """Data with the side data that the model reads; raises DataError where they do not fit the model."""
    if not isinstance(split.x, Tensor | Reader | np.ndarray):
        raise DataError(f"the data of the split are {_what(split.x)}; give an array or a tensor")
    if not len(split.x):
        raise DataError("there are no data: figures are means over at least one datum")
    side = completed(model, model.inputs, own_side(model.inputs, split.named()), len(split.x))
    x = split.x if isinstance(split.x, Reader) else as_tensor(split.x)
    if model.schema.is_padded and isinstance(x, Tensor):
        x = held(x, side[MASK].to(x.device))
    x = model.fitting(x)
    own = {**split.side, **{name: values for name, values in side.items() if name != "labels"}}
    return Split(x, side.get("labels", split.labels), own)


def _alone(model: Model, split: Split) -> Dataset:
    """A data set of one split, in the form of the data that the model was trained on."""
    schema, source = model.schema, None if model.config is None else model.config.data
    return Dataset(
        split,
        None,
        split,
        None if model.data is None else model.data.classes,
        source is not None and source.binarize == "dynamic",
        transforms=model.transforms,
        side=schema.side,
        columns=schema.columns,
        channels=schema.channels,
    )


def _metrics_of(
    model: Model, metrics: str | Iterable[str | Metric.Config] | None, of_config: bool
) -> tuple[Metric.Config, ...]:
    if metrics is None:
        return () if model.config is None or not of_config else tuple(usable(model.config.metrics))
    each = [metrics] if isinstance(metrics, str) else list(metrics)
    texts, configs = [one for one in each if isinstance(one, str)], [one for one in each if not isinstance(one, str)]
    if not texts:
        return tuple(configs)
    if model.config is None:
        raise MetricError("the model has no config in which metrics are looked up by name; give their settings")
    return chosen(model.config, configs, texts, "evaluate")


def _what(value: object) -> str:
    return f"a text, '{value}'" if isinstance(value, str) else f"of type {type(value).__name__}"
