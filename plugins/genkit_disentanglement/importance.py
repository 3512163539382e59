"""Disentanglement, completeness and informativeness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from genkit import Description, MetricData, TrainedModel
from genkit_disentanglement.factors import FactorMetric, entropy, seeded

SOURCE = "(Eastwood & Williams 2018)"


class DCI(FactorMetric):
    """The three figures of Eastwood & Williams 2018 (openreview.net/forum?id=By-7dz-AZ), section 3.

    R_df is the importance of latent d for a random forest that predicts factor f, fitted to the training split.
    Disentanglement is Σ_d ρ_d (1 − H(R_d· / ΣR_d·)), with ρ_d the share of latent d in all importances and entropies in
    units of the largest; completeness is the mean of 1 − H(R_·f / ΣR_·f) over the factors; informativeness is the mean
    accuracy of the forests on the split, for factors that are classes.

    Args:
        config: the size of the forests, and the factors.
    """

    figures: Mapping[str, Description] = {
        "disentanglement": Description(
            "disentanglement", "", "higher", f"1 where each latent tells of one factor alone {SOURCE}.", ".3f"
        ),
        "completeness": Description(
            "completeness", "", "higher", f"1 where each factor is told by one latent alone {SOURCE}.", ".3f"
        ),
        "informativeness": Description(
            "informativeness",
            "",
            "higher",
            f"The mean accuracy of random forests that predict the factors from the latents {SOURCE}.",
            ".3f",
        ),
    }

    class Config(FactorMetric.Config):
        """Options of the forests."""

        name: Literal["dci"] = "dci"
        trees: Annotated[int, Field(ge=1, le=10_000, description="the number of trees of a forest")] = 20

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The figures of the split; the forests are drawn by the seed."""
        from sklearn.ensemble import RandomForestClassifier

        train, held_out = self.both(model, data)
        columns, accuracies = [], []
        for name, factor in train.factors.items():
            forest = RandomForestClassifier(self.config.trees, max_features=None, random_state=seeded(seed))
            forest.fit(train.z, factor)
            columns.append(forest.feature_importances_)
            if name in held_out.factors:
                accuracies.append(forest.score(held_out.z, held_out.factors[name]))
        importances = np.stack(columns, 1)  # (D, F)
        of_latents, of_factors = importances.sum(1, keepdims=True), importances.sum(0, keepdims=True)
        single = 1 - entropy(importances / np.where(of_latents > 0, of_latents, 1.0))
        return {
            "disentanglement": float((single * of_latents[:, 0]).sum() / of_latents.sum()),
            "completeness": float((1 - entropy((importances / of_factors).T)).mean()),
            "informativeness": float(np.mean(accuracies)),
        }
