"""What can be known of a config before any training: what is wrong, what is doubtful, and what a run will take."""

from __future__ import annotations

import functools
import math
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from genkit.assembly import build
from genkit.config import RunConfig
from genkit.data import Dataset, as_float, check_range
from genkit.data import load as load_data
from genkit.errors import GenkitError
from genkit.interfaces import Shape, Split
from genkit.model import Model
from genkit.training import (
    Trainer,
    check_last_batch,
    check_precision,
    choose_device,
    own_random_state,
    seed_everything,
)

PROBE_STEPS = 20
PROBE_SECONDS = 2.0
RARE = 0.1
"""A class with less than this part of an even share is told of."""
STATES = {"adam": 2, "adamw": 2, "adamax": 2, "rmsprop": 1, "sgd": 0}

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
    """Memory of training, about: weights, gradients, the optimizers' states, what a pass keeps, and the data."""
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
        return report
    _look_at(data, report)
    report.steps = math.ceil(len(data.train.x) / config.training.batch_size)
    with own_random_state():
        seed_everything(config.seed, 0)
        model = _tried(report, lambda: _traced(config, data.shape))
        if model is None:
            return report
        report.parameters = sum(parameter.numel() for parameter in model.parameters())
        for name, split in _splits(data).items():
            low, high = model.likelihood.support
            source = f"the {name} split: likelihood '{config.likelihood.name}'"
            _tried(report, functools.partial(check_range, split.x, low, high, source))
        _tried(report, lambda: check_last_batch(model, len(data.train.x), config.training.batch_size))
        if report.errors:
            return report
        report.bytes, report.free = _memory(model, config, data), _free(device)
        if report.free is not None and report.bytes > report.free:
            few = "a smaller training.batch_size or a smaller model takes less"
            report.doubts.append(
                f"training takes about {_size(report.bytes)}, and {_size(report.free)} are free; {few}"
            )
        elif probe:
            report.seconds = _probed(build(config, data.shape).to(device), config, data.to(device)) * report.steps
    return report


def _traced(config: RunConfig, shape: Shape) -> Model:
    """The model without its numbers: shapes go through every layer, and no memory is taken.

    A part that needs numbers to be built is built with them.
    """
    try:
        with torch.device("meta"):
            return build(config, shape)
    except GenkitError:
        return build(config, shape)


def _free(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not told on every system
        return None


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
        counts = torch.bincount(data.train.labels)
        names = data.classes or tuple(str(number) for number in range(len(counts)))
        even = len(data.train.labels) / max(1, len(names))
        rare = [
            f"{name} ({count:,})" for name, count in zip(names, counts.tolist(), strict=False) if count < RARE * even
        ]
        if rare:
            report.doubts.append(f"classes with few training data, of {len(names)}: {', '.join(rare)}")
    for name, split in _splits(data).items():
        if name != "training" and len(split.x) < 100:
            report.doubts.append(f"the {name} split has {len(split.x)} data: figures of so few are noisy")


def _memory(model: Model, config: RunConfig, data: Dataset) -> int:
    """Bytes of training a model, by what a pass over a batch keeps for the gradients; without numbers it takes none."""
    size = min(config.training.batch_size, len(data.train.x))
    device = model.device
    few = size if device.type == "meta" else min(8, size)
    kept: dict[int, int] = {}
    owned = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in owned:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    model.train()
    with own_random_state(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        passed = model(as_float(torch.empty_like(data.train.x[:few], device=device)))
        total = sum(loss(passed).mean() for loss in model.losses.values())
    pass_bytes = sum(kept.values()) * size // few
    del total, passed
    weights = sum(_bytes(parameter) for parameter in model.parameters())
    states = STATES.get(config.training.optimizer.name, 2)
    splits = sum(_bytes(split.x) for split in _splits(data).values())
    return weights * (2 + states) + pass_bytes + splits


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _probed(model: Model, config: RunConfig, data: Dataset) -> float:
    """Seconds of a training step."""
    model.train()
    trainer = Trainer(model, config.training)
    weights = torch.tensor(list(trainer.weights_at(0.0).values()), device=model.device)
    times: list[float] = []
    start = time.perf_counter()
    batches = iter(data.rows(data.train, config.training.batch_size))
    while len(times) < PROBE_STEPS and (not times or time.perf_counter() - start < PROBE_SECONDS):
        x = next(batches, None)
        if x is None:
            batches = iter(data.rows(data.train, config.training.batch_size))
            continue
        before = time.perf_counter()
        trainer.step(x, weights)
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - before)
    return statistics.median(times)
