from __future__ import annotations

import gzip
import hashlib
import math
import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import pytest
import torch
from pydantic import ValidationError
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

from genkit.data import loading
from genkit.data.dataset import SPLITS, as_float
from genkit.errors import DataError
from genkit.interfaces import RawData
from genkit_data import MNIST, Arrays, Digits, idx, stored
from genkit_data.mnist import MIRRORS, PUBLISHED

Array = np.ndarray[Any, Any]

real_mnist = pytest.mark.skipif(
    not os.environ.get("GENKIT_MNIST"), reason="GENKIT_MNIST does not name a folder with the four IDX files of MNIST"
)


def idx_bytes(array: Array) -> bytes:
    """An array in the IDX format, written down anew from its description."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def images(n: int, height: int = 3, width: int = 2) -> Array:
    return (np.arange(n * height * width) * 7 % 256).astype(np.uint8).reshape(n, height, width)


def small_mnist(folder: Path, zipped: bool = False) -> Path:
    """Four IDX files with 5 and 3 images."""
    arrays = (images(5), np.array([3, 1, 4, 1, 5]), images(3)[::-1], np.array([9, 2, 6]))
    for name, array in zip(PUBLISHED, arrays, strict=True):
        content = idx_bytes(array)
        stored = gzip.compress(content, mtime=0) if zipped else content
        (folder / (f"{name}.gz" if zipped else name)).write_bytes(stored)
    return folder


def arrays(path: Path, **options: Any) -> RawData:
    return Arrays(Arrays.Config.model_validate({"path": str(path), **options})).load()


def saved(path: Path, **content: Array) -> Path:
    """A file of the kind that its name says."""
    if path.suffix == ".npy":
        np.save(path, *content.values())
    elif path.suffix == ".npz":
        np.savez(path, **content)
    else:
        save_file(content, path)
    return path


# Digits


def test_digits_are_those_of_scikit_learn() -> None:
    bunch, raw = load_digits(), Digits(Digits.Config()).load()
    assert raw.train.x.shape == (1797, 1, 8, 8)
    assert raw.train.x.dtype == torch.float32
    np.testing.assert_array_equal(raw.train.x.flatten(1).numpy() * 16, bunch.data)
    np.testing.assert_array_equal(raw.train.labels.numpy(), bunch.target)
    assert raw.train.labels.dtype == torch.int64


def test_digits_go_from_zero_to_one_and_are_named() -> None:
    raw = Digits(Digits.Config()).load()
    assert (raw.train.x.min(), raw.train.x.max()) == (0, 1)
    assert raw.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    assert raw.test is None


# IDX


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 3, 4), (1, 1, 1, 1)])
def test_idx_files_are_read_back(tmp_path: Path, shape: tuple[int, ...], zipped: bool) -> None:
    array = np.arange(np.prod(shape)).astype(np.uint8).reshape(shape) + 250  # wraps: all bytes are values
    content = idx_bytes(array)
    path = tmp_path / "file-without-a-telling-name"
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    read = idx.read(path)
    assert read.dtype == torch.uint8
    np.testing.assert_array_equal(read.numpy(), array.astype(np.uint8))


GOOD = idx_bytes(images(4))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (GOOD[:3], "is no IDX file of bytes"),
        (GOOD[:9], "promises its sizes"),
        (GOOD[:-1], "promises 4x3x2 and holds 23 values"),
        (GOOD + b"\0", "promises 4x3x2 and holds 25 values"),
        (b"\0\0\x0d" + GOOD[3:], "starts with 0x00000d03"),
        (b"\0\0\x08\0" + GOOD[4:], "starts with 0x00000800"),
        (b"\x89PNG" + GOOD[4:], "starts with 0x89504e47"),
        (gzip.compress(GOOD, mtime=0)[:-9], "gzip file is damaged or cut short"),
        (gzip.compress(GOOD, mtime=0)[:20], "gzip file is damaged or cut short"),
        (gzip.compress(GOOD, mtime=0)[:-6] + b"\0\0\0\0\0\0", "gzip file is damaged or cut short"),
        (gzip.compress(GOOD, mtime=0)[:10] + b"\xff" * 30, "gzip file is damaged or cut short"),
    ],
)
def test_damaged_idx_files_are_named_with_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        idx.read(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_idx_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'none'}: there is no such file")):
        idx.read(tmp_path / "none")
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}: cannot be read")):
        idx.read(tmp_path)


# MNIST


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_is_read_from_its_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    monkeypatch.delenv("GENKIT_MNIST", raising=False)
    raw = MNIST(MNIST.Config(root=str(small_mnist(tmp_path, zipped)))).load()
    np.testing.assert_array_equal(raw.train.x.numpy(), images(5)[:, None])
    np.testing.assert_array_equal(raw.test.x.numpy(), images(3)[::-1, None])
    assert raw.train.labels.tolist() == [3, 1, 4, 1, 5]
    assert raw.test.labels.tolist() == [9, 2, 6]
    assert raw.classes == tuple("0123456789")
    assert raw.train.x.dtype == torch.uint8


def test_mnist_is_found_through_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENKIT_MNIST", str(small_mnist(tmp_path)))
    assert len(MNIST(MNIST.Config()).load().train.x) == 5


def test_the_root_of_mnist_goes_before_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENKIT_MNIST", str(tmp_path / "elsewhere"))
    assert len(MNIST(MNIST.Config(root=str(small_mnist(tmp_path)))).load().test.x) == 3


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_missing_file_of_mnist_is_named_with_both_its_names(tmp_path: Path, name: str) -> None:
    (small_mnist(tmp_path) / name).unlink()
    with pytest.raises(DataError, match=re.escape(f"{tmp_path} holds neither {name} nor {name}.gz")):
        MNIST(MNIST.Config(root=str(tmp_path))).load()


def test_mnist_files_in_each_others_place_are_refused(tmp_path: Path) -> None:
    small_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes((tmp_path / "train-labels-idx1-ubyte").read_bytes())
    with pytest.raises(DataError, match=r"train-images: holds an array of shape \(5,\), not images"):
        MNIST(MNIST.Config(root=str(tmp_path))).load()


def test_mnist_keeps_its_own_test_split_and_shares_out_validation(tmp_path: Path) -> None:
    loaded = loading.load(MNIST.Config(root=str(small_mnist(tmp_path)), validation=2))
    assert [len(loaded.split(name).x) for name in SPLITS] == [3, 2, 3]
    np.testing.assert_array_equal(loaded.test.x.numpy(), images(3)[::-1, None])


def test_mnist_is_downloaded_where_nothing_names_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_mnist(tmp_path, zipped=True)
    asked: list[tuple[str, str]] = []

    def retrieve(url: str, known_hash: str, fname: str, path: Path) -> str:
        asked.append((url, known_hash))
        return str(tmp_path / fname)

    monkeypatch.delenv("GENKIT_MNIST", raising=False)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert len(MNIST(MNIST.Config()).load().train.x) == 5
    assert asked == [(f"{MIRRORS[0]}{name}.gz", f"sha256:{digest}") for name, digest in PUBLISHED.items()]


def test_the_second_mirror_is_asked_where_the_first_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_mnist(tmp_path, zipped=True)

    def retrieve(url: str, known_hash: str, fname: str, path: Path) -> str:
        if url.startswith(MIRRORS[0]):
            raise ValueError("the hash differs")
        return str(tmp_path / fname)

    monkeypatch.delenv("GENKIT_MNIST", raising=False)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert len(MNIST(MNIST.Config()).load().test.x) == 3


def test_where_all_mirrors_fail_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def retrieve(*_: object) -> str:
        raise ConnectionError("no network")

    monkeypatch.delenv("GENKIT_MNIST", raising=False)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    with pytest.raises(DataError) as caught:
        MNIST(MNIST.Config()).load()
    for part in (*MIRRORS, "ConnectionError", "data.root=DIR", "GENKIT_MNIST=DIR", "data=digits"):
        assert part in str(caught.value)


@real_mnist
def test_the_real_mnist_is_whole() -> None:
    raw = MNIST(MNIST.Config()).load()
    published = {"6bbc9ace898e44ae57da46a324031adb": raw.train, "2646ac647ad5339dbf082846283269ea": raw.test}
    assert [split.x.shape for split in published.values()] == [(60_000, 1, 28, 28), (10_000, 1, 28, 28)]
    for digest, split in published.items():
        header = struct.pack(">IIII", 0x803, *split.x.squeeze(1).shape)
        assert hashlib.md5(header + split.x.numpy().tobytes(), usedforsecurity=False).hexdigest() == digest
    assert raw.test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


# Arrays


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
@pytest.mark.parametrize("shape", [(6, 4), (6, 1, 3, 2), (6, 5, 3)])
def test_arrays_are_read_from_each_kind_of_file(tmp_path: Path, suffix: str, shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape), dtype=np.float64).reshape(shape) / 7
    raw = arrays(saved(tmp_path / f"data{suffix}", x=x))
    assert raw.train.x.dtype == torch.float32
    np.testing.assert_array_equal(raw.train.x.numpy(), x.astype(np.float32))
    assert (raw.train.labels, raw.classes, raw.test) == (None, None, None)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_bytes_stay_bytes_and_stand_for_shares_of_255(tmp_path: Path, suffix: str) -> None:
    x = np.array([[0, 51], [255, 102]], dtype=np.uint8)
    raw = arrays(saved(tmp_path / f"data{suffix}", x=x))
    assert raw.train.x.dtype == torch.uint8
    torch.testing.assert_close(as_float(raw.train.x), torch.tensor([[0, 0.2], [1, 0.4]]))


@pytest.mark.parametrize("dtype", [np.float16, np.int32, np.int64, np.uint16, np.bool_, ">f4"])
def test_other_numbers_are_taken_as_they_are(tmp_path: Path, dtype: Any) -> None:
    x = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    raw = arrays(saved(tmp_path / "data.npy", x=x))
    assert raw.train.x.tolist() == [[0, 1, 1], [1, 0, 1]]
    assert raw.train.x.dtype == torch.float32


def test_an_array_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, original = [], stored._array
    monkeypatch.setattr(stored, "_array", lambda *about: read.append(about) or original(*about))
    arrays(saved(tmp_path / "data.npy", x=np.zeros((4, 2))))
    assert len(read) == 1


def test_one_number_a_datum_becomes_one_dimension(tmp_path: Path) -> None:
    assert arrays(saved(tmp_path / "data.npy", x=np.array([1.5, 2, 3]))).train.x.tolist() == [[1.5], [2], [3]]


def test_an_array_is_chosen_by_its_key(tmp_path: Path) -> None:
    path = saved(tmp_path / "data.npz", x=np.zeros((2, 3)), other=np.ones((4, 5)))
    assert arrays(path, key="other").train.x.shape == (4, 5)


def test_a_range_brings_values_to_zero_and_one(tmp_path: Path) -> None:
    path = saved(tmp_path / "data.npy", x=np.array([[-1.0, 0.0, 1.0]]))
    assert arrays(path, range=[-1, 1]).train.x.tolist() == [[0, 0.5, 1]]
    path = saved(tmp_path / "bytes.npy", x=np.array([[0, 4, 16]], dtype=np.uint8))
    assert arrays(path, range=[0, 16]).train.x.tolist() == [[0, 0.25, 1]]


@pytest.mark.parametrize("wrong", [[1, 1], [2, -1]])
def test_a_range_of_no_width_is_refused(tmp_path: Path, wrong: list[int]) -> None:
    with pytest.raises(DataError, match=r"data\.range"):
        arrays(saved(tmp_path / "data.npy", x=np.zeros((2, 2))), range=wrong)


def test_options_of_the_wrong_kind_are_refused() -> None:
    for wrong in (
        {},
        {"path": 3},
        {"path": "x.npy", "range": [0]},
        {"path": "x.npy", "range": [math.nan, 1.0]},
        {"path": "x.npy", "lables": "y"},
    ):
        with pytest.raises(ValidationError):
            Arrays.Config.model_validate(wrong)


# Labels of arrays


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_labels_in_the_same_file_are_found_by_their_usual_name(tmp_path: Path, suffix: str) -> None:
    raw = arrays(saved(tmp_path / f"data{suffix}", x=np.zeros((4, 2)), labels=np.array([7, 3, 7, 5])))
    assert raw.train.labels.tolist() == [2, 0, 2, 1]
    assert raw.train.labels.dtype == torch.int64
    assert raw.classes == ("3", "5", "7")


def test_labels_are_found_by_the_name_that_the_config_gives(tmp_path: Path) -> None:
    path = saved(tmp_path / "data.npz", x=np.zeros((3, 2)), labels=np.array([0, 0, 0]), kind=np.array([1, 0, 1]))
    assert arrays(path, labels="kind").train.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_labels_may_be_in_a_file_of_their_own(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / "data.npy", x=np.zeros((3, 2)))
    labels = saved(tmp_path / f"y{suffix}", labels=np.array([4, 4, 2]))
    raw = arrays(path, labels=str(labels))
    assert raw.train.labels.tolist() == [1, 1, 0]
    assert raw.classes == ("2", "4")


def test_in_a_file_of_their_own_labels_are_known_by_their_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "data.npy", x=np.zeros((3, 2)))
    labels = saved(tmp_path / "y.npz", age=np.array([1, 2, 3]), labels=np.array([4, 4, 2]))
    assert arrays(path, labels=str(labels)).train.labels.tolist() == [1, 1, 0]


def test_text_labels_name_the_classes(tmp_path: Path) -> None:
    path = saved(tmp_path / "data.npz", x=np.zeros((3, 2)), labels=np.array(["pear", "apple", "pear"]))
    raw = arrays(path)
    assert raw.classes == ("apple", "pear")
    assert raw.train.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize("labels", [np.zeros((3, 1, 1), dtype=int), np.array([0.5, 1, 2]), np.zeros(3, complex)])
def test_labels_that_are_none_are_refused(tmp_path: Path, labels: Array) -> None:
    with pytest.raises(DataError, match="labels are whole numbers or text"):
        arrays(saved(tmp_path / "data.npz", x=np.zeros((3, 2)), labels=labels))


def test_labels_of_another_number_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "data.npz", x=np.zeros((30, 2)), labels=np.arange(29))
    with pytest.raises(DataError, match=r"data 'arrays': 30 data, but labels of shape \(29,\)"):
        loading.load(Arrays.Config(path=str(path)))


# Arrays that cannot be read


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("option", ["key", "labels"])
def test_a_wrong_name_is_answered_with_the_names_there_are(tmp_path: Path, suffix: str, option: str) -> None:
    path = saved(tmp_path / f"data{suffix}", x=np.zeros((2, 2)), weights=np.zeros(2))
    with pytest.raises(DataError, match=re.escape(f"data.{option}: {path} holds no 'images'; it holds weights, x")):
        arrays(path, **{option: "images"})


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickled_objects_are_never_loaded(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"data{suffix}", x=np.array([[{"a": 1}], [None]], dtype=object))
    with pytest.raises(DataError, match=re.escape(str(path))):
        arrays(path)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([["a", "b"]]), "holds <U1, not numbers that are read: floating-point, whole, or true and false"),
        (np.zeros((2, 2), dtype=complex), "holds complex128, not numbers .*; take their magnitude"),
        (np.zeros((2, 2), dtype="V2"), r"holds \|V2, not numbers .* bfloat16 so, which \.safetensors names"),
        (np.zeros(2, dtype=[("a", "f4")]), "not numbers"),
        (np.zeros(2, dtype="M8[s]"), "not numbers"),
    ],
)
@pytest.mark.parametrize("mapped", [True, False])
def test_arrays_without_numbers_are_refused(tmp_path: Path, x: Array, message: str, mapped: bool) -> None:
    with pytest.raises(DataError, match=message):
        arrays(saved(tmp_path / "data.npy", x=x), mapped=mapped)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
def test_files_cut_short_are_named(tmp_path: Path, suffix: str, share: float) -> None:
    path = saved(tmp_path / f"data{suffix}", x=np.ones((20, 30)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=re.escape(f"data.path: {path}: cannot be read as {suffix}")):
        arrays(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_files_of_another_kind_and_missing_ones_are_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"data{suffix}"
    with pytest.raises(DataError, match=re.escape(f"data.path: {path}: there is no such file")):
        arrays(path)
    path.write_bytes(b"x,y\n1,2\n" * 50)
    with pytest.raises(DataError, match=re.escape(f"data.path: {path}: cannot be read as {suffix}")):
        arrays(path)


@pytest.mark.parametrize("name", ["data.csv", "data", "data.npy.txt"])
def test_files_with_another_suffix_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"is none of \.npy, \.npz, \.safetensors"):
        arrays(tmp_path / name)


def test_bytes_without_an_axis_of_their_own_get_one(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(10, dtype=np.uint8))
    assert Arrays(Arrays.Config(path=str(tmp_path / "x.npy"))).load().train.x.shape == (10, 1)


def test_an_empty_archive_is_named_with_its_option(tmp_path: Path) -> None:
    np.savez(tmp_path / "empty.npz")
    np.save(tmp_path / "x.npy", np.zeros((4, 2)))
    config = Arrays.Config(path=str(tmp_path / "x.npy"), labels=str(tmp_path / "empty.npz"))
    with pytest.raises(DataError, match=r"data\.labels: .*empty\.npz holds no 'x'; it holds nothing"):
        Arrays(config).load()
