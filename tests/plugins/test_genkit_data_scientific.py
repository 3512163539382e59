"""Arrays in files of HDF5 and of MATLAB."""

import struct
import sys

import numpy as np
import pytest
import torch
from scipy import io, sparse

from genkit.errors import DataError
from genkit_data import Arrays
from genkit_data.stored import Stored

h5py = pytest.importorskip("h5py", reason="needs h5py, of the extra `arrays`")

X = np.arange(12, dtype=np.float64).reshape(4, 3) / 7


def load(path, **options):
    return Arrays(Arrays.Config.model_validate({"path": str(path), **options})).load()


def stored(path):
    return Stored(path, "data.path")


def hdf5(path, **content):
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            file[name.replace("__", "/")] = value
    return path


def matlab_7_3(path, **content):
    """As MATLAB writes it: axes in the other order, the class as an attribute, text as numbers, cells as references."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in content.items():
            if isinstance(value, list):
                parts = [
                    file.create_dataset(f"#refs#/{name}{n}", data=[[ord(c)] for c in t]) for n, t in enumerate(value)
                ]
                file.create_dataset(name, data=[[part.ref for part in parts]], dtype=h5py.ref_dtype)
                kind = "cell"
            elif value.dtype.kind == "U":
                file[name] = np.array([[ord(c) for c in row] for row in value], np.uint16).T
                kind = "char"
            else:
                file[name] = value.T.astype(np.uint8) if value.dtype == bool else value.T
                kind = {"b": "logical", "f": "double"}[value.dtype.kind]
            file[name].attrs["MATLAB_class"] = np.bytes_(kind)
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    return path


def matlab_5(path, **content):
    io.savemat(path, {name: np.array(v, object) if isinstance(v, list) else v for name, v in content.items()})
    return path


@pytest.mark.parametrize("suffix", [".h5", ".hdf5"])
def test_hdf5_is_read_by_the_path_of_a_data_set(tmp_path, suffix):
    path = hdf5(tmp_path / f"data{suffix}", x=X, train__x=X[:2], labels=np.array([1, 0, 1, 1]))
    raw = load(path)
    np.testing.assert_array_equal(raw.train.x.numpy(), X.astype(np.float32))
    assert raw.train.labels.tolist() == [1, 0, 1, 1]
    assert load(path, key="train/x", labels=None).train.x.shape == (2, 3)
    with pytest.raises(DataError, match=r"data\.key: .* holds no 'y'; it holds labels, train/x, x"):
        load(path, key="y")


def test_text_and_bytes_in_hdf5_stay_what_they_are(tmp_path):
    path = hdf5(tmp_path / "data.h5", x=np.array([[0, 255]] * 3, np.uint8), labels=["pear", "äpfel", "pear"])
    raw = load(path)
    assert raw.train.x.dtype == torch.uint8
    assert raw.classes == ("pear", "äpfel")


@pytest.mark.parametrize("write", [matlab_5, matlab_7_3])
def test_matlab_has_each_array_with_its_own_axes(tmp_path, write):
    x = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    arrays = stored(write(tmp_path / "data.mat", x=x, flag=np.array([[True], [False]])))
    assert sorted(arrays) == ["flag", "x"]
    np.testing.assert_array_equal(arrays["x"], x)
    np.testing.assert_array_equal(arrays["flag"].astype(bool), [[True], [False]])
    np.testing.assert_array_equal(load(tmp_path / "data.mat").train.x.numpy(), x)


@pytest.mark.parametrize("write", [matlab_5, matlab_7_3])
@pytest.mark.parametrize("text", [["pear", "fig"], np.array(["pear", "fig "])], ids=["cells", "characters"])
def test_matlab_has_text_in_cells_or_characters(tmp_path, write, text):
    assert stored(write(tmp_path / "data.mat", names=text))["names"].flatten().tolist() == ["pear", "fig"]


KINDS = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]


@pytest.mark.parametrize("compressed", [True, False])
def test_numbers_of_every_class_of_matlab_are_those_that_scipy_reads(tmp_path, compressed):
    values = {f"x_{kind.strip('?')}": np.arange(24).reshape(2, 3, 4).astype(kind) for kind in KINDS}
    values["s"] = np.array([[7.0]])  # so short that it stands beside its type
    io.savemat(tmp_path / "data.mat", values, do_compression=compressed)
    read, expected = stored(tmp_path / "data.mat"), io.loadmat(tmp_path / "data.mat")
    assert set(read) == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(read[name], expected[name])
        assert read[name].dtype == value.dtype


def test_files_of_machines_with_the_other_order_of_bytes_are_read(tmp_path):
    def element(kind, content):
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    parts = (6, struct.pack(">II", 6, 0)), (5, struct.pack(">ii", 2, 2)), (1, b"x"), (9, struct.pack(">4d", 1, 2, 3, 4))
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI"
    (tmp_path / "data.mat").write_bytes(header + element(14, b"".join(element(*part) for part in parts)))
    np.testing.assert_array_equal(stored(tmp_path / "data.mat")["x"], [[1, 3], [2, 4]])


def test_a_file_of_another_format_of_matlab_says_which_are_read(tmp_path):
    io.savemat(tmp_path / "data.mat", {"x": X}, format="4")
    with pytest.raises(DataError, match=r"is no file of MATLAB's format 5 or 7\.3; save it with -v7 or -v7\.3"):
        load(tmp_path / "data.mat")


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("write", [hdf5, matlab_5, matlab_7_3])
def test_damaged_files_are_errors_of_data_and_never_more(tmp_path, write):
    path = write(tmp_path / ("data.h5" if write is hdf5 else "data.mat"), x=np.random.default_rng(0).random((20, 4)))
    content = path.read_bytes()
    refused = 0
    for seed in range(60):
        rng, damaged = np.random.default_rng(seed), bytearray(content)
        for place in rng.integers(min(len(content), 2000), size=4):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            load(path)
        except DataError:
            refused += 1
    assert refused > 3


def test_a_sparse_matrix_of_matlab_is_dense(tmp_path):
    io.savemat(tmp_path / "data.mat", {"x": sparse.csc_matrix(X)})
    np.testing.assert_array_equal(stored(tmp_path / "data.mat")["x"], X)


@pytest.mark.parametrize(("value", "kind"), [({"a": 1}, "struct"), (np.array([{"a": 1}, 2], object), "cell")])
def test_what_is_no_array_of_matlab_is_named(tmp_path, value, kind):
    io.savemat(tmp_path / "data.mat", {"x": value})
    with pytest.raises(DataError, match=rf"data\.path: .*: 'x' is a {kind} of MATLAB, not numbers or text"):
        load(tmp_path / "data.mat")


@pytest.mark.parametrize("write", [hdf5, matlab_5, matlab_7_3])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.95])
def test_files_that_are_cut_short_are_named(tmp_path, write, share):
    path = write(tmp_path / ("data.h5" if write is hdf5 else "data.mat"), x=np.random.default_rng(0).random((50, 40)))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=rf"data\.path: .*data\{path.suffix}: "):
        load(path)


def test_values_in_other_files_are_refused(tmp_path):
    layout = h5py.VirtualLayout((4, 3), "f8")
    layout[:] = h5py.VirtualSource(str(hdf5(tmp_path / "other.h5", x=X)), "x", X.shape)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
        file["linked"] = h5py.ExternalLink("other.h5", "x")
    assert list(stored(tmp_path / "data.h5")) == ["x"]
    with pytest.raises(DataError, match="'x' has its values in other files; copy them into one"):
        load(tmp_path / "data.h5")


def test_what_is_larger_than_memory_is_refused_before_it_is_read(tmp_path):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_dataset("x", (2**40, 4), "f4", chunks=(1, 4))
    with pytest.raises(DataError, match=r"data\.h5, x: takes 16,384\.0 GiB of memory"):
        load(tmp_path / "data.h5")


def test_without_h5py_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    path = hdf5(tmp_path / "data.h5", x=X)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"is HDF5, which needs h5py; pip install 'genkit-torch\[arrays\]'"):
        load(path)
