"""Arrays whose splits have files or names of their own, and labels of several columns."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import io

from genkit.data import loading
from genkit.errors import DataError
from genkit_data import Arrays

RNG = np.random.default_rng(0)
X = {"train": RNG.random((6, 3)), "validation": RNG.random((2, 3)), "test": RNG.random((4, 3))}
Y = {"train": [2, 1, 1, 2, 3, 1], "validation": [1, 2], "test": [3, 2, 1, 1]}


def config(path, **options):
    return Arrays.Config.model_validate({"path": str(path), **options})


def load(path, **options):
    return Arrays(config(path, **options)).load()


def splits(raw):
    return {"train": raw.train, "validation": raw.validation, "test": raw.test}


def check(raw):
    """The data and the labels are those above."""
    for role, split in splits(raw).items():
        np.testing.assert_array_equal(split.x.numpy(), X[role].astype(np.float32))
        assert [raw.classes[label] for label in split.labels] == [str(label) for label in Y[role]]


@pytest.mark.parametrize("mapped", [True, False])
def test_each_split_may_have_a_file(tmp_path, mapped):
    for role in X:
        np.save(tmp_path / f"{role}.npy", X[role])
        np.save(tmp_path / f"{role}-y.npy", Y[role])
    paths = {f"{role}_path": str(tmp_path / f"{role}.npy") for role in ("validation", "test")}
    labels = {f"{role}_labels": str(tmp_path / f"{role}-y.npy") for role in ("validation", "test")}
    raw = load(tmp_path / "train.npy", **paths, **labels, labels=str(tmp_path / "train-y.npy"), mapped=mapped)
    check(raw._replace(**{role: split._replace(x=split.x[:]) for role, split in splits(raw).items()}))


def test_files_of_splits_share_the_names_of_their_arrays_unless_others_are_stated(tmp_path):
    for role in X:
        np.savez(tmp_path / f"{role}.npz", **{"x" if role != "test" else "z": X[role]}, labels=Y[role])
    paths = {f"{role}_path": str(tmp_path / f"{role}.npz") for role in ("validation", "test")}
    check(load(tmp_path / "train.npz", **paths, test_key="z"))
    with pytest.raises(DataError, match=r"data\.key: .*test\.npz holds no 'x'; it holds labels, z"):
        load(tmp_path / "train.npz", **paths)
    with pytest.raises(DataError, match=r"data\.test_key: .*test\.npz holds no 'w'; it holds labels, z"):
        load(tmp_path / "train.npz", **paths, test_key="w")


@pytest.mark.parametrize("suffix", [".npz", ".mat"])
def test_one_file_may_hold_all_splits_by_name(tmp_path, suffix):
    content = {f"x_{role}": X[role] for role in X} | {f"y_{role}": np.array([Y[role]]).T for role in Y}
    path = tmp_path / f"data{suffix}"
    np.savez(path, **content) if suffix == ".npz" else io.savemat(path, content)
    names = {
        f"{role}_{what}": f"{name}_{role}"
        for role in ("validation", "test")
        for what, name in (("key", "x"), ("labels", "y"))
    }
    raw = load(path, key="x_train", labels="y_train", **names)
    check(raw)
    assert raw.notes == ("float64, read as float32",)
    with pytest.raises(DataError, match=r"data\.test_labels: says where the labels of the test split are"):
        load(path, key="x_train", labels="y_train", test_key="x_test")


def test_a_file_of_labels_is_that_of_one_split(tmp_path):
    for role in ("train", "test"):
        np.save(tmp_path / f"{role}.npy", X[role])
    np.save(tmp_path / "y.npy", Y["train"])
    with pytest.raises(DataError, match=r"data\.test_labels: says where"):
        load(tmp_path / "train.npy", labels=str(tmp_path / "y.npy"), test_path=str(tmp_path / "test.npy"))


def test_without_files_of_its_own_a_split_is_a_share(tmp_path):
    np.savez(tmp_path / "train.npz", x=X["train"], labels=Y["train"])
    np.savez(tmp_path / "test.npz", x=X["test"], labels=Y["test"])
    data = loading.load(config(tmp_path / "train.npz", test_path=str(tmp_path / "test.npz"), validation=2))
    assert data.counts() == {"train": 4, "validation": 2, "test": 4}


def test_bytes_beside_other_numbers_are_refused_unless_a_range_is_stated(tmp_path):
    np.save(tmp_path / "train.npy", np.array([[0.0, 255.0]]))
    np.save(tmp_path / "test.npy", np.array([[0, 51]], np.uint8))
    paths = {"test_path": str(tmp_path / "test.npy")}
    with pytest.raises(DataError, match=r"data\.test_path: the test data are torch\.uint8 .*data\.range=\[LOW,HIGH\]"):
        load(tmp_path / "train.npy", **paths)
    torch.testing.assert_close(load(tmp_path / "train.npy", **paths, range=[0, 255]).test.x, torch.tensor([[0, 0.2]]))


def test_other_shapes_of_the_test_data_are_refused(tmp_path):
    np.save(tmp_path / "train.npy", np.zeros((3, 2)))
    np.save(tmp_path / "test.npy", np.zeros((3, 4)))
    with pytest.raises(DataError, match=r"the splits differ in shape: \(2,\) for training and \(4,\) for test"):
        loading.load(config(tmp_path / "train.npy", test_path=str(tmp_path / "test.npy"), validation=0))


def test_classes_of_the_test_data_alone_are_a_doubt(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 2)), y=["a", "b", "a"], t=np.zeros((2, 2)), u=["a", "c"])
    raw = load(tmp_path / "data.npz", labels="y", test_key="t", test_labels="u")
    assert raw.doubts == ("test split: no training datum is of the classes c",)
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 2)), y=["a", "b", "a"], t=np.zeros((2, 2)), u=[1, 2])
    with pytest.raises(DataError, match="some splits have labels of text and others of numbers"):
        load(tmp_path / "data.npz", labels="y", test_key="t", test_labels="u")


# Labels of several columns

FACTORS = np.array([[0.5, 3, 0.1], [1.5, 3, 0.2], [0.5, 7, 0.3]])


def test_a_factor_is_the_label_and_the_others_are_side_data_with_classes(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 2)), latents=FACTORS)
    data = loading.load(
        config(
            tmp_path / "data.npz",
            labels="latents",
            factors=["size", "kind", "angle"],
            label="kind",
            test=0,
            validation=0,
        )
    )
    assert (data.classes, data.train.labels.tolist()) == (("3", "7"), [0, 0, 1])
    assert {name: values.tolist() for name, values in data.train.side.items()} == {
        "size": [0, 1, 0],
        "angle": [0, 1, 2],
    }
    assert data.side["size"].names == ("0.5", "1.5")
    assert data.side["angle"].classes == 3
    assert any("size (2), angle (3)" in note for note in data.notes)


def test_the_first_factor_is_the_label_where_none_is_named_and_text_is_coded(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 2)), labels=[["red", "big"], ["blue", "big"], ["red", "small"]])
    raw = load(tmp_path / "data.npz", factors=["colour", "size"])
    assert (raw.classes, raw.train.labels.tolist()) == (("blue", "red"), [1, 0, 1])
    assert (raw.side["size"].names, raw.train.side["size"].tolist()) == (("big", "small"), [0, 0, 1])


def test_fractions_of_many_values_are_real_numbers_and_no_label(tmp_path):
    values = np.column_stack([np.arange(200) % 2, RNG.random(200)])
    np.savez(tmp_path / "data.npz", x=np.zeros((200, 2)), labels=values)
    raw = load(tmp_path / "data.npz", factors=["kind", "angle"])
    torch.testing.assert_close(raw.train.side["angle"], torch.from_numpy(values[:, 1].astype(np.float32)))
    assert raw.side["angle"].classes is None
    with pytest.raises(
        DataError, match=r"data\.labels: 'angle': has 200 different values; a label has classes, up to 100"
    ):
        load(tmp_path / "data.npz", factors=["kind", "angle"], label="angle")


def test_factors_of_all_splits_share_their_classes(tmp_path):
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 2)), y=[[0, 1], [1, 5]], t=np.zeros((1, 2)), u=[[1, 3]])
    raw = load(tmp_path / "data.npz", labels="y", test_key="t", test_labels="u", factors=["a", "b"])
    assert raw.side["b"].names == ("1", "3", "5")
    assert (raw.train.side["b"].tolist(), raw.test.side["b"].tolist()) == ([0, 2], [1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"labels of shape \(3, 3\) have 3 columns; data\.factors=\[NAME,\.\.\.\] names them"),
        ({"factors": ["a", "b"]}, r"the train split has labels of shape \(3, 3\), and data\.factors names 2 columns"),
    ],
)
def test_columns_without_names_are_refused(tmp_path, options, message):
    np.savez(tmp_path / "data.npz", x=np.zeros((3, 2)), labels=FACTORS)
    with pytest.raises(DataError, match=message):
        load(tmp_path / "data.npz", **options)


@pytest.mark.parametrize(
    "options",
    [{"factors": ["a b"]}, {"factors": ["a", "a"]}, {"factors": ["labels"]}, {"factors": ["a"], "label": "b"}],
)
def test_names_that_are_none_are_refused(options):
    with pytest.raises(ValidationError, match="must be"):
        config("x.npy", **options)


def test_labels_of_matlab_are_columns_of_whole_numbers(tmp_path):
    io.savemat(tmp_path / "data.mat", {"X": np.eye(3), "y": np.array([[1.0], [2.0], [1.0]])})
    raw = load(tmp_path / "data.mat", key="X", labels="y")
    assert (raw.classes, raw.train.labels.tolist()) == (("1", "2"), [0, 1, 0])
