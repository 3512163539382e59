"""The mutual information gap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from genkit import Description, MetricData, TrainedModel
from genkit_disentanglement.factors import Array, FactorMetric, gaps, table


class MIG(FactorMetric):
    """The mutual information gap of Chen et al. 2018 (arXiv:1802.04942), section 4.

    For each factor v: [I(z_1; v) − I(z_2; v)] / H(v), where z_1 and z_2 are the two latents that tell most of it; the
    mean over the factors. The latents are the points of the data in bins of equal width, as Locatello et al. 2019
    (arXiv:1811.12359) have them. Few data per bin make all informations too large: measure on a thousand or more.

    Args:
        config: the number of bins, and the factors.
    """

    figures: Mapping[str, Description] = {
        "gap": Description(
            "mutual information gap",
            "",
            "higher",
            "How much more one latent tells of a factor than the next, as a share of the factor's entropy: 1 where "
            "each factor is in one latent alone (Chen et al. 2018, section 4).",
            ".3f",
        ),
    }

    class Config(FactorMetric.Config):
        """Options of the gap."""

        name: Literal["mig"] = "mig"
        bins: Annotated[int, Field(ge=2, description="the number of bins of a latent")] = 20

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The gap of the split; nothing is drawn."""
        from sklearn.metrics import mutual_info_score

        codes = self.codes(model, data.split)
        codes = codes._replace(z=np.stack([binned(z, self.config.bins) for z in codes.z.T], 1))
        entropies = np.array([mutual_info_score(factor, factor) for factor in codes.factors.values()])
        return {"gap": float((gaps(table(codes, mutual_info_score)) / entropies).mean())}


def binned(z: Array, bins: int) -> Array:
    """The bins of numbers, of equal width from the least to the greatest: (N,) -> (N,)."""
    edges = np.histogram_bin_edges(z, bins)
    places: Array = np.digitize(z, edges[1:-1])
    return places
