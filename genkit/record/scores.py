"""What is known of how well a model does: figures of a batch, of a split, of an epoch.

All are means over data, in nats per datum.
"""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from genkit.parallel import group

Figures = dict[str, Tensor]
"""Means over a batch, () each, detached: `term/NAME`, `critic/NAME`, `reconstruction`, `kl`."""

KEPT = 64
"""Batches whose figures are added up at once."""


@dataclass(frozen=True)
class Scores:
    """Means over the data of a split, in nats per datum."""

    loss: float
    """What is minimised: the weighted sum of the terms."""
    terms: dict[str, float]
    """Each term, unweighted."""
    critics: dict[str, float]
    """What each learned term's own parameters minimise; not known of held-out data."""
    reconstruction: float | None
    """E_q[-log p(x|z)]; None without an encoder."""
    kl: float | None
    """KL(q(z|x) || p(z)); None without an encoder, or where the sampler has none."""
    elbo: float | None
    """The evidence lower bound, -reconstruction - kl, whatever the weights (Kingma & Welling 2014, arXiv:1312.6114)."""


@dataclass(frozen=True)
class EpochRecord:
    """What an epoch came to."""

    epoch: int
    """From 1."""
    steps: int
    """Optimisation steps since the start of the run."""
    seconds: float
    """Of training, validation left out."""
    examples_per_second: float
    lr: float
    weights: dict[str, float]
    """The factor of each term at the last step of the epoch."""
    train: Scores
    validation: Scores | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> EpochRecord:
        """What `to_json` gave."""
        validation = values["validation"]
        scores = {"train": Scores(**values["train"]), "validation": validation and Scores(**validation)}
        return cls(**{**values, **scores})


@dataclass(frozen=True)
class Progress:
    """How far an epoch has come."""

    epoch: int
    epochs: int
    step: int
    steps: int
    examples_per_second: float
    weights: dict[str, float]
    """The factor of each term at this step."""
    scores: Scores
    """Of the part of the epoch that is done."""


class Total:
    """A running mean of figures, kept on the device so that no step waits for it.

    Args:
        dtype: of the sums.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.names: list[str] = []
        self.sum: Tensor | None = None
        self.count = 0
        self.kept: list[Tensor] = []
        """Figures of batches that are not in the sum yet: one call for many costs less than a call for each."""
        self.sizes: list[int] = []

    def add(self, figures: Figures, size: int) -> None:
        """Add the figures of a batch of so many data."""
        self.names = list(figures)
        self.kept += figures.values()
        self.sizes.append(size)
        self.count += size
        if len(self.sizes) == KEPT:
            self._add_kept()

    def _add_kept(self) -> None:
        if self.sizes:
            rows = torch.stack(self.kept).to(self.dtype).view(len(self.sizes), -1)
            added = torch.tensor(self.sizes, dtype=self.dtype, device=rows.device) @ rows
            self.sum = added if self.sum is None else self.sum + added
            self.kept, self.sizes = [], []

    def gather(self) -> None:
        """Add up what the processes hold: each knows the figures of its own part of every batch."""
        self._add_kept()
        group.add_up([self.sum])

    def so_far(self, weights: dict[str, float]) -> Scores:
        """About what `scores` will give: from this process's own part of the batches, without waiting for others."""
        own = copy.copy(self)  # to ask, which goes by a clock, must not change how sums round
        own._add_kept()
        assert own.sum is not None
        own.sum = own.sum * group.count()
        return own.scores(weights)

    def scores(self, weights: dict[str, float]) -> Scores:
        """The means over all data added, the terms weighted so."""
        self._add_kept()
        assert self.sum is not None
        means = dict(zip(self.names, (self.sum / self.count).tolist(), strict=True))
        terms = {name: means[f"term/{name}"] for name in weights}
        critics = {name.removeprefix("critic/"): value for name, value in means.items() if name.startswith("critic/")}
        reconstruction, kl = means.get("reconstruction"), means.get("kl")
        loss = math.fsum(weights[name] * value for name, value in terms.items())
        elbo = None if reconstruction is None or kl is None else -reconstruction - kl
        return Scores(loss, terms, critics, reconstruction, kl, elbo)
