"""The metrics that a command computes: those of configs, those asked for as text, and those that come unasked."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from genkit.config import RunConfig, parse
from genkit.data.dataset import Dataset
from genkit.errors import GenkitError, GenkitWarning, MetricError
from genkit.evaluation.metrics import lack, usable
from genkit.interfaces import Metric
from genkit.model.model import Model
from genkit.registry.registry import installed


def chosen(
    run_config: RunConfig, metrics: Iterable[Metric.Config], asked: Iterable[str], source: str = "--metric"
) -> tuple[Metric.Config, ...]:
    """Metrics with what is asked for on the command line.

    Args:
        run_config: the config whose plugins are looked up.
        metrics: the metrics of configs.
        asked: names, or options with names, as in `nll` and `nll.draws=500`; a metric that is new is added, and an
            option replaces that of a metric.
        source: where they are asked for, for messages.

    Raises:
        ConfigError: there is no such metric, or an option is wrong.
    """
    values: list[Any] = [one.model_dump(mode="json", by_alias=True) for one in metrics]
    overrides = []
    for text in asked:
        name = _name_in(text)
        if name not in [each["name"] for each in values]:
            values.append({"name": name})
        if text != name:
            overrides.append(f"metrics.{text}")
    return parse({**run_config.resolved(), "metrics": values}, installed, overrides, source).metrics


def missed(errors: Mapping[str, GenkitError], asked: Iterable[str]) -> None:
    """Warn (GenkitWarning) of metrics that could not be computed.

    Raises:
        MetricError: some of them are asked for on the command line.
    """
    names = {_name_in(text) for text in asked}
    for error in (error for name, error in errors.items() if name not in names):
        warnings.warn(f"{error}; its figures are left out", GenkitWarning, stacklevel=2)
    if names & errors.keys():
        raise MetricError(*(error for name, error in errors.items() if name in names))


def _name_in(text: str) -> str:
    """The name of the metric in a text such as `nll.draws=500`."""
    return re.split(r"[.=]", text)[0]


def unasked(model: Model, data: Dataset, split: str, metrics: Iterable[Metric.Config]) -> Iterator[Metric.Config]:
    """The installed metrics that `genkit evaluate` computes unasked, without those that are there or do not apply."""
    assert model.config is not None
    view, splits = installed(model.config.plugins), [data.split(split), data.train]
    there = {one.component for one in metrics}
    for name in view.spellings(Metric.kind):
        component: Any = view.find(Metric.kind, name)
        config = _defaults(view.settings(Metric.kind, name)) if component.in_evaluate else None
        if config is not None and component not in there:
            yield from (each for each in usable([config]) if lack(model, splits, each) is None)


def _defaults(settings: Any) -> Metric.Config | None:
    """A metric's options; None where some have no default."""
    try:
        config: Metric.Config = settings()
    except ValidationError:
        return None
    return config
