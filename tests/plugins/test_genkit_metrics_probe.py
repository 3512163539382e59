import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from genkit.data.dataset import Dataset
from genkit.errors import MetricError
from genkit.evaluation.metrics import measure
from genkit.interfaces import Split
from genkit.runs.opening import as_config, prepare
from genkit.training.seeds import own_random_state
from genkit_metrics import Probe

CONFIG = {
    "data": "digits",
    "encoder": {"name": "mlp", "hidden": []},
    "sampler": {"name": "gaussian", "latent": 3},
    "decoder": "mlp",
    "likelihood": "gaussian",
    "loss": ["reconstruction", "kl"],
}


@pytest.fixture(scope="module")
def prepared():
    with own_random_state():
        torch.manual_seed(0)
        return prepare(as_config(CONFIG))


def accuracy(classifier, train, known, x, labels):
    return classifier.fit(train, known).score(x, labels)


def test_the_accuracies_are_those_of_the_classifiers_on_the_posterior_means(prepared):
    data, model = prepared
    found = measure(model, data, Probe.Config(neighbours=7))
    known, labels = data.train.labels.numpy(), data.test.labels.numpy()
    pixels = [part.x.flatten(1).numpy() for part in (data.train, data.test)]
    weight, bias = (parameter.detach().numpy() for parameter in model.sampler.mean.parameters())
    z_train, z = (part @ weight.T + bias for part in pixels)
    assert found["knn"] == pytest.approx(accuracy(KNeighborsClassifier(7), z_train, known, z, labels), abs=0.01)
    scaler = StandardScaler().fit(z_train)
    linear = accuracy(LogisticRegression(), scaler.transform(z_train), known, scaler.transform(z), labels)
    assert found["linear"] == pytest.approx(linear, abs=0.01)
    pca = PCA(3).fit(pixels[0])
    reduced = [pca.transform(part) for part in pixels]
    assert found["knn_pca"] == pytest.approx(
        accuracy(KNeighborsClassifier(7), reduced[0], known, reduced[1], labels), abs=0.01
    )


def test_latents_that_are_the_labels_are_told_apart_and_noise_is_not(prepared):
    _, model = prepared
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.integers(0, 2, 600))
    telling = torch.from_numpy(rng.normal(size=(600, 1, 8, 8)).astype(np.float32)) * 0.1 + labels.view(-1, 1, 1, 1)
    for x, low, high in ((telling, 0.95, 1.0), (torch.rand(600, 1, 8, 8), 0.3, 0.7)):
        data = Dataset(Split(x[:400], labels[:400]), None, Split(x[400:], labels[400:]), None, False)
        assert low <= measure(model, data, Probe.Config())["linear_pca"] <= high


def test_with_one_class_there_is_nothing_to_tell_apart_and_without_labels_it_is_refused(prepared):
    data, model = prepared
    one = Split(data.train.x, torch.zeros(len(data.train.x), dtype=torch.int64))
    assert measure(model, Dataset(one, None, one, None, False), Probe.Config()) == {}
    bare = Split(data.train.x, None)
    with pytest.raises(MetricError, match="metric 'probe' needs labels, and the data have none"):
        measure(model, Dataset(bare, None, bare, None, False), Probe.Config())
