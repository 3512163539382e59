"""Scores: how well a model does on a batch, a split or an epoch.

All figures are means over data, in nats per datum.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter


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
    """The number of the epoch, from 1."""
    epochs: int
    """The number of epochs of the whole training."""
    step: int
    """The number of steps of this epoch that are done."""
    steps: int
    """The number of steps of an epoch."""
    examples_per_second: float
    """The rate of training, in data per second."""
    weights: dict[str, float]
    """The factor of each term at this step."""
    scores: Scores
    """The scores over the steps that are done."""
