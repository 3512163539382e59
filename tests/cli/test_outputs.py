"""Arrays in files: each format read back with a reader that is not genkit's."""

import csv
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load_file

from genkit.cli import outputs
from genkit.errors import RunError

SUFFIXES = [".npz", ".npy", ".csv", ".parquet", ".safetensors"]
Z = np.array([[0.1, -2.0], [1 / 3, 4e-9], [5.5, 1e20]], dtype=np.float32)
LABELS = np.array([7, 0, 3])


def written(tmp_path, suffix, arrays=None):
    path = tmp_path / f"out{suffix}"
    outputs.write(path, {"z": Z, "labels": LABELS} if arrays is None else arrays)
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    return path


def table(path):
    """The columns of a .csv file as numbers."""
    with path.open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    return header, np.array(rows, dtype=np.float64)


def test_npz_holds_every_array(tmp_path):
    with np.load(written(tmp_path, ".npz"), allow_pickle=False) as read:
        assert sorted(read) == ["labels", "z"]
        np.testing.assert_array_equal(read["z"], Z, strict=True)
        np.testing.assert_array_equal(read["labels"], LABELS, strict=True)


def test_npy_holds_the_first_array(tmp_path):
    np.testing.assert_array_equal(np.load(written(tmp_path, ".npy"), allow_pickle=False), Z, strict=True)


def test_safetensors_hold_every_array(tmp_path):
    read = load_file(written(tmp_path, ".safetensors"))
    assert sorted(read) == ["labels", "z"]
    np.testing.assert_array_equal(read["z"], Z, strict=True)
    np.testing.assert_array_equal(read["labels"], LABELS, strict=True)


def test_safetensors_take_arrays_however_they_lie_in_memory(tmp_path):
    x = np.arange(12.0).reshape(3, 4)
    read = load_file(written(tmp_path, ".safetensors", {"turned": x.T, "every_other": x[:, ::2]}))
    np.testing.assert_array_equal(read["turned"], x.T)
    np.testing.assert_array_equal(read["every_other"], x[:, ::2])


def test_csv_has_a_column_for_each_dimension(tmp_path):
    header, values = table(written(tmp_path, ".csv"))
    assert header == ["z_0", "z_1", "labels"]
    np.testing.assert_array_equal(values[:, :2].astype(np.float32), Z)
    np.testing.assert_array_equal(values[:, 2], LABELS)


def test_parquet_has_a_column_for_each_dimension(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    read = parquet.read_table(written(tmp_path, ".parquet"))
    assert read.column_names == ["z_0", "z_1", "labels"]
    for index in range(2):
        np.testing.assert_array_equal(read[f"z_{index}"].to_numpy(), Z[:, index], strict=True)
    np.testing.assert_array_equal(read["labels"].to_numpy(), LABELS, strict=True)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_images_become_a_column_for_each_pixel_row_by_row(tmp_path, suffix):
    images = np.arange(24.0).reshape(2, 3, 4)
    path = written(tmp_path, suffix, {"x": images})
    if suffix == ".csv":
        header, values = table(path)
    else:
        read = pytest.importorskip("pyarrow.parquet").read_table(path)
        header, values = read.column_names, np.stack([column.to_numpy() for column in read.columns], axis=1)
    assert header == [f"x_{index}" for index in range(12)]
    np.testing.assert_array_equal(values, images.reshape(2, 12))


@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
@settings(deadline=None, database=None, max_examples=30)
def test_csv_keeps_every_digit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("digits") / "out.csv"
    outputs.write(path, {"value": np.array(values)})
    header, read = table(path)
    assert header == ["value"]
    assert read.ravel().tolist() == values


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_file_of_that_name_is_replaced(tmp_path, suffix):
    pytest.importorskip("pyarrow")
    (tmp_path / f"out{suffix}").write_bytes(b"old")
    assert written(tmp_path, suffix).read_bytes() != b"old"


@pytest.mark.parametrize("name", ["out.txt", "out", "out.csv.gz", "out.png"])
def test_unknown_suffix_lists_those_there_are_and_writes_nothing(tmp_path, name):
    expected = f"--out {tmp_path / name}: the suffix says the format; choose one of {', '.join(SUFFIXES)}"
    for refuse in (lambda path: outputs.write(path, {"z": Z}), outputs.check_out):
        with pytest.raises(RunError) as caught:
            refuse(tmp_path / name)
        assert str(caught.value) == expected
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_suffix_that_can_be_written_passes(tmp_path, suffix):
    pytest.importorskip("pyarrow")
    outputs.check_out(tmp_path / f"out{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_other_suffixes_may_be_allowed_too(tmp_path):
    outputs.check_out(tmp_path / "out.png", [".png"])
    with pytest.raises(RunError, match=r"choose one of \.npz, \.npy, \.csv, \.parquet, \.safetensors, \.png$"):
        outputs.check_out(tmp_path / "out.jpg", [".png"])


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for refuse in (lambda path: outputs.write(path, {"z": Z}), outputs.check_out):
        with pytest.raises(RunError) as caught:
            refuse(tmp_path / "out.parquet")
        assert str(caught.value) == ".parquet needs pyarrow; pip install 'genkit-torch[parquet]'"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".safetensors"])
def test_place_that_cannot_be_written_is_named(tmp_path, suffix):
    (tmp_path / "file").write_text("old")
    with pytest.raises(RunError, match=rf"cannot write .*file/out\{suffix}: .*; choose a place that can be written"):
        outputs.write(tmp_path / "file" / f"out{suffix}", {"z": Z})


def test_writing_that_fails_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="shorter"):
        outputs.write(path, {"z": Z, "labels": LABELS[:2]})
    assert path.read_text() == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["out.csv"]


def test_an_error_of_safetensors_is_one_that_names_the_file(tmp_path, monkeypatch):
    def full(*_):
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(RunError, match=r"cannot write .*out\.safetensors: No space left on device; choose a place"):
        outputs.write(tmp_path / "out.safetensors", {"z": Z})
    assert list(tmp_path.iterdir()) == []


def test_a_stream_is_a_file_of_numpy(tmp_path):
    outputs.write_stream(tmp_path / "s.npy", (3, 2), iter([Z[:2], np.asfortranarray(Z[2:])]))
    np.testing.assert_array_equal(np.load(tmp_path / "s.npy", allow_pickle=False), Z, strict=True)


def test_csv_quotes_text_as_csv_does(tmp_path):
    import csv

    names = np.array(["a,b", 'c"d', "plain"])
    outputs.write(tmp_path / "t.csv", {"z": np.arange(3), "name": names})
    with (tmp_path / "t.csv").open(newline="") as stream:
        assert [row[1] for row in csv.reader(stream)] == ["name", *names]


def test_csv_of_more_rows_than_are_written_at_once(tmp_path):
    count = 2 * outputs.ROWS + 3
    outputs.write(tmp_path / "x.csv", {"x": np.arange(count), "name": np.array(["a"] * count)})
    lines = (tmp_path / "x.csv").read_text().splitlines()
    assert lines == ["x,name", *(f"{number},a" for number in range(count))]
