"""The separated attribute predictability."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from genkit import Description, MetricData, TrainedModel
from genkit_disentanglement.factors import Array, FactorMetric, gaps


class SAP(FactorMetric):
    """The separated attribute predictability of Kumar et al. 2018 (arXiv:1711.00848), section 3.

    For each factor the gap between the two latents that predict it best, by the mean of the accuracies over its
    classes; the mean over the factors. A predictor has thresholds on one latent, fitted to the training split with the
    classes weighted alike: the splits of a decision tree with as many leaves as there are classes. A factor of C
    classes has a gap of at most 1 − 1 / C, as chance is right in 1 / C.

    Args:
        config: the factors.
    """

    figures: Mapping[str, Description] = {
        "gap": Description(
            "separated attribute predictability",
            "",
            "higher",
            "How much better one latent predicts a factor than the next, in accuracy (Kumar et al. 2018, section 3).",
            ".3f",
        ),
    }

    class Config(FactorMetric.Config):
        """Options of the predictability."""

        name: Literal["sap"] = "sap"

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The gap on the split; nothing is drawn."""
        train, held_out = self.both(model, data)
        shared = [name for name in train.factors if name in held_out.factors]
        scores = [
            [
                _accuracy(train.z[:, [d]], train.factors[name], held_out.z[:, [d]], held_out.factors[name])
                for name in shared
            ]
            for d in range(train.z.shape[1])
        ]
        return {"gap": float(gaps(np.array(scores)).mean())}


def _accuracy(train: Array, train_factor: Array, z: Array, factor: Array) -> float:
    """The mean of the accuracies over the classes, of thresholds on one latent: (N, 1) and (N,) each."""
    from sklearn.tree import DecisionTreeClassifier

    leaves = max(2, len(np.unique(train_factor)))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, class_weight="balanced", random_state=0)
    right = tree.fit(train, train_factor).predict(z) == factor
    return float(np.mean([right[factor == each].mean() for each in np.unique(factor)]))
