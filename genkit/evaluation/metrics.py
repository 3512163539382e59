"""Metrics: the figures that a config asks for beside those of every model, measured on a split.

A metric that cannot be computed is a MetricError with its name; what becomes of it is up to the caller.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from genkit.data.dataset import Dataset
from genkit.errors import ComponentError, GenkitError, GenkitWarning, MetricError, in_a_line, place
from genkit.evaluation.descriptions import Figure, wrong_figures
from genkit.evaluation.passes import passes
from genkit.interfaces import CodeSampler, Description, Metric, MetricData, MetricNeed, Split
from genkit.model.building import build_part, new_name
from genkit.model.conditions import placeholders
from genkit.model.model import Model
from genkit.model.network import evaluating

Values = dict[str, dict[str, float]]
"""The figures of each metric by their keys."""
SEVERAL = 2
"""The least number of classes of a datum that are factors."""
ABOVE = "metrics."
"""The prefix of the keys of metrics' figures, as in `metrics.NAME.KEY`."""


def named(configs: Iterable[Metric.Config]) -> dict[str, Metric.Config]:
    """Metrics by their names; a second one of a name gets a number."""
    by_name: dict[str, Metric.Config] = {}
    for config in configs:
        by_name[new_name(config.name, by_name)] = config
    return by_name


def usable(configs: Iterable[Metric.Config]) -> Iterator[Metric.Config]:
    """The metrics that can be built and describe their figures rightly; the others are warnings (GenkitWarning)."""
    for config in configs:
        try:
            _metric(config)
        except ComponentError as error:
            warnings.warn(f"{error}; its figures are left out", GenkitWarning, stacklevel=1)  # once, whoever asks
        else:
            yield config


def descriptions(configs: Iterable[Metric.Config], above: str = ABOVE) -> dict[str, Description]:
    """The descriptions of the figures of metrics that are `usable`, by the keys of the figures."""
    by_name, right = named(configs), list(usable(configs))
    return {
        f"{above}{name}.{key}": about
        for name, config in by_name.items()
        if config in right
        for key, about in _metric(config).figures.items()
    }


def figures(values: Mapping[str, Mapping[str, float]], configs: Iterable[Metric.Config]) -> list[Figure]:
    """The figures of metrics in the order of their descriptions.

    Args:
        values: the figures of each metric, from `measure`; missing ones are left out.
        configs: the metrics that gave them.
    """
    return described(values, descriptions(configs))


def described(values: Mapping[str, Mapping[str, float]], abouts: Mapping[str, Description]) -> list[Figure]:
    """The figures of metrics that have a description, in the order of these."""
    numbers = keyed(values)
    return [Figure(key, numbers[key], about) for key, about in abouts.items() if key in numbers]


def keyed(values: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """The figures of metrics by their keys among all figures, `metrics.NAME.KEY`."""
    return {f"{ABOVE}{name}.{key}": value for name, group in values.items() for key, value in group.items()}


def check(model: Model, data: Dataset, configs: Iterable[Metric.Config]) -> None:
    """Refuse metrics that a model and its data cannot have.

    Raises:
        ComponentError: metrics cannot be built with their options, or describe their figures wrongly.
        MetricError: model or training data lack what a metric needs, a line for each.
    """
    reasons, wrong = [], []
    for config in configs:
        try:
            reasons.append(lack(model, [data.train], config))
        except ComponentError as error:
            wrong.append(error)
    if wrong:
        raise ComponentError(*wrong)
    if any(reasons):
        raise MetricError(*filter(None, reasons))


def lack(model: Model, splits: Iterable[Split], config: Metric.Config) -> str | None:
    """Why a metric does not apply to a model and to data, with its name; None: it does."""
    return _lack(model, splits, _metric(config), config.name)


def measure(
    model: Model, data: Dataset, config: Metric.Config, split: str = "test", seed: int = 0, name: str | None = None
) -> dict[str, float]:
    """The figures of a metric on a split; the same seed gives the same figures.

    Args:
        model: the model.
        data: the data set.
        config: the options of the metric.
        split: the name of the split.
        seed: the seed of the draws.
        name: the metric's name in messages, where it is not that of its class.

    What a metric changes of the model's parameters and buffers is put back, with a warning (GenkitWarning).

    Raises:
        ComponentError: the metric cannot be built, or describes its figures wrongly.
        DataError: the split is empty, or its data do not fit the model.
        MetricError: model or data lack what the metric needs, or it fails, or gives what is no figure.
    """
    with _kept(model, f"metric '{name or config.name}'"):
        return measure_by(_metric(config), model, data, split, seed, name or config.name)


def measure_each(
    model: Model, data: Dataset, configs: Mapping[str, Metric.Config], split: str = "test", seed: int = 0
) -> tuple[Values, dict[str, GenkitError]]:
    """The figures of metrics by their names, and the errors of those that cannot be computed.

    Args:
        model: the model.
        data: the data set.
        configs: the options of the metrics by their names, from `named`.
        split: the name of the split.
        seed: the seed of the draws.

    Raises:
        DataError: the split is empty, or its data do not fit the model.
    """
    values: Values = {}
    errors: dict[str, GenkitError] = {}
    for name, config in configs.items():
        try:
            values[name] = measure(model, data, config, split, seed, name)
        except (ComponentError, MetricError) as error:
            errors[name] = error
    return values, errors


def measure_by(metric: Metric, model: Model, data: Dataset, split: str, seed: int, name: str) -> dict[str, float]:
    """The figures of a metric that is built; arguments and errors as for `measure`."""
    held_out, label = data.split(split), f"metric '{name}'"
    model.fitting(held_out.x)
    if (reason := _lack(model, [held_out, data.train], metric, name)) is not None:
        raise MetricError(reason)
    material = MetricData(
        held_out,
        data.train,
        data.classes,
        functools.partial(passes, model, data, held_out),
        functools.partial(_sampled, model, data.train),
        model.schema.columns,
    )
    try:
        with torch.random.fork_rng(), evaluating(model):
            torch.manual_seed(seed)
            values = metric.measure(model, material, seed)
    except GenkitError as error:
        raise MetricError(f"{label}: {error}") from error
    except Exception as error:
        raise MetricError(f"{label} fails: {in_a_line(error)}{place(error)}") from error
    return checked(label, metric, values)


def checked(label: str, metric: Metric, values: Any) -> dict[str, float]:
    """The figures as plain numbers; raises MetricError where one is no finite number, or is not described."""
    if not isinstance(values, Mapping):
        raise MetricError(f"{label} gives {type(values).__name__}, and must give its figures by their keys")
    for key, value in values.items():
        if key not in metric.figures:
            raise MetricError(f"{label} gives '{key}', which its `figures` do not describe")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MetricError(f"{label}: '{key}' is {type(value).__name__}, and must be a number: float(value)")
        if not math.isfinite(value):
            raise MetricError(f"{label}: '{key}' is {value}, not a finite number")
    return {key: float(values[key]) for key in metric.figures if key in values}


def _metric(config: Metric.Config) -> Metric:
    """The metric; raises ComponentError where it cannot be built, or describes its figures wrongly."""
    metric: Metric = build_part(config)
    if (wrong := wrong_figures(getattr(metric, "figures", None))) is not None:
        raise ComponentError(f"metric '{config.name}': {wrong}")
    return metric


@contextlib.contextmanager
def _kept(model: Model, label: str) -> Iterator[None]:
    """Keep the parameters and buffers of a model: what the block changes is put back, with a warning."""
    tensors = dict(itertools.chain(model.named_parameters(), model.named_buffers()))
    before = {name: value.detach().clone() for name, value in tensors.items()}
    try:
        yield
    finally:
        changed = [name for name, value in tensors.items() if not _same(value, before[name])]
        with torch.no_grad():
            for name in changed:
                _restore(tensors[name], before[name])
        if changed:
            what = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            message = f"{label} changes {what} of the model; it was put back, and the metric has to work on a copy"
            warnings.warn(message, GenkitWarning, stacklevel=3)


def _restore(tensor: Tensor, before: Tensor) -> None:
    if tensor.shape == before.shape and tensor.dtype == before.dtype:
        tensor.copy_(before)
    else:
        tensor.data = before


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same values, nan for nan."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.equal(one, other) or torch.equal(one.nan_to_num(), other.nan_to_num())


def _sampled(model: Model, train: Split, count: int) -> Split:
    """Data drawn from a model, with the side data that it decodes, those of training data drawn at random."""
    rows = torch.randint(len(train.x), (count,))
    side = {name: values[rows] for name, values in train.named().items() if name in model.decoder_inputs}
    x = model.sample(count, noise=True, **side)
    return Split(x, side.pop("labels", None), side)


def _lack(model: Model, splits: Iterable[Split], metric: Metric, name: str) -> str | None:
    missing = (_missing(need, model, splits) for need in metric.needs)
    reason = next((each for each in missing if each is not None), None)
    return None if reason is None else f"metric '{name}' needs {reason}"


def _missing(need: MetricNeed, model: Model, splits: Iterable[Split]) -> str | None:
    """What is needed and missing, in words; None: it is there."""
    sampler, likelihood = _part(model, "sampler"), _part(model, "likelihood")
    if need in ("encoder", "density") and model.encoder is None:
        return "an encoder, and the model has none"
    if need == "density" and not _has_density(model):
        return f"a density of q(z|x), and {sampler} has none"
    if need == "density" and not model.likelihood.is_density:
        return f"a density of x, and {likelihood} is none"
    if need == "prior" and not model.has_prior and model.prior is None:  # one that is fitted comes after training
        return f"a prior to draw from, and {sampler} has none"
    if need == "codes" and not isinstance(model.sampler, CodeSampler):
        return f"a sampler with codes, and {sampler} has none"
    if need == "labels" and any(split.labels is None for split in splits):
        return "labels, and the data have none"
    if need == "factors":
        few = next((each for each in (split.classified() for split in splits) if len(each) < SEVERAL), None)
        return None if few is None else _no_factors(few)
    return None


def _no_factors(names: Iterable[str]) -> str:
    only = next(iter(names), None)
    has = "have no classes" if only is None else f"have {only} alone"
    return (
        f"factors, several classes per datum (labels, and side data of classes), and the data {has}: of labels with "
        "several columns data.factors names these"
    )


def _has_density(model: Model) -> bool:
    with torch.random.fork_rng(), evaluating(model):
        side = placeholders(model.schema, model.inputs, 2, model.device)
        latent = model.posterior(torch.zeros(2, *model.shape, device=model.device), 1, side)
    return latent.log_ratio is not None


def _part(model: Model, kind: str) -> str:
    return f"the {kind}" if model.config is None else f"{kind} '{getattr(model.config, kind).name}'"
