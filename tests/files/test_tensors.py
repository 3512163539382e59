"""Tensor files say when they are damaged."""

import random

import pytest
import torch
from safetensors.torch import save_file

from genkit.errors import RunError, WeightsError
from genkit.files import tensors
from genkit.files.tensors import check_fit, digest, read_tensors, write_tensors

KINDS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor(True),
    "c": torch.zeros(0, 2, dtype=torch.bfloat16),
    "d": torch.tensor([1, 2]),
    "e": torch.rand(40, 50),
}


@pytest.fixture
def written(tmp_path):
    write_tensors(tmp_path / "t.safetensors", KINDS, {"key": "value"})
    return tmp_path / "t.safetensors"


def test_what_is_written_is_read(written):
    read, metadata = read_tensors(written)
    assert read.keys() == KINDS.keys()
    assert all(torch.equal(read[name], KINDS[name]) for name in KINDS)
    assert metadata["key"] == "value"
    assert metadata[tensors.DIGEST] == digest(KINDS, metadata)


def test_no_flipped_bit_is_read(written):
    content, draws = written.read_bytes(), random.Random(0)
    for _ in range(200):
        flipped = bytearray(content)
        flipped[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        written.write_bytes(flipped)
        with pytest.raises(WeightsError, match=r"t\.safetensors"):
            read_tensors(written)


@pytest.mark.parametrize("change", [{"a": torch.zeros(3, 2)}, {"z": torch.zeros(1)}, {"a": KINDS["a"].double()}])
def test_another_shape_name_or_type_gives_another_digest(change):
    assert digest({**KINDS, **change}, {}) != digest(KINDS, {})


def test_other_metadata_give_another_digest_and_the_digest_itself_does_not():
    assert digest(KINDS, {"key": "1"}) != digest(KINDS, {"key": "2"}) != digest(KINDS, {"ke": "y2"})
    assert digest(KINDS, {tensors.DIGEST: "0"}) == digest(KINDS, {})


def test_files_of_others_need_no_digest(tmp_path):
    save_file({"a": KINDS["a"]}, tmp_path / "t.safetensors")
    assert torch.equal(read_tensors(tmp_path / "t.safetensors")[0]["a"], KINDS["a"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"w": torch.zeros(2, 3, dtype=torch.int8)}, r"the model has float32 \(2, 3\), the file int8 \(2, 3\)"),
        ({"w": torch.zeros(2, 3, dtype=torch.bool)}, "the file bool"),
        ({"w": torch.zeros(2, 3, dtype=torch.complex64)}, "the file complex64"),
        ({"w": torch.zeros(3, 2)}, r"the file float32 \(3, 2\)"),
        ({}, "the file none"),
        ({"w": torch.zeros(2, 3), "v": torch.zeros(1)}, "v: the model has none"),
    ],
)
def test_tensors_of_another_name_shape_or_type_are_refused(tmp_path, wrong, said):
    with pytest.raises(WeightsError, match=f"1 tensors do not fit .*{said}"):
        check_fit({"w": torch.zeros(2, 3)}, wrong, tmp_path / "t.safetensors")


def test_a_full_disk_is_an_error_and_leaves_the_old_file(written, monkeypatch):
    def full(*_, **__):
        raise tensors.SafetensorError("I/O error: No space left on device (os error 28)")

    before = written.read_bytes()
    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(RunError, match=r"cannot write .*t\.safetensors: .*No space left"):
        write_tensors(written, KINDS, {})
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == ["t.safetensors"]
