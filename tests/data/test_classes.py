"""The classes of new data have the indices of a trained model's."""

import numpy as np
import pytest
import torch

import genkit
from genkit.data.classes import as_trained, differing
from genkit.errors import DataError, GenkitWarning
from genkit.interfaces import RawData, Schema, Side, Split
from genkit.runs.opening import reopen

X = torch.zeros(3, 2)
TRAINED = Schema((2,), {"labels": Side((), 3, ("cat", "dog", "fox")), "colour": Side((), 2, ("blue", "red"))})


def raw(labels, classes, **side):
    held = {name: torch.tensor(values) for name, (values, _) in side.items()}
    sides = {name: Side((), len(names), names) for name, (_, names) in side.items()}
    return RawData(Split(X, torch.tensor(labels), held), classes=classes, side=sides)


def test_classes_are_renumbered_by_their_names():
    test = Split(X[:1], torch.tensor([0]))
    new = as_trained(raw([0, 1, 0], ("dog", "fox"))._replace(test=test), TRAINED)
    assert (new.train.labels.tolist(), new.test.labels.tolist()) == ([1, 2, 1], [1])
    assert new.classes == ("cat", "dog", "fox")
    assert new.doubts == ()


def test_other_side_data_are_renumbered_too():
    new = as_trained(raw([0, 1, 2], ("cat", "dog", "fox"), colour=([0, 0, 0], ("red",))), TRAINED)
    assert (new.train.labels.tolist(), new.train.side["colour"].tolist()) == ([0, 1, 2], [1, 1, 1])
    assert differing(new.side, TRAINED.side) == ()


def test_a_class_that_no_datum_has_is_no_other_class():
    new = as_trained(raw([0, 1, 0], ("dog", "fox", "wolf")), TRAINED)
    assert (new.train.labels.tolist(), new.doubts) == ([1, 2, 1], ())


def test_classes_that_the_model_does_not_know_keep_their_numbers_with_a_doubt():
    data = raw([0, 1, 0], ("dog", "wolf"))
    new = as_trained(data, TRAINED)
    assert new._replace(doubts=()) == data
    assert new.doubts == (
        "the model was not trained on the classes wolf of 'labels', so that those of the data are numbered anew",
    )
    assert differing({"labels": Side((), 2, ("dog", "wolf"))}, TRAINED.side) == ("labels",)


def test_names_that_are_the_same_and_classes_without_names_stay():
    for data in (raw([0, 1, 2], ("cat", "dog", "fox")), raw([0, 5, 2], None)):
        assert as_trained(data, TRAINED) is data


CONFIG = {
    "name": "small",
    "encoder": {"name": "mlp", "hidden": [4]},
    "sampler": {"name": "gaussian", "latent": 2},
    "decoder": {"name": "mlp", "hidden": [4]},
    "likelihood": "gaussian",
    "loss": ["reconstruction", "kl"],
    "training": {"epochs": 1, "batch_size": 16, "compile": False},
}


@pytest.mark.filterwarnings("ignore:the (test|validation) split has")
@pytest.mark.parametrize("condition", [[], ["labels"]])
def test_a_trained_model_gets_the_classes_that_it_knows(tmp_path, bare, condition):
    x = np.random.default_rng(0).random((40, 3), np.float32)
    np.savez(tmp_path / "old.npz", x=x, labels=["cat", "dog"] * 20)
    np.savez(tmp_path / "new.npz", x=x[:3], labels=["dog", "dog", "dog"])
    np.savez(tmp_path / "strange.npz", x=x[:3], labels=["wolf", "dog", "dog"])
    data = {"name": "arrays", "path": str(tmp_path / "old.npz")}
    genkit.run({**CONFIG, "data": data, "condition": condition}, out=tmp_path / "run")
    shares = ["data.test=0", "data.validation=0"]
    _, dataset = reopen(tmp_path / "run", [f"data.path={tmp_path / 'new.npz'}", *shares])
    assert (dataset.classes, dataset.train.labels.tolist()) == (("cat", "dog"), [1, 1, 1])
    strange = [f"data.path={tmp_path / 'strange.npz'}", *shares]
    if condition:
        with pytest.raises(DataError, match="reads 'labels', and was trained on the classes cat, dog; leave wolf out"):
            reopen(tmp_path / "run", strange)
    else:
        with pytest.warns(GenkitWarning, match="the model was not trained on the classes wolf of 'labels'"):
            assert reopen(tmp_path / "run", strange)[1].classes == ("dog", "wolf")
