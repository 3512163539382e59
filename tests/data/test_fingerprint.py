"""The fingerprint of data: the same for the same data, and another for any change."""

import numpy as np
import pytest
import torch

from genkit.data import fingerprint as module
from genkit.data.dataset import Dataset, DataSignature
from genkit.data.fingerprint import fingerprint
from genkit.interfaces import Split

X = torch.arange(60, dtype=torch.uint8).reshape(20, 3)
LABELS = torch.arange(20) % 3


def data(x=X, labels=LABELS, cut=15):
    train, test = (Split(x[rows], None if labels is None else labels[rows]) for rows in (slice(cut), slice(cut, None)))
    return Dataset(train, None, test, None, False)


def changed(tensor, index):
    copy = tensor.clone()
    copy[index] += 1
    return copy


def test_the_same_data_have_the_same_fingerprint():
    assert data().fingerprint() == data(X.clone(), LABELS.clone()).fingerprint()
    assert len(data().fingerprint()) == 64
    assert data().signature("s").fingerprint == data().fingerprint()


@pytest.mark.parametrize(
    "other",
    [
        data(changed(X, (0, 0))),
        data(changed(X, (19, 2))),
        data(labels=changed(LABELS, 4)),
        data(labels=None),
        data(cut=14),
        data(X[:19], LABELS[:19]),
        data(X.flip(0), LABELS.flip(0)),
        data(X.float()),
        data(X.view(torch.int8)),
        data(X.reshape(20, 3, 1)),
        data()._replace(test=None, validation=data().test),
    ],
    ids=["first", "last", "label", "unlabelled", "split", "fewer", "order", "dtype", "sign", "shape", "name"],
)
def test_any_change_gives_another_fingerprint(other):
    assert other.fingerprint() != data().fingerprint()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.bool, torch.int64])
def test_values_of_any_type_count(dtype):
    x = X.to(dtype)
    last = x.clone()
    last[19, 2] = 0
    assert fingerprint({"train": Split(x, None)}) != fingerprint({"train": Split(last, None)})


def test_strides_and_the_size_of_blocks_change_nothing(monkeypatch):
    x = np.asfortranarray(np.random.default_rng(0).normal(size=(50, 4, 3)))
    whole = fingerprint({"train": Split(torch.from_numpy(x), None)})
    monkeypatch.setattr(module, "BLOCK", 100)
    assert fingerprint({"train": Split(torch.from_numpy(np.ascontiguousarray(x)), None)}) == whole


def test_a_signature_of_before_has_no_fingerprint():
    signature = data().signature("s")
    old = signature.model_dump_json(exclude={"fingerprint"})
    assert DataSignature.model_validate_json(old) == signature.model_copy(update={"fingerprint": None})
