"""What can be known of a config before any training: what is wrong, what is doubtful, and what a run will take."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import torch
from torch import nn

from genkit.config import RunConfig
from genkit.data.dataset import Dataset
from genkit.data.loading import check_range, shape_of
from genkit.data.loading import load as load_data
from genkit.errors import GenkitError
from genkit.interfaces import Shape, Split
from genkit.model.building import build
from genkit.model.model import Model
from genkit.runs.memory import free
from genkit.speed.footprint import watching
from genkit.training.devices import check_precision, choose_device
from genkit.training.guards import check_finite, check_last_batch
from genkit.training.optimization import fitted_parameters, optimizer_configs
from genkit.training.seeds import own_random_state, seed_everything
from genkit.training.trainer import Trainer

PROBE_STEPS = 20
PROBE_SECONDS = 2.0
FEW = 8
"""Data in the pass that estimates the memory of a part which looks at its numbers."""
RARE = 0.2
"""A class is reported that has less than this much of an even share."""
UNWATCHED = "the memory that training takes is not known: this version of torch does not let it be counted"

T = TypeVar("T")


@dataclass
class Report:
    """What was found."""

    errors: list[str] = field(default_factory=list)
    """What would stop the run."""
    doubts: list[str] = field(default_factory=list)
    """What would not, but may not be meant."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many data each split has."""
    shape: Shape | None = None
    """Of one datum."""
    range: tuple[float, float] | None = None
    """The least and the greatest value of the training data."""
    parameters: int | None = None
    steps: int | None = None
    """An epoch."""
    bytes: int | None = None
    """Memory of training, about: weights, gradients, the optimizers' states, what a pass keeps, and the data.

    None: torch does not let it be counted."""
    free: int | None = None
    """Memory that is free where it will be trained; None: not known."""
    seconds: float | None = None
    """An epoch, about, by a few steps on this machine, not compiled; None: not probed."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check(config: RunConfig, probe: bool = True) -> Report:
    """Look at everything a config says, one thing after the other; what is wrong with one does not hide the next.

    Args:
        config: already valid in itself.
        probe: whether to time a few steps.
    """
    report = Report()
    device = _tried(report, lambda: choose_device(config.training.device)) or torch.device("cpu")
    _tried(report, lambda: check_precision(config.training.precision, device))
    data = _tried(report, lambda: load_data(config.data))
    if data is None:
        if (shape := shape_of(config.data)) is not None:
            with own_random_state():
                _tried(report, lambda: _traced(config, shape))
        return report
    _look_at(data, report)
    report.steps = math.ceil(len(data.train.x) / config.training.batch_size)
    with own_random_state():
        seed_everything(config.seed, 0)
        model = _tried(report, lambda: _traced(config, data.shape))
        _tried(report, lambda: _check_support(config, data))
        if model is None:
            return report
        report.parameters = sum(parameter.numel() for parameter in model.parameters())
        _tried(report, lambda: check_last_batch(model, len(data.train.x), config.training.batch_size))
        if report.errors:
            return report
        report.free = free(device)
        report.bytes = _tried(report, lambda: _memory(model, config, data, report.free))
        if report.errors:
            return report
        too_large = _too_large(report.bytes, report.free)
        if report.bytes is None or too_large is not None:
            report.doubts.append(too_large or UNWATCHED)
        if too_large is None and probe:
            seconds = _tried(report, lambda: _probed(build(config, data.shape).to(device), config, data.to(device)))
            report.seconds = None if seconds is None else seconds * report.steps
    return report


def _check_support(config: RunConfig, data: Dataset) -> None:
    """Refuse data that have no density; raises DataError of the first split that has some."""
    likelihood: Any = config.likelihood.component
    for name, split in _splits(data).items():
        low, high = likelihood.support
        check_range(split.x, low, high, f"the {name} split: likelihood '{config.likelihood.name}'")


def _traced(config: RunConfig, shape: Shape) -> Model:
    """The model without its numbers: shapes go through every layer, and no memory is taken.

    A part that needs numbers to be built is built with them.
    """
    try:
        with torch.device("meta"):
            return build(config, shape)
    except GenkitError:
        return build(config, shape)


def _too_large(needed: int | None, available: int | None) -> str | None:
    if needed is None or available is None or needed <= available:
        return None
    few = "a smaller training.batch_size or a smaller model takes less"
    return f"training takes about {_size(needed)}, and {_size(available)} are free; {few}"


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"


def _tried(report: Report, step: Callable[[], T]) -> T | None:
    try:
        return step()
    except GenkitError as error:
        report.errors += [line for line in str(error).splitlines() if line not in report.errors]
        return None


def _splits(data: Dataset) -> Mapping[str, Split]:
    named = {"training": data.train, "validation": data.validation, "test": data.test}
    return {name: split for name, split in named.items() if split is not None}


def _look_at(data: Dataset, report: Report) -> None:
    """The data themselves: how many, how large, and what is odd about them."""
    signature = data.signature("")
    report.counts, report.shape, report.range = signature.counts, data.shape, signature.range
    flat = data.train.x.flatten(1)
    constant = int((flat.amin(0) == flat.amax(0)).sum())
    if constant == flat.shape[1]:
        report.doubts.append("all training data are the same")
    elif constant:
        report.doubts.append(f"{constant:,} of {flat.shape[1]:,} values are the same in all training data")
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


def _weights(model: Model, config: RunConfig) -> int:
    """Bytes of a model's weights; and of what is fitted, the gradients and what their optimizers keep."""
    optimizers = optimizer_configs(model, config.training)
    copies = {owner: 1 + len(optimizer.moments) for owner, optimizer in optimizers.items()}
    states = sum(_bytes(each) * copies[owner] for owner, fitted in fitted_parameters(model).items() for each in fitted)
    return states + sum(_bytes(parameter) for parameter in model.parameters())


def _memory(model: Model, config: RunConfig, data: Dataset, available: int | None) -> int | None:
    """Bytes of training a model: what the weights take, the most that a step makes beside them, and the data.

    Without numbers a whole batch takes no memory. A part that looks at its numbers gets some, and a few data. None:
    torch does not let memory be counted.

    Raises:
        GenkitError: a part fails in training.
    """
    kept = _weights(model, config) + sum(_bytes(split.x) for split in _splits(data).values())
    size = few = min(config.training.batch_size, len(data.train.x))
    too_large = available is not None and kept > available
    recurrent = any(isinstance(part, nn.RNNBase) for part in model.modules())  # without numbers, other kernels
    step = None
    if too_large or not recurrent:
        with contextlib.suppress(Exception):
            step = _step_bytes(model, data.train.x[:size], model.device)
    if step is None:
        if too_large:
            return kept
        few = min(FEW, size)
        step = _step_bytes(build(config, data.shape), data.train.x[:few], torch.device("cpu"))
    if step is None:
        return None
    gradients = sum(_bytes(parameter) for parameter in model.parameters())
    return kept + max(0, step - gradients) * size // few


def _step_bytes(model: Model, x: torch.Tensor, device: torch.device) -> int | None:
    """The most bytes that a step makes of a batch x (B, *shape), gradients included; None: not to be counted."""
    assert model.config is not None
    trainer = Trainer(model.train(), model.config.training)
    weights = torch.ones(len(model.losses), device=device)
    batch = torch.empty_like(x, device="meta") if device.type == "meta" else x
    with own_random_state(), watching("the memory that training takes is not estimated") as footprint:
        trainer.gradients(batch, weights)
    return None if footprint is None else footprint.peak


def _bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _probed(model: Model, config: RunConfig, data: Dataset) -> float:
    """Seconds of a training step; raises TrainingError where a figure is not finite after the last."""
    model.train()
    trainer = Trainer(model, config.training)
    weights = torch.tensor(list(trainer.weights_at(0.0).values()), device=model.device)
    times: list[float] = []
    start = time.perf_counter()
    batches = iter(data.batches(data.train, config.training.batch_size))
    while len(times) < PROBE_STEPS and (not times or time.perf_counter() - start < PROBE_SECONDS):
        batch = next(batches, None)
        if batch is None:
            batches = iter(data.batches(data.train, config.training.batch_size))
            continue
        before = time.perf_counter()
        figures = trainer.step(batch.x, weights)
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - before)
    where = f"after {len(times)} steps of training"
    check_finite({name: float(value) for name, value in figures.items()}, where, model, data)
    return statistics.median(times)
