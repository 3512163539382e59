"""The check of a config before any training: its errors, its doubts, and the cost of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import torch

from genkit.config import RunConfig
from genkit.data import assumptions
from genkit.data.checks import check_support
from genkit.data.dataset import Dataset
from genkit.data.extent import extents
from genkit.data.loading import load as load_data
from genkit.data.loading import shape_of
from genkit.errors import GenkitError
from genkit.evaluation import metrics
from genkit.interfaces import Schema, Shape, Split
from genkit.model.building import build
from genkit.model.model import Model
from genkit.runs.costs import memory, step_seconds
from genkit.runs.memory import free
from genkit.runs.opening import encoder_transforms
from genkit.runs.starting import trained_parts
from genkit.training.devices import check_precision, choose_device
from genkit.training.guards import check_accumulation, check_last_batch, check_monitors, schedule_doubts
from genkit.training.optimization import check_parameters
from genkit.training.seeds import own_random_state, seed_everything

RARE = 0.2
"""The fraction of an even share below which a class is reported as rare."""
UNWATCHED = "the memory that the run takes is not known: this version of torch does not let it be counted"

T = TypeVar("T")


@dataclass
class Report:
    """The findings of a check."""

    errors: list[str] = field(default_factory=list)
    """The faults that would stop the run."""
    doubts: list[str] = field(default_factory=list)
    """The oddities that would not stop it, but may be mistakes."""
    counts: dict[str, int] = field(default_factory=dict)
    """The number of data in each split."""
    notes: list[str] = field(default_factory=list)
    """The things that are assumed about the data."""
    shape: Shape | None = None
    """The shape of one datum."""
    range: tuple[float, float] | None = None
    """The least and the greatest value of the training data."""
    parameters: int | None = None
    steps: int | None = None
    """The steps per epoch."""
    bytes: int | None = None
    """An estimate of the run's greatest memory: weights, optimizers' states, data, and a step, figures or pictures.

    None: torch cannot count it."""
    free: int | None = None
    """The free memory of the device; None: not known."""
    seconds: float | None = None
    """An estimate of the seconds per epoch, from a few steps on this machine, not compiled; None: not timed."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check(config: RunConfig, probe: bool = True) -> Report:
    """Check a config with its data and its model; a fault of one part does not hide the faults of others.

    Args:
        config: the config, whose options are valid.
        probe: whether to time a few steps.
    """
    report = Report()
    device = _attempt(report, lambda: choose_device(config.training.device)) or torch.device("cpu")
    _attempt(report, lambda: check_precision(config.training.precision, device))
    data = _attempt(report, lambda: load_data(config.data))
    if data is None:
        if (shape := shape_of(config.data)) is not None:
            with own_random_state():
                _attempt(report, lambda: meta_model(config, Schema(shape)))
        return report
    _look_at(data, report)
    report.steps = config.training.steps_per_epoch(len(data.train.x))
    with own_random_state():
        seed_everything(config.seed, 0)
        model = _attempt(report, lambda: meta_model(config, data.schema))
        _attempt(report, lambda: _check_support(config, data, model))
        _attempt(report, lambda: encoder_transforms(config, data))
        if model is None:
            return report
        report.parameters = sum(parameter.numel() for parameter in model.parameters())
        _attempt(report, lambda: check_last_batch(model, len(data.train.x), config.training.batch_size))
        _attempt(report, lambda: check_monitors(model, config.training, data))
        _attempt(report, lambda: check_accumulation(model, config.training))
        _attempt(report, lambda: check_parameters(model))
        report.doubts += schedule_doubts(model, config.training, len(data.train.x))
        _attempt(report, lambda: trained_parts(model, config))
        _attempt(report, lambda: metrics.check(model, data, config.metrics))
        if report.errors:
            return report
        report.free = free(device)
        report.bytes = _attempt(report, lambda: memory(model, config, data, report.free))
        if not report.errors:
            _estimate(config, data, device, probe, report)
    return report


def _estimate(config: RunConfig, data: Dataset, device: torch.device, probe: bool, report: Report) -> None:
    """Doubts about the memory; and the time of an epoch, where the memory is there and a probe is asked for."""
    too_large = _too_large(report.bytes, report.free)
    if report.bytes is None or too_large is not None:
        report.doubts.append(too_large or UNWATCHED)
    if too_large is None and probe:
        seconds = _attempt(report, lambda: step_seconds(build(config, data.schema).to(device), config, data.to(device)))
        batches = math.ceil(len(data.train.x) / config.training.batch_size)
        report.seconds = None if seconds is None else seconds * batches


def _check_support(config: RunConfig, data: Dataset, model: Model | None) -> None:
    """Refuse data outside the likelihood's support; raises DataError with the first split that has some."""
    likelihood: Any = config.likelihood.component if model is None else model.likelihood
    for name, split in _splits(data).items():
        check_support(split.x, likelihood, f"the {name} split: likelihood '{config.likelihood.name}'", data.transforms)


def meta_model(config: RunConfig, schema: Schema) -> Model:
    """The model on the meta device: shapes go through every layer, without memory for numbers.

    A model that cannot be built there is built with real numbers.
    """
    try:
        with torch.device("meta"):
            return build(config, schema)
    except GenkitError:
        return build(config, schema)


def _too_large(needed: int | None, available: int | None) -> str | None:
    if needed is None or available is None or needed <= available:
        return None
    few = "a smaller training.batch_size or a smaller model takes less"
    return f"the run takes about {_size(needed)}, and {_size(available)} are free; {few}"


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"


def _attempt(report: Report, step: Callable[[], T]) -> T | None:
    try:
        return step()
    except GenkitError as error:
        report.errors += [line for line in str(error).splitlines() if line not in report.errors]
        return None


def _splits(data: Dataset) -> Mapping[str, Split]:
    splits = {"training": data.train, "validation": data.validation, "test": data.test}
    return {name: split for name, split in splits.items() if split is not None}


def _look_at(data: Dataset, report: Report) -> None:
    """Report the counts, the shape, the range and the oddities of the data."""
    report.counts, report.shape, report.range = data.counts(), data.shape, data.range()
    report.notes, report.doubts = assumptions.notes(data), [*report.doubts, *assumptions.doubts(data, report.range)]
    low, high = extents(data.train.x)
    constant = int((low == high).sum())
    if constant == low.numel():
        report.doubts.append("all training data are the same")
    elif constant:
        report.doubts.append(f"{constant:,} of {low.numel():,} values are the same in all training data")
    if data.train.labels is not None:
        counts = torch.bincount(data.train.labels, minlength=len(data.classes or ()))
        names = data.classes or tuple(str(number) for number in range(len(counts)))
        even = len(data.train.labels) / max(1, len(names))
        rare = [
            f"'{name}' with {count:,}"
            for name, count in zip(names, counts.tolist(), strict=False)
            if count < RARE * even
        ]
        if len(counts) == 1:
            report.doubts.append("all training data are of one class")
        if "-1" in names:
            report.doubts.append("the label -1 counts as a class; leave data without a label out, or their labels")
        if rare:
            report.doubts.append(f"classes with few training data, of {len(names)}: {', '.join(rare)}")
    for name, split in _splits(data).items():
        if name != "training" and len(split.x) < 100:
            report.doubts.append(f"the {name} split has {len(split.x)} data: figures of so few are noisy")
