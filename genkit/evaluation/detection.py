"""Detection of anomalies by scores: a threshold at a false-alarm rate, and how well scores tell anomalies apart.

N data.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import Split
from genkit.interfaces.classes import class_indices

ROUNDING = 1e-9
"""How far above a whole number a product of a rate and a count may be by rounding alone."""


class Threshold(NamedTuple):
    """A score above which a datum counts as an anomaly."""

    value: float
    alarms: int
    """The number of the data it was fitted to that are above it."""
    fitted: int
    """The number of these data."""

    @property
    def rate(self) -> float:
        """Their share."""
        return self.alarms / self.fitted


class Separation(NamedTuple):
    """How well scores tell anomalies from other data."""

    auroc: float
    """The probability that an anomaly has a larger score than another datum."""
    average_precision: float
    """The mean of the precision over the recall."""
    anomalies: int
    others: int


def threshold(scores: Tensor, rate: float) -> Threshold:
    """The least of the scores (N,) of usual data above which are at most a share `rate` of them.

    The share is ⌊rate · N⌋ / N, or less where scores are equal. Raises DataError where there are no scores.
    """
    if not len(scores):
        raise DataError("a threshold at a false-alarm rate needs scores of usual data, and there are none")
    allowed = min(len(scores) - 1, math.floor(rate * len(scores) + ROUNDING))
    value = float(scores.sort(descending=True).values[allowed])
    return Threshold(value, int((scores > value).sum()), len(scores))


def separation(scores: Tensor, is_anomaly: Tensor) -> Separation:
    """AUROC and average precision of scores (N,), with which of the data are anomalies (N,).

    Raises:
        DataError: all of the data are anomalies, or none is.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    anomalies = int(is_anomaly.sum())
    others = len(is_anomaly) - anomalies
    if not anomalies or not others:
        raise DataError(
            f"there are {anomalies:,} anomalies and {others:,} other data, and AUROC compares both; name other "
            "classes, or score other data"
        )
    truth, values = is_anomaly.cpu().numpy(), scores.cpu().numpy()
    auroc, precision = roc_auc_score(truth, values), average_precision_score(truth, values)
    return Separation(float(auroc), float(precision), anomalies, others)


def anomalies(split: Split, classes: tuple[str, ...] | None, anomalous: Iterable[int | str]) -> Tensor:
    """Which of the data of a split are of some classes: (N,); raises DataError without labels, or such a class."""
    if split.labels is None:
        raise DataError("the data have no labels that say which are anomalies; say where the labels are")
    wanted = class_indices(anomalous, classes, split.labels, "anomalies")
    return torch.isin(split.labels, torch.tensor(wanted, device=split.labels.device))
