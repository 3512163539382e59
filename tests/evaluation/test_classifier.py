from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from genkit.data.dataset import Dataset
from genkit.data.loading import load
from genkit.evaluation import classifier
from genkit.evaluation.classifier import FEATURES, FeatureNetwork, feature_network
from genkit.interfaces import Shape, Split
from genkit.runs.opening import as_config


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps of training: what a test of anything but the accuracy needs."""
    monkeypatch.setattr(classifier, "STEPS", 5)
    monkeypatch.setattr(classifier, "BATCH", 16)


@pytest.fixture
def untrainable(quick: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`untrainable()`: from now on nothing may be trained."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the network is trained again")

    return lambda: monkeypatch.setattr(classifier, "_train", refuse)


def drawn(n: int, shape: Shape, seed: int) -> Split:
    """Uniform data of three classes, brighter from one to the next."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 3
    x = torch.rand(n, *shape, generator=generator) / 2 + labels.view(-1, *[1] * len(shape)) / 4
    return Split(x, labels)


def dataset(shape: Shape = (1, 8, 8), n: int = 60) -> Dataset:
    return Dataset(drawn(n, shape, 0), None, drawn(30, shape, 1), None, False)


def learning_from(train: Split) -> Dataset:
    return dataset()._replace(train=train)


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


# How good they are


def held_out_accuracy(network: FeatureNetwork, data: Dataset) -> float:
    looks = network.read(data.test.x)[1]
    found = [look == label for look, label in zip(looks.tolist(), data.test.labels.tolist(), strict=True)]
    return sum(found) / len(found)


def test_a_part_of_the_training_already_tells_held_out_digits_apart(tmp_path, digits, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 120)
    data = load(as_config(digits).data)
    network = feature_network(data, tmp_path)
    assert held_out_accuracy(network, data) > 0.9
    assert network.accuracy(data.test) == pytest.approx(held_out_accuracy(network, data))


@pytest.mark.slow
def test_the_whole_training_tells_nearly_all_held_out_digits_apart(users_cache, digits):
    data = load(as_config(digits).data)
    assert held_out_accuracy(feature_network(data, users_cache / "genkit" / "features"), data) > 0.95


@pytest.mark.usefixtures("quick")
def test_the_features_are_what_the_classifier_decides_by(tmp_path):
    data = dataset()
    network = feature_network(data, tmp_path)
    found, looks = network.read(data.test.x)
    layer = (found * network.deviation + network.mean).clamp_min(0)
    logits = layer @ network.last[1].weight.T + network.last[1].bias
    assert torch.equal(looks, logits.argmax(1))
    assert looks.max() < network.classes == 3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("labelled", [True, False])
def test_features_of_the_training_data_have_mean_0_and_deviation_1(tmp_path, labelled):
    train = drawn(90, (1, 8, 8), 0)
    data = learning_from(train if labelled else train._replace(labels=None))
    found = feature_network(data, tmp_path).read(train.x)[0].double()
    torch.testing.assert_close(found.mean(0), torch.zeros(FEATURES).double(), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(FEATURES).double(), rtol=0, atol=1e-3)


@pytest.mark.usefixtures("quick")
def test_data_that_are_all_the_same_have_features_that_are_finite(tmp_path):
    data = learning_from(Split(torch.full((20, 1, 8, 8), 0.5), torch.arange(20) % 2))
    assert feature_network(data, tmp_path).read(data.test.x)[0].isfinite().all()


# What they are of


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 40, 61), (2, 5, 9), (1, 1, 1), (1, 2, 40), (12, 3), (7,), (1,), (2, 3, 4, 5)]
)
def test_data_of_any_shape_have_as_many_features(tmp_path, shape, labelled):
    data = dataset(shape, n=9)
    if not labelled:
        data = data._replace(train=data.train._replace(labels=None))
    network = feature_network(data, tmp_path)
    found, looks = network.read(data.test.x)
    assert found.shape == (30, FEATURES)
    assert found.isfinite().all()
    assert found.std(0).max() > 0
    assert (looks is not None) == labelled
    assert not network.training


@pytest.mark.usefixtures("quick")
def test_bytes_stand_for_shares_of_255(tmp_path):
    raw = torch.randint(0, 256, (30, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(30) % 3
    one = feature_network(learning_from(Split(raw, labels)), tmp_path)
    other = feature_network(learning_from(Split(raw.float() / 255, labels)), tmp_path)
    torch.testing.assert_close(one.read(raw)[0], other.read(raw.float() / 255)[0])
    torch.testing.assert_close(one.read(raw)[0], one.read(raw.float() / 255)[0])


@pytest.mark.usefixtures("quick")
def test_batches_make_no_difference(tmp_path):
    data = dataset()
    network = feature_network(data, tmp_path)
    whole, looks = network.read(data.train.x)
    parts, looks_of_parts = network.read(data.train.x, size=7)
    torch.testing.assert_close(parts, whole)
    assert torch.equal(looks_of_parts, looks)


@pytest.mark.parametrize("labels", [None, torch.zeros(60, dtype=torch.int64)], ids=["none", "of one class"])
def test_without_classes_the_network_is_random_and_nothing_is_kept(tmp_path, untrainable, labels):
    untrainable()
    data = learning_from(dataset().train._replace(labels=labels))
    network = feature_network(data, tmp_path)
    found, looks = network.read(data.test.x)
    assert looks is None
    assert network.accuracy(data.test) is None
    assert network.classes == 0
    assert files(tmp_path) == set()
    assert torch.equal(found, feature_network(data, tmp_path).read(data.test.x)[0])


# Always the same, and kept


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("labelled", [True, False])
def test_the_same_data_give_the_same_features_whatever_the_random_state(tmp_path, labelled):
    train = dataset().train
    data = learning_from(train if labelled else train._replace(labels=None))
    found = []
    for seed in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            found.append(feature_network(data, tmp_path / str(seed)).read(data.test.x)[0])
    assert torch.equal(*found)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("labelled", [True, False])
def test_the_random_state_is_left_as_it_was(tmp_path, labelled):
    train = dataset().train
    data = learning_from(train if labelled else train._replace(labels=None))
    before = torch.get_rng_state()
    for _ in ("trained", "read"):
        feature_network(data, tmp_path)
        assert torch.equal(torch.get_rng_state(), before)


def test_the_second_time_the_network_comes_from_the_cache(tmp_path, untrainable):
    data = dataset()
    trained = feature_network(data, tmp_path / "new" / "cache")
    untrainable()
    kept = feature_network(data, tmp_path / "new" / "cache")
    assert len(files(tmp_path)) == 1
    assert not kept.training
    for one, other in zip(trained.read(data.test.x), kept.read(data.test.x), strict=True):
        assert torch.equal(one, other)


def test_the_same_training_data_in_another_memory_layout_or_beside_other_test_data_share_a_network(
    tmp_path, untrainable
):
    data = dataset()
    feature_network(data, tmp_path)
    untrainable()
    x = data.train.x.transpose(2, 3).contiguous().transpose(2, 3)
    assert not x.is_contiguous()
    feature_network(data._replace(train=Split(x, data.train.labels.clone()), test=None), tmp_path)
    assert len(files(tmp_path)) == 1


def one_changed(values: torch.Tensor, by: float) -> torch.Tensor:
    """The same, but for the last value."""
    changed = values.clone()
    changed.view(-1)[-1] += by
    return changed


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "change",
    [
        lambda train: Split(one_changed(train.x, 1e-6), train.labels),
        lambda train: Split(train.x, one_changed(train.labels, -1)),
        lambda train: Split(train.x[:-1], train.labels[:-1]),
        lambda train: Split(train.x.view(60, 1, 4, 16), train.labels),
        lambda train: Split(train.x.flip(0), train.labels),
    ],
    ids=["a value", "a label", "one fewer", "a shape", "an order"],
)
def test_other_data_or_labels_have_a_network_of_their_own(tmp_path, change):
    data = dataset()
    feature_network(data, tmp_path)
    feature_network(learning_from(change(data.train)), tmp_path)
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["empty", "junk", "cut short", "of another network"])
def test_a_damaged_file_is_replaced(tmp_path, untrainable, damage):
    data = dataset()
    first = feature_network(data, tmp_path)
    (file,) = files(tmp_path)
    if damage == "of another network":
        save_file({"features.0.weight": torch.zeros(3)}, file)
    else:
        file.write_bytes({"empty": b"", "junk": b"junk" * 99, "cut short": file.read_bytes()[:-8]}[damage])
    again = feature_network(data, tmp_path)
    assert torch.equal(again.read(data.test.x)[0], first.read(data.test.x)[0])
    assert files(tmp_path) == {file}
    untrainable()
    assert torch.equal(feature_network(data, tmp_path).read(data.test.x)[0], first.read(data.test.x)[0])


@pytest.mark.usefixtures("quick")
def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "file").write_text("kept")
    data = dataset()
    found = feature_network(data, tmp_path / "file" / "cache").read(data.test.x)[0]
    assert torch.equal(found, feature_network(data, tmp_path / "elsewhere").read(data.test.x)[0])
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.usefixtures("quick")
def test_by_default_the_users_own_cache_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    feature_network(dataset())
    assert [path.parent for path in files(tmp_path)] == [tmp_path / "genkit" / "features"]


@pytest.mark.parametrize("kept", [0, 2])
def test_one_class_alone_teaches_nothing(kept: int, untrainable: Any, tmp_path: Path) -> None:
    untrainable()
    whole = drawn(60, (1, 8, 8), 0)
    assert whole.labels is not None
    one = whole.rows((whole.labels == kept).nonzero().flatten())
    assert feature_network(learning_from(one), tmp_path).last is None
