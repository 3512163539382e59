import numpy as np
import torch

from genkit.data.dataset import Dataset
from genkit.data.identity import file_order, identity
from genkit.interfaces import Split


def data(**options):
    train = Split(torch.tensor([[0.0], [2.0]]), torch.tensor([1, 0]))
    test = Split(torch.tensor([[3.0], [1.0]]), torch.tensor([0, 1]))
    rows = {"train": torch.tensor([0, 2]), "test": torch.tensor([3, 1])}
    return Dataset(train, None, test, options.pop("classes", ("a", "b")), False, rows=rows, **options)


def test_data_are_in_the_order_of_their_source():
    ids = {"train": ("r0", "r2"), "test": ("r3", "r1")}
    known = identity(data(ids=ids), "all")
    assert {name: values.tolist() for name, values in known.items()} == {
        "labels": [1, 1, 0, 0],
        "class": ["b", "b", "a", "a"],
        "row": [0, 1, 2, 3],
        "id": ["r0", "r1", "r2", "r3"],
    }
    assert file_order(data(), "test").tolist() == [1, 0]


def test_numbers_are_no_names_of_classes_and_other_splits_have_no_rows():
    plain = data(classes=("0", "1"))
    assert set(identity(plain, "test")) == {"labels", "row"}
    apart = plain._replace(rows={"train": torch.tensor([0, 2])})
    assert set(identity(apart, "test")) == {"labels"}
    assert np.array_equal(identity(apart, "test")["labels"], [0, 1])
