"""Totals: running means of the figures of batches, from which scores are computed."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit.parallel import group
from genkit.record.scores import Scores

Figures = dict[str, Tensor]
"""Means over a batch, each () and detached: `term/NAME`, `critic/NAME`, `reconstruction`, `kl`."""

BATCHES_PER_SUM = 64
"""The number of batches whose figures are added up at once."""


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
