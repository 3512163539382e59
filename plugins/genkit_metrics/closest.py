"""The closest record: whether sampled data lie nearer to the training data than data that were held out do.

N data, D places of a datum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Description, Metric, MetricData, TrainedModel
from genkit_metrics.units import Units

BLOCK = 2**24
"""About the number of values or of distances that are in memory at once."""
FITTED = 100_000
"""The largest number of training data by which units are fitted, from the start."""
SAME = 1e-6
"""The distance up to which two records are one."""


class ClosestRecord(Metric):
    """Distances from sampled data to the closest training record, beside those of held-out data.

    A model that has learned the distribution gives data that are as far from the records as held-out data are: half of
    them are closer than the median of those. Of one that repeats its training data, nearly all are (the distance to the
    closest record of Zhao et al. 2021, arXiv:2102.08369). Distances are Euclidean: a standard deviation of a
    number is 1, and so is another category, another truth, or a value that is missing in one of the two.

    Args:
        config: the number of data.
    """

    needs = ("prior",)
    figures: Mapping[str, Description] = {
        "sampled": Description(
            "distance to the closest record, sampled",
            "",
            None,
            "The median over sampled data of the distance to the closest training record.",
        ),
        "held_out": Description(
            "distance to the closest record, held out", "", None, "The same median over the data of the split."
        ),
        "closer": Description(
            "sampled data closer than held-out ones",
            "",
            None,
            "The share of sampled data that are closer to a training record than the median of the data of the split: "
            "about 50% where sampled data are like held-out ones, near 100% where training data are repeated.",
            ".1%",
        ),
        "copies": Description(
            "sampled data that are training records",
            "",
            None,
            "The share of sampled data at distance 0; common records of a table of categories are drawn again rightly.",
            ".1%",
        ),
    }

    class Config(Metric.Config):
        """Options of the distances."""

        name: Literal["closest_record"] = "closest_record"
        rows: Annotated[
            int, Field(ge=1, description="the greatest number of sampled data, and of data of the split")
        ] = 2000

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The distances of as many sampled data as there are of the split, up to `rows`."""
        units = Units(data.train.first(FITTED), data.columns)
        held_out = units(data.split.first(self.config.rows))
        both = torch.cat([units(data.sampled(len(held_out))), held_out])
        of_sampled, of_held_out = self._closest(both, data, units).chunk(2)
        median = of_held_out.median()
        return {
            "sampled": float(of_sampled.median()),
            "held_out": float(median),
            "closer": float((of_sampled < median).double().mean()),
            "copies": float((of_sampled <= SAME).double().mean()),
        }

    def _closest(self, x: Tensor, data: MetricData, units: Units) -> Tensor:
        """The distance from each datum (N, D) to the closest training record, which are read in blocks: (N,)."""
        places = torch.arange(len(data.train.x)).split(max(1, BLOCK // x.shape[1]))
        return torch.stack([closest(x, units(data.train.rows(rows))) for rows in places]).amin(0)


def closest(x: Tensor, records: Tensor) -> Tensor:
    """The distance from each datum (N, D) to the closest of the records (M, D): (N,)."""
    parts = x.split(max(1, BLOCK // len(records)))
    return torch.cat(
        [torch.cdist(part, records, compute_mode="donot_use_mm_for_euclid_dist").amin(1) for part in parts]
    )
