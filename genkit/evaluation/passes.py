"""Passes of a split's data through a model, batch by batch, for figures of trained models.

B data, K draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from genkit.data.dataset import Dataset, as_float
from genkit.interfaces import Forward, Split
from genkit.interfaces.component import MASK
from genkit.model.model import Model


@dataclass(frozen=True)
class BatchPass:
    """The passes of one batch; each call draws anew."""

    model: Model
    own: Tensor
    """The batch (B, *shape) in the data's own units."""
    side: Mapping[str, Tensor]
    """The side data that the model reads, (B, ...) each."""

    def __call__(self, draws: int) -> Forward:
        """One pass with K = `draws` draws from q(z|x); its log_prob is a density in the data's own units."""
        forward: Forward = self.model(self.model.transforms(self.own), draws, self.side)
        if not self.model.transforms.lasting or forward.log_prob is None:
            return forward
        mask = self.side[MASK] if self.model.schema.is_padded else None
        return forward._replace(log_prob=forward.log_prob + self.model.transforms.log_det(self.own, mask))


def passes(model: Model, data: Dataset, split: Split, size: int) -> Iterator[BatchPass]:
    """The passes of each batch of `size` data of a split, in order."""
    for batch in data.untransformed().batches(split, size, names=model.inputs):
        side = {name: values.to(model.device) for name, values in batch.side.items()}
        yield BatchPass(model, as_float(batch.x.to(model.device)), side)
