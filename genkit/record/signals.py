"""Signals: what is recorded of a run, which the rules of the diagnosis read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from genkit.data.assumptions import scale_doubts, unscaled_range
from genkit.data.dataset import Dataset, DataSignature
from genkit.evaluation.figures import Evaluation
from genkit.record.scores import EpochRecord, Scores

FALLING = 0.04
"""The fall between the halves of the last quarter of a run, as a part of its whole fall, of a loss that still falls."""


class Signals(NamedTuple):
    """What is recorded of a run, or of a trained model; what is missing is empty or None."""

    history: Sequence[EpochRecord] = ()
    evaluation: Evaluation | None = None
    """The figures of a split."""
    signature: DataSignature | None = None
    """The signature of the data."""
    data: Dataset | None = None
    """The data themselves, which say more of their scale than their signature."""
    keeps_best: bool = False
    """Whether the weights are those of the best epoch on the validation data."""

    def losses(self, split: str) -> list[float]:
        """The loss of each epoch with the weights of the last one, without the terms that have a critic.

        A weight that rises is no loss that rises, and a loss that a critic works against has no direction. Empty where
        no term is left, or not every epoch has scores of the split.

        Args:
            split: train or validation.
        """
        scores: list[Scores | None] = [getattr(record, split) for record in self.history]
        if not self.history or None in scores:
            return []
        last = self.history[-1]
        weights = {name: weight for name, weight in last.weights.items() if name not in last.train.critics}
        sums = [math.fsum(weights[name] * each.terms[name] for name in weights) for each in scores if each is not None]
        return sums if weights else []

    @property
    def unscaled(self) -> str | None:
        """The doubt about the scale of the data, with its remedy; None: there is none."""
        if self.data is None:
            return None if self.signature is None else unscaled_range(self.signature)
        limits = self.data.range() if self.signature is None else self.signature.range
        return next(iter(scale_doubts(self.data, limits)), None)

    @property
    def falling(self) -> bool:
        """Whether the loss, of held-out data where there are some, still falls in the last quarter of the run."""
        losses = self.losses("validation") or self.losses("train")
        last = losses[-max(2, len(losses) // 4 + 1) :]
        half = len(last) // 2
        return len(losses) > 1 and fmean(last[:half]) - fmean(last[half:]) > FALLING * (losses[0] - losses[-1]) > 0
