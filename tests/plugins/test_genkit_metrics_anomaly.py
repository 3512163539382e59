"""AUROC and average precision against scikit-learn and against the scores that commands write."""

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from genkit.data.dataset import Dataset
from genkit.errors import MetricError
from genkit.evaluation.metrics import measure
from genkit.evaluation.scoring import score
from genkit.interfaces import Split
from genkit_metrics import Anomaly
from tests.models import built

NAMES = ("usual", "odd", "broken")


def data_of(labels, train=(0, 0, 0), classes=NAMES):
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor(labels)
    x = torch.randn(len(labels), 4, generator=generator) * (1 + labels[:, None])
    return Dataset(Split(x[:3], torch.tensor(train)), None, Split(x, labels), classes, False)


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return built((4,))


@pytest.mark.parametrize("draws", [1, 16])
@pytest.mark.parametrize(("anomalous", "which"), [((), {1, 2}), (("odd",), {1}), ((2,), {2}), ("broken", {2})])
def test_the_figures_are_those_of_the_scores(model, draws, anomalous, which):
    data = data_of([0, 1, 2, 0, 0, 1] * 15)
    figures = measure(model, data, Anomaly.Config(anomalous=anomalous, draws=draws), seed=5)
    truth = [int(label) in which for label in data.test.labels]
    scores = score(model, data, draws=draws, seed=5).score
    assert figures["auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert figures["average_precision"] == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


def test_a_model_without_a_kl_is_measured_by_its_reconstruction():
    torch.manual_seed(0)
    model = built((4,), sampler={"name": "point", "latent": 2}, loss="reconstruction")
    data = data_of([0, 1] * 30)
    figures = measure(model, data, Anomaly.Config())
    squares = (data.test.x - model.reconstruct(data.test.x)).square().sum(1)
    assert figures["auroc"] == pytest.approx(roc_auc_score(data.test.labels, squares), abs=1e-9)


@pytest.mark.parametrize("labels", [[0] * 9, [1] * 9])
def test_a_split_of_one_kind_has_no_figure(model, labels):
    assert measure(model, data_of(labels), Anomaly.Config()) == {}


@pytest.mark.parametrize(
    ("options", "train", "message"),
    [
        ({"anomalous": ["od"]}, (0, 0, 0), "metric 'anomaly': anomalous: there is no class 'od'; there are usual, odd"),
        ({}, (0, 1, 2), "the training data are of all classes; say which are anomalies"),
    ],
)
def test_what_says_no_anomalies_is_refused(model, options, train, message):
    with pytest.raises(MetricError, match=message):
        measure(model, data_of([0, 1, 2] * 3, train), Anomaly.Config(**options))


def test_labels_are_needed(model):
    data = Dataset(Split(torch.zeros(3, 4), None), None, Split(torch.zeros(3, 4), None), None, False)
    with pytest.raises(MetricError, match="metric 'anomaly' needs labels, and the data have none"):
        measure(model, data, Anomaly.Config())
