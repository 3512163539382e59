"""Scores: how well a model does on a batch, a split or an epoch.

All figures are means over data, in nats per datum.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from pydantic import ConfigDict, TypeAdapter
from torch import Tensor

from genkit.parallel import group

Figures = dict[str, Tensor]
"""Means over a batch, each () and detached: `term/NAME`, `critic/NAME`, `reconstruction`, `kl`."""

BATCHES_PER_SUM = 64
"""The number of batches whose figures are added up at once."""


@dataclass(frozen=True)
class Scores:
    """Means over the data of a split, in nats per datum."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    loss: float
    """The objective: the weighted sum of the terms."""
    terms: dict[str, float]
    """Each term, unweighted."""
    critics: dict[str, float]
    """The loss of each learned term's own parameters; empty for held-out data."""
    reconstruction: float | None
    """E_q[-log p(x|z)]; None without an encoder."""
    kl: float | None
    """KL(q(z|x) || p(z)); None without an encoder, or where the sampler has none."""
    elbo: float | None
    """The evidence lower bound, -reconstruction - kl, whatever the weights (Kingma & Welling 2014, arXiv:1312.6114)."""
    active_units: int | None = None
    """The latent dimensions of held-out data that are active, as in an evaluation; None without an encoder, or for the
    training data, whose model changes from batch to batch."""


@dataclass(frozen=True)
class EpochRecord:
    """The record of an epoch."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    epoch: int
    """The number of the epoch, from 1."""
    steps: int
    """Optimisation steps since the start of the run."""
    seconds: float
    """The seconds of training, without validation."""
    examples_per_second: float
    """The rate of training, in data per second."""
    lr: float
    """The learning rate of the model's optimizer at the last step of the epoch."""
    weights: dict[str, float]
    """The factor of each term at the last step of the epoch."""
    train: Scores
    """The scores over the training data, as the epoch met them."""
    validation: Scores | None
    """The scores over the validation data at the end of the epoch; None: there are none."""
    left_out: int = 0
    """The number of steps left out because they were not finite."""

    def __repr__(self) -> str:
        """The loss of the epoch, and that of the validation data; all else is in the fields."""
        validation = "" if self.validation is None else f", validation={self.validation.loss:.4g}"
        return f"EpochRecord(epoch={self.epoch}, loss={self.train.loss:.4g}{validation})"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EpochRecord:
        """The record of values from `to_json`; raises ValueError where they are others."""
        return _adapter().validate_python(values)


@functools.cache
def _adapter() -> TypeAdapter[EpochRecord]:
    return TypeAdapter(EpochRecord)


@dataclass(frozen=True)
class Progress:
    """The progress within an epoch."""

    epoch: int
    epochs: int
    step: int
    steps: int
    examples_per_second: float
    weights: dict[str, float]
    """The factor of each term at this step."""
    scores: Scores
    """The scores over the steps that are done."""


class Total:
    """A running mean of figures; it stays on the device, so that no step waits for it.

    Args:
        dtype: the type of the sums.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.names: list[str] = []
        self.sum: Tensor | None = None
        self.count = 0
        self.pending: list[Tensor] = []
        """The figures of batches that are not in the sum yet: one call for many costs less than one call per batch."""
        self.sizes: list[int] = []

    def add(self, figures: Figures, size: int) -> None:
        """Add the figures of a batch of `size` data."""
        self.names = list(figures)
        self.pending += figures.values()
        self.sizes.append(size)
        self.count += size
        if len(self.sizes) == BATCHES_PER_SUM:
            self._add_pending()

    def _add_pending(self) -> None:
        if self.sizes:
            rows = torch.stack(self.pending).to(self.dtype).view(len(self.sizes), -1)
            total = torch.tensor(self.sizes, dtype=self.dtype, device=rows.device) @ rows
            self.sum = total if self.sum is None else self.sum + total
            self.pending, self.sizes = [], []

    @property
    def finite(self) -> bool:
        """Whether what is added up is finite; figures that are not added up yet do not count."""
        return self.sum is None or bool(self.sum.isfinite().all())

    def state_dict(self) -> dict[str, Any]:
        """The figures so far, such that the mean rounds as if nothing had come in between."""
        state: dict[str, Any] = {"names": self.names, "count": self.count, "sizes": self.sizes}
        tensors = {"sum": self.sum, "pending": torch.stack(self.pending) if self.pending else None}
        return state | {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Restore a state of `state_dict`."""
        self.names, self.count, self.sizes = list(state["names"]), state["count"], list(state["sizes"])
        self.sum = state["sum"].to(device) if "sum" in state else None
        self.pending = list(state["pending"].to(device).unbind()) if "pending" in state else []

    def gather(self) -> None:
        """Add up the sums of all processes, each with the figures of its own rows of every batch."""
        self._add_pending()
        group.add_up([self.sum])

    def so_far(self, weights: dict[str, float]) -> Scores:
        """An estimate of `scores` from this process's own rows, without waiting for other processes."""
        own = copy.copy(self)  # reports follow a clock, so they must not change how the sums round
        own._add_pending()
        assert own.sum is not None
        own.sum = own.sum * group.count()
        return own.scores(weights)

    def scores(self, weights: dict[str, float]) -> Scores:
        """The means over all data added so far, with these weights of the terms in the loss."""
        self._add_pending()
        assert self.sum is not None
        means = dict(zip(self.names, (self.sum / self.count).tolist(), strict=True))
        terms = {name: means[f"term/{name}"] for name in weights}
        critics = {name.removeprefix("critic/"): value for name, value in means.items() if name.startswith("critic/")}
        reconstruction, kl = means.get("reconstruction"), means.get("kl")
        loss = math.fsum(weights[name] * value for name, value in terms.items())
        elbo = None if reconstruction is None or kl is None else -reconstruction - kl
        return Scores(loss, terms, critics, reconstruction, kl, elbo)
