"""Probes of a model's latents for labels: simple classifiers on the latents, and on as many principal components.

N data, D latent dimensions.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from torch import Tensor

from genkit.data.dataset import Dataset, as_float
from genkit.evaluation.descriptions import Description
from genkit.model.model import Model

NEIGHBOURS = 5
MOST, NUMBERS = 10_000, 2**25
"""The largest number of training data, taken from the start, and of numbers in them or in their latents.

More take long and much memory, and change the accuracies little."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Probes:
    """The accuracies on a split, from 0 to 1, of classifiers that were fitted to the training split."""

    knn: Annotated[
        float,
        Description("nearest neighbours", "", "higher", "Accuracy of the 5 nearest neighbours in latent space.", ".3f"),
    ]
    linear: Annotated[
        float,
        Description("linear classifier", "", "higher", "Accuracy of logistic regression on the latents.", ".3f"),
    ]
    knn_pca: Annotated[
        float,
        Description(
            "nearest neighbours, PCA", "", None, "The same accuracy in as many principal components of the data.", ".3f"
        ),
    ]
    linear_pca: Annotated[
        float,
        Description("linear classifier, PCA", "", None, "The same accuracy on these principal components.", ".3f"),
    ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def probe(model: Model, data: Dataset, split: str = "test") -> Probes | None:
    """The accuracies of the probes; None without an encoder, without labels or with one class.

    Raises:
        DataError: the split is empty, or its data do not fit the model.
    """
    held_out, train = data.split(split), data.train
    if model.encoder is None or held_out.labels is None or train.labels is None:
        return None
    count = min(MOST, max(100, NUMBERS // max(math.prod(model.shape), math.prod(model.sampler.latent_shape))))
    labels, train_labels = held_out.labels.cpu().numpy(), train.labels[:count].cpu().numpy()
    if len(np.unique(train_labels)) < 2:
        return None
    from sklearn.decomposition import PCA

    z, z_train = (model.encode(each).flatten(1).cpu().numpy() for each in (held_out, train.first(count)))
    x, x_train = (_flat(x) for x in (held_out.x, train.x[:count]))
    pca = PCA(min(z.shape[1], *x_train.shape), random_state=0).fit(x_train)
    components, components_train = pca.transform(x), pca.transform(x_train)
    of_latents = _accuracies(z_train, train_labels, z, labels)
    return Probes(*of_latents, *_accuracies(components_train, train_labels, components, labels))


def _flat(x: Tensor) -> Array:
    flat: Array = as_float(x).flatten(1).cpu().numpy()
    return flat


def _accuracies(train: Array, train_labels: Array, x: Array, labels: Array) -> tuple[float, float]:
    """The accuracies of nearest neighbours, and of logistic regression on scaled features; features are (N, D)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    neighbours = KNeighborsClassifier(NEIGHBOURS if len(train) >= NEIGHBOURS else 1).fit(train, train_labels)
    linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it did not converge to the last digit: the accuracy is the same
        linear.fit(train, train_labels)
    return float(neighbours.score(x, labels)), float(linear.score(x, labels))
