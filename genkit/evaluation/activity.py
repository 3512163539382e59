"""The activity of latent dimensions over held-out data, batch by batch.

B data, D latent dimensions.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genkit.evaluation.figures import ACTIVE
from genkit.parallel import group


class Activity:
    """Counts the dimensions whose posterior mean varies over the data (Burda et al. 2016, arXiv:1509.00519).

    Args:
        dtype: the type of the sums.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self.sums: Tensor | None = None
        """The sums of 1, of the means and of their squares, (3, D); None: there is no latent yet."""

    def add(self, mean: Tensor) -> None:
        """Add the posterior means (B, *latent_shape) of this process's rows of a batch."""
        means = mean.detach().flatten(1)
        summands = (torch.ones_like(means), means, means.square())
        row = torch.stack([each.sum(0, dtype=self.dtype) for each in summands])
        self.sums = row if self.sums is None else self.sums + row

    def active(self) -> int | None:
        """The number of active dimensions over the data of all processes; None: no means were added."""
        if self.sums is None:
            return None
        group.add_up([self.sums])
        count, total, squares = self.sums
        return int((squares / count - (total / count).square() > ACTIVE).sum())
