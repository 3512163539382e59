"""Training on sampled data: whether a classifier of sampled rows is one of real rows too.

N data, D places of a datum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from genkit import DataError, Description, Metric, MetricData, Split, TrainedModel
from genkit.interfaces import Column
from genkit_metrics.units import Units

TREES = 100
TESTED = 100_000
"""The largest number of data of the split on which the classifiers are tested, from the start."""
Array = np.ndarray[Any, Any]


class TrainOnSampled(Metric):
    """The accuracy of a classifier that is trained on sampled data and tested on real ones.

    Beside it stands the same classifier trained on as many real training data, the most that can be expected, and the
    share of the most frequent class, what a classifier without features would have (train on synthetic, test on real:
    Esteban et al. 2017, arXiv:1706.02633). It is a random forest on all columns, in units that
    `closest_record` has too. Classes are those of a column of a table, or the labels of a conditional model.

    Args:
        config: the column of the classes, those to leave out, and the number of data.
    """

    needs = ("prior",)
    figures: Mapping[str, Description] = {
        "sampled": Description(
            "accuracy, trained on sampled data",
            "",
            "higher",
            "On the data of the split, of a random forest that is trained on sampled data.",
            ".3f",
        ),
        "real": Description(
            "accuracy, trained on real data", "", None, "The same, trained on as many training data.", ".3f"
        ),
        "most_frequent": Description(
            "share of the most frequent class", "", None, "In the split, of the class most frequent in training.", ".3f"
        ),
    }

    class Config(Metric.Config):
        """Options of the classifier."""

        name: Literal["train_on_sampled"] = "train_on_sampled"
        label: Annotated[
            str | None,
            Field(
                description="the column of a table that is predicted, of categories or truths; null: the labels, on "
                "which the model is conditioned"
            ),
        ] = None
        without: Annotated[
            tuple[str, ...],
            Field(description="columns that the classifier does not see, such as those that say the same as the label"),
        ] = ()
        rows: Annotated[int, Field(ge=1, description="the greatest number of data that are trained on")] = 5000

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The accuracies on the split; raises DataError where there are no classes to predict."""
        real = data.train.first(self.config.rows)
        sampled = data.sampled(len(real.x))
        features = self._features(data)
        (x, y), (x_real, y_real), (x_sampled, y_sampled) = (
            features(each) for each in (data.split.first(TESTED), real, sampled)
        )
        values, counts = np.unique(y_real, return_counts=True)
        return {
            "sampled": _accuracy(x_sampled, y_sampled, x, y, seed),
            "real": _accuracy(x_real, y_real, x, y, seed),
            "most_frequent": float((y == values[counts.argmax()]).mean()),
        }

    def _features(self, data: MetricData) -> Any:
        """A function from a split to its features (N, D) and its classes (N,), without rows whose class is missing."""
        columns = {column.name: column for column in data.columns}
        for name in (*self.config.without, *([] if self.config.label is None else [self.config.label])):
            if name not in columns:
                listed = ", ".join(columns) if columns else "none, as the data are no table"
                raise DataError(f"there is no column '{name}'; there are {listed}")
        label = None if self.config.label is None else columns[self.config.label]
        if label is not None and label.kind not in ("categorical", "boolean"):
            raise DataError(f"column '{label.name}' has no classes, it is {label.kind}; name one that has")
        hidden = [columns[name] for name in self.config.without] + ([] if label is None else [label])
        units = Units(data.train.first(self.config.rows), data.columns)
        places = _places_without(hidden, math.prod(data.train.x.shape[1:]))

        def features(split: Split) -> tuple[Array, Array]:
            classes, there = _classes(split, label)
            return units(split).numpy()[there][:, places], classes[there]

        return features


def _places_without(columns: Sequence[Column], size: int) -> list[int]:
    """The places of a datum that belong to none of some columns."""
    taken = {place for column in columns for place in range(column.start, column.start + column.width)}
    taken |= {column.mark for column in columns if column.mark is not None}
    return [place for place in range(size) if place not in taken]


def _classes(split: Split, label: Column | None) -> tuple[Array, Array]:
    """The classes (N,) of a split, and for which of its data there is one."""
    if label is None:
        if split.labels is None:
            raise DataError(
                "sampled data have no labels to predict: train the model with condition: labels, or name a column of "
                "its table by train_on_sampled.label=..."
            )
        labels: Array = split.labels.cpu().numpy()
        return labels, np.ones(len(labels), bool)
    x = split.x[:].cpu().numpy()
    values = x[:, label.start : label.start + label.width]
    classes = values.argmax(1) if label.kind == "categorical" else (values[:, 0] >= 0.5).astype(np.int64)
    return classes, np.ones(len(x), bool) if label.mark is None else x[:, label.mark] < 0.5


def _accuracy(x_train: Array, y_train: Array, x: Array, y: Array, seed: int) -> float:
    from sklearn.ensemble import RandomForestClassifier

    if not len(x_train) or not len(x):
        raise DataError("the label is missing in all of the rows; name another column")
    return float(RandomForestClassifier(TREES, random_state=seed).fit(x_train, y_train).score(x, y))
