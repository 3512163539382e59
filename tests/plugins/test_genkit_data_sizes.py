"""Files that promise more than they hold, or hold more than they promise; and what is no file."""

import gzip
import os
import struct
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from genkit.errors import DataError
from genkit_data import MNIST, Arrays, Images, arrays, idx, sizes, stored

LARGE = 2**28
"""The bytes of an array that must never be in the memory: 256 MiB."""


def load(path, **options):
    return Arrays(Arrays.Config(path=str(path), **options)).load()


@pytest.fixture
def peak():
    """A function for the peak of Python's and numpy's memory so far, in bytes."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def add(archive, name, shape, held, dtype="<f4"):
    """Add an array of a stated shape to an .npz file, with as many zero bytes as `held` says."""
    header = str({"descr": dtype, "fortran_order": False, "shape": shape}).encode()
    length = -(10 + len(header) + 1) % 64 + len(header) + 1
    with archive.open(f"{name}.npy", "w") as stream:
        stream.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", length) + header.ljust(length - 1) + b"\n")
        for _ in range(held // 2**20):
            stream.write(bytes(2**20))
        stream.write(bytes(held % 2**20))


def test_an_array_that_is_not_asked_for_is_not_read_and_said_to_be_left_out(tmp_path, peak):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        add(archive, "x", (5, 3), 60)
        add(archive, "unasked", (LARGE // 4,), LARGE)
    raw = load(tmp_path / "a.npz")
    assert raw.train.x.tolist() == [[0, 0, 0]] * 5
    assert raw.notes == ("left out: 1 arrays of the file (unasked)",)
    assert peak() < LARGE // 8


@pytest.mark.parametrize("shape", [(LARGE, LARGE), (10**6, 10**6), (-1, 3)])
def test_an_array_that_promises_more_than_its_file_holds_is_refused_before_memory_is_taken(tmp_path, peak, shape):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        add(archive, "x", shape, 60)
        content = tmp_path / "a.npy"
    content.write_bytes(zipfile.ZipFile(tmp_path / "a.npz").read("x.npy"))
    for path in (tmp_path / "a.npz", content):
        with pytest.raises(
            DataError, match=r"data\.path: .*cannot be read as .*promises an array of shape .* holds 60"
        ):
            load(path)
    assert peak() < LARGE // 8


def test_what_does_not_fit_into_the_free_memory_is_refused_with_both_sizes(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros((2**19, 2), np.float64))
    monkeypatch.setattr(sizes, "free", lambda _: 2**23)
    with pytest.raises(DataError, match=r"a\.npz, x\.npy: takes 0\.0 GiB of memory, and 0\.0 GiB are free"):
        load(tmp_path / "a.npz")
    monkeypatch.setattr(sizes, "free", lambda _: 2**24)
    assert len(load(tmp_path / "a.npz").train.x) == 2**19


@pytest.mark.parametrize("promised", [0, 5, 2**32 - 1])
def test_a_gzipped_file_that_grows_beyond_its_header_is_refused_early(tmp_path, peak, promised):
    path = tmp_path / "images.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(struct.pack(">HBBI", 0, 8, 1, promised))
        for _ in range(LARGE // 2**20 if promised < 2**30 else 1):
            stream.write(bytes(2**20))
    with pytest.raises(
        DataError, match=rf"promises {promised} and holds (more than {promised}|1048576) values|takes 4"
    ):
        idx.read(path)
    assert peak() < LARGE // 8 or promised > LARGE


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes in folders")
def test_a_pipe_is_named_and_never_opened(tmp_path):
    for name in ("a.npy", "a.npz", "a.safetensors", "a.png", "train-images-idx3-ubyte"):
        os.mkfifo(tmp_path / name)
    for suffix in ("npy", "npz", "safetensors"):
        with pytest.raises(
            DataError, match=rf"data\.path: .*a\.{suffix}: cannot be read: it is a named pipe, not a file"
        ):
            load(tmp_path / f"a.{suffix}")
    np.save(tmp_path / "b.npy", np.zeros((3, 2)))
    with pytest.raises(DataError, match=r"data\.labels: .*a\.npy: cannot be read: it is a named pipe"):
        load(tmp_path / "b.npy", labels=str(tmp_path / "a.npy"))
    with pytest.raises(DataError, match="it is a named pipe"):
        idx.read(tmp_path / "train-images-idx3-ubyte")
    with pytest.raises(DataError, match="holds neither train-images"):
        MNIST(MNIST.Config(root=str(tmp_path))).load()
    with pytest.raises(DataError, match="holds no images"):
        Images(Images.Config(root=str(tmp_path), size=(2, 2))).load()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no devices in folders")
def test_a_device_and_a_folder_are_no_files(tmp_path):
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    (tmp_path / "folder.npy").mkdir()
    for name, kind in (("zero", "a device"), ("folder", "a folder")):
        with pytest.raises(DataError, match=rf"{name}\.npy: cannot be read: it is {kind}, not a file"):
            load(tmp_path / f"{name}.npy")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_small_floats_of_safetensors_are_read(tmp_path, dtype):
    x = (torch.arange(12).reshape(4, 3) / 4).to(dtype)
    save_file({"x": x}, tmp_path / "a.safetensors")
    raw = load(tmp_path / "a.safetensors")
    assert raw.train.x.dtype == torch.float32
    assert torch.equal(raw.train.x, x.float())


def test_a_range_brings_out_digits_that_float32_does_not_hold(tmp_path):
    start = 1_700_000_000
    for dtype in (np.int64, np.float64):
        np.save(tmp_path / "a.npy", start + np.arange(11, dtype=dtype).reshape(11, 1))
        raw = load(tmp_path / "a.npy", range=(start, start + 10))
        torch.testing.assert_close(raw.train.x.flatten(), torch.arange(11) / 10)
        assert raw.notes == (f"{np.dtype(dtype)}, read as float32",)


@pytest.mark.skipif(sys.platform == "win32", reason="the home folder has another name")
def test_the_home_folder_is_expanded_in_every_path(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "a.npy", np.zeros((3, 2)))
    np.save(tmp_path / "b.npy", np.arange(3))
    assert load("~/a.npy", labels="~/b.npy").train.labels.tolist() == [0, 1, 2]
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    assert len(Images(Images.Config(root="~", size=(2, 2))).load().train.x) == 1
    with pytest.raises(DataError, match=r"data\.root: ~ holds neither"):
        MNIST(MNIST.Config(root="~")).load()


def test_float32_is_not_copied(tmp_path, monkeypatch):
    x = np.zeros((4, 3), np.float32)
    np.save(tmp_path / "a.npy", x)
    monkeypatch.setattr(stored, "_array", lambda *_: x)
    assert load(tmp_path / "a.npy").train.x.data_ptr() == x.ctypes.data
    assert arrays.SUFFIXES == stored.SUFFIXES
