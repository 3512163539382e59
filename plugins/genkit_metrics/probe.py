"""Probes of a model's latents for labels: simple classifiers on the latents, and on as many principal components.

N data, D latent dimensions.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from genkit import Description, Metric, MetricData, TrainedModel

MOST, NUMBERS = 10_000, 2**25
"""The largest number of training data, taken from the start, and of numbers in them or in their latents.

More take long and much memory, and change the accuracies little."""

Array = np.ndarray[Any, Any]


class Probe(Metric):
    """The accuracies, from 0 to 1, of classifiers that are fitted to the training split.

    They read the latents, and for comparison as many principal components of the data. With one class there is nothing
    to tell apart, and no figure.

    Args:
        config: the number of neighbours.
    """

    needs = ("encoder", "labels")
    in_evaluate = True
    figures: Mapping[str, Description] = {
        "knn": Description("nearest neighbours", "", "higher", "Accuracy of the nearest neighbours.", ".3f"),
        "linear": Description(
            "linear classifier", "", "higher", "Accuracy of logistic regression on the latents.", ".3f"
        ),
        "knn_pca": Description(
            "nearest neighbours, PCA", "", None, "The same accuracy in as many principal components of the data.", ".3f"
        ),
        "linear_pca": Description(
            "linear classifier, PCA", "", None, "The same accuracy on these principal components.", ".3f"
        ),
    }

    class Config(Metric.Config):
        """Options of the probes."""

        name: Literal["probe"] = "probe"
        neighbours: Annotated[int, Field(ge=1, description="how many nearest neighbours vote for the class")] = 5

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The accuracies on the split; nothing is drawn."""
        count = min(MOST, max(100, NUMBERS // max(math.prod(model.shape), math.prod(model.sampler.latent_shape))))
        assert data.split.labels is not None
        assert data.train.labels is not None
        labels, train_labels = data.split.labels.cpu().numpy(), data.train.labels[:count].cpu().numpy()
        if len(np.unique(train_labels)) < 2:
            return {}
        from sklearn.decomposition import PCA

        z, z_train = (model.encode(each).flatten(1).cpu().numpy() for each in (data.split, data.train.first(count)))
        x, x_train = (_flat(x[:count]) for x, count in ((data.split.x, None), (data.train.x, count)))
        pca = PCA(min(z.shape[1], *x_train.shape), random_state=0).fit(x_train)
        knn, linear = self._accuracies(z_train, train_labels, z, labels)
        knn_pca, linear_pca = self._accuracies(pca.transform(x_train), train_labels, pca.transform(x), labels)
        return {"knn": knn, "linear": linear, "knn_pca": knn_pca, "linear_pca": linear_pca}

    def _accuracies(self, train: Array, train_labels: Array, x: Array, labels: Array) -> tuple[float, float]:
        """The accuracies of nearest neighbours, and of logistic regression on scaled features; features are (N, D)."""
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        enough = len(train) >= self.config.neighbours
        neighbours = KNeighborsClassifier(self.config.neighbours if enough else 1).fit(train, train_labels)
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it did not converge to the last digit: the accuracy is the same
            linear.fit(train, train_labels)
        return float(neighbours.score(x, labels)), float(linear.score(x, labels))


def _flat(x: Tensor) -> Array:
    """The data (N, *shape) as the model sees them, (N, values) in float32."""
    values = x.float() / 255 if x.dtype == torch.uint8 else x.float()
    flat: Array = values.flatten(1).cpu().numpy()
    return flat
