"""Anomalies: how well a model's score of each datum tells classes that are anomalies from others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from genkit import DataError, Description, Metric, MetricData, TrainedModel, estimate
from genkit.interfaces import class_indices
from genkit.interfaces.data import Classes, one_class

ROWS = 1024
"""About the number of draws, over the data of a batch, that go through the decoder at once."""


class Anomaly(Metric):
    """AUROC and average precision of the score of `genkit score`: −ELBO, or the reconstruction where there is no KL.

    A split without anomalies, or with nothing else, has no figure.

    Args:
        config: the classes, and the number of draws.
    """

    needs = ("encoder", "labels")
    figures: Mapping[str, Description] = {
        "auroc": Description(
            "AUROC of anomalies",
            "",
            "higher",
            "The probability that an anomaly has a larger score than another datum.",
            ".4f",
        ),
        "average_precision": Description(
            "average precision of anomalies",
            "",
            "higher",
            "The mean precision over the recall; by chance it is the share of anomalies.",
            ".4f",
        ),
    }

    class Config(Metric.Config):
        """Options of the separation."""

        name: Literal["anomaly"] = "anomaly"
        anomalous: Annotated[
            Classes,
            BeforeValidator(one_class, json_schema_input_type=Classes | int | str),
            Field(
                description="the classes that are anomalies, by name or number; none: those that the training split "
                "lacks, such as all but those of data.keep"
            ),
        ] = ()
        draws: Annotated[int, Field(ge=1, description="the number K of draws from q(z|x) per datum")] = 16

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The figures of the split, from its labels."""
        truth = self._anomalies(data).cpu().numpy()
        if truth.all() or not truth.any():
            return {}
        from sklearn.metrics import average_precision_score, roc_auc_score

        draws = self.config.draws
        scores = torch.cat([estimate(each, draws, ROWS).score for each in data.passes(max(1, ROWS // draws))]).numpy()
        return {
            "auroc": float(roc_auc_score(truth, scores)),
            "average_precision": float(average_precision_score(truth, scores)),
        }

    def _anomalies(self, data: MetricData) -> Tensor:
        """Which data of the split are anomalies; raises DataError where nothing says so."""
        labels, usual = data.split.labels, data.train.labels
        assert labels is not None
        assert usual is not None
        if self.config.anomalous:
            every = torch.cat([labels, usual])
            wanted = class_indices(self.config.anomalous, data.classes, every, "anomalous")
            return torch.isin(labels, torch.tensor(wanted, device=labels.device))
        if data.classes is not None and len(usual.unique()) == len(data.classes):
            raise DataError("the training data are of all classes; say which are anomalies: anomaly.anomalous=[...]")
        return ~torch.isin(labels, usual)
