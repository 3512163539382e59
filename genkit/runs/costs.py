"""The cost of a run before it starts: the memory that it takes, and the time of a step.

B data in a batch.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from genkit.config import RunConfig
from genkit.data.ahead import AHEAD
from genkit.data.dataset import Dataset, as_float
from genkit.interfaces.reader import Data, Reader, bytes_of
from genkit.model.batches import MOST
from genkit.model.building import build
from genkit.model.conditions import placeholders
from genkit.model.model import Model
from genkit.model.network import evaluating
from genkit.pictures.latent_space import DRAWS, few
from genkit.speed.footprint import watching
from genkit.training.guards import check_finite
from genkit.training.optimization import fitted_parameters, optimizer_configs
from genkit.training.seeds import own_random_state
from genkit.training.trainer import Trainer

PROBE_STEPS = 20
PROBE_SECONDS = 2.0
FEW = 8
"""The number of data in a pass that estimates the memory of a part which needs real numbers."""
SORTED = 24
"""The bytes that a picture takes per number of the latents whose quantiles it computes: the number, its place in order,
and copies."""


def memory(model: Model, config: RunConfig, data: Dataset, available: int | None) -> int | None:
    """The most bytes that a run takes: weights, states, data, and with them a step, the figures or the pictures.

    On the meta device a whole batch takes no memory. A part that needs real numbers gets a few data. None: torch cannot
    count the memory.

    Raises:
        GenkitError: a part fails in training.
    """
    constant = _weights(model, config) + sum(_held(split.x, config) for split in data.splits().values())
    too_large = available is not None and constant > available
    step = _scaled(_step, min(config.training.batch_size, len(data.train.x)), model, config, data, too_large)
    if step is None:
        return constant if too_large else None
    gradients = sum(_bytes(parameter) for parameter in model.parameters())
    return constant + max(0, step - gradients, *_afterwards(model, config, data, too_large))


def _afterwards(model: Model, config: RunConfig, data: Dataset, too_large: bool) -> tuple[int, ...]:
    """The bytes that the figures take, and the pictures."""
    latents = math.prod(model.sampler.latent_shape)
    pictures = min(DRAWS, few(model)) * latents * SORTED
    if data.test is None or model.encoder is None:
        return (pictures,)
    count = len(data.test.x)
    one_pass = _scaled(_evaluation, min(MOST, count), model, config, data, too_large) or 0
    return pictures, one_pass + count * latents * torch.float32.itemsize


Work = Callable[[Model], Callable[[Tensor], None]]
"""Takes a model, and gives a function of a batch (B, *shape)."""


def _scaled(work: Work, size: int, model: Model, config: RunConfig, data: Dataset, meta: bool) -> int | None:
    """The peak bytes of work on a batch of `size` data; None: they cannot be counted.

    Args:
        work: the work.
        size: the number of data in the batch.
        model: the model, on the meta device where it can be there.
        config: the config, for a model with real numbers.
        data: the data.
        meta: whether real numbers would take too much memory.
    """
    recurrent = any(isinstance(part, nn.RNNBase) for part in model.modules())  # on meta they use other kernels
    if meta or not recurrent:
        with contextlib.suppress(Exception):
            return _peak(work, model, data.train.x[:size], model.device, size)
    if meta:
        return None
    few_data = data.train.x[: min(FEW, size)]
    return _peak(work, build(config, data.schema), few_data, torch.device("cpu"), size)


def _peak(work: Work, model: Model, x: Tensor, device: torch.device, size: int) -> int | None:
    """The peak bytes of work on data x (B, *shape), as of `size` data; None: torch cannot count them."""
    if device.type == "meta":
        x = torch.empty((size, *x.shape[1:]), dtype=x.dtype, device="meta")
    perform = work(model)
    with own_random_state(), watching("the memory that the run takes is not estimated") as footprint:
        perform(x)
    return None if footprint is None else footprint.peak * size // len(x)


def _step(model: Model) -> Callable[[Tensor], None]:
    """The gradients of a training step."""
    assert model.config is not None
    trainer = Trainer(model.train(), model.config.training)
    weights = torch.ones(len(model.losses), device=model.device)

    def step(x: Tensor) -> None:
        trainer.gradients(x, weights, side=placeholders(model.schema, model.reads, len(x), x.device))

    return step


def _evaluation(model: Model) -> Callable[[Tensor], None]:
    """The pass of an evaluation, and the means of the data."""

    def evaluate(x: Tensor) -> None:
        with evaluating(model):
            side = placeholders(model.schema, model.inputs, len(x), x.device)
            forward = model(as_float(x), 1, side)
            assert forward.latent is not None
            model.decoded(forward.latent.mean, side)

    return evaluate


def _weights(model: Model, config: RunConfig) -> int:
    """The bytes of a model's weights, of the gradients, and of the optimizers' states."""
    optimizers = optimizer_configs(model, config.training)
    copies = {owner: 1 + len(optimizer.moments) for owner, optimizer in optimizers.items()}
    states = sum(_bytes(each) * copies[owner] for owner, fitted in fitted_parameters(model).items() for each in fitted)
    kept = (config.training.keep == "best") + (config.training.ema is not None) + (config.training.accumulate > 1)
    return states + (1 + kept) * sum(_bytes(parameter) for parameter in model.parameters())


def _held(x: Data, config: RunConfig) -> int:
    """The bytes of memory that data take: those of a reader, with the batches that it reads ahead."""
    ahead = (AHEAD + 1) * min(config.training.batch_size, len(x)) * math.prod(x.shape[1:]) * x.dtype.itemsize
    return bytes_of(x) + (ahead if isinstance(x, Reader) else 0)


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def step_seconds(model: Model, config: RunConfig, data: Dataset) -> float:
    """The median seconds of a training step; raises TrainingError where a figure is not finite after the last one."""
    model.train()
    trainer = Trainer(model, config.training)
    weights = torch.tensor(list(trainer.weights_at(0.0).values()), device=model.device)
    times: list[float] = []
    start = time.perf_counter()
    batches = iter(data.batches(data.train, config.training.batch_size, names=model.reads))
    while len(times) < PROBE_STEPS and (not times or time.perf_counter() - start < PROBE_SECONDS):
        batch = next(batches, None)
        if batch is None:
            batches = iter(data.batches(data.train, config.training.batch_size, names=model.reads))
            continue
        before = time.perf_counter()
        figures = trainer.step(batch.x, weights, side=batch.side)
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - before)
    where = f"after {len(times)} steps of training"
    check_finite({name: float(value) for name, value in figures.items()}, where, model, data)
    return statistics.median(times)
