"""Activations in shards, and the scale at which a model sees them."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import genkit
from genkit.data import loading
from genkit.errors import DataError
from genkit_data import Activations

X = (np.random.default_rng(0).normal(size=(60, 5)) * 7 + 3).astype(np.float32)
CONFIG = {
    "name": "dictionary",
    "encoder": {"name": "mlp", "hidden": []},
    "sampler": {"name": "point", "latent": 8, "activation": "relu"},
    "decoder": {"name": "mlp", "hidden": [], "unit_norm": True},
    "likelihood": {"name": "gaussian", "scale": 1.0},
    "loss": ["reconstruction", "l1"],
    "training": {"epochs": 1, "batch_size": 20, "compile": False},
}


def load(path, **options):
    return Activations(Activations.Config.model_validate({"path": str(path), **options})).load()


@pytest.fixture
def shards(tmp_path):
    for number, part in enumerate(np.array_split(X, 12)):
        np.save(tmp_path / f"part-{number}.npy", part)
    return tmp_path / "part-*.npy"


@pytest.mark.parametrize("mapped", [True, False])
def test_shards_follow_each_other(shards, mapped):
    raw = load(shards, mapped=mapped)
    np.testing.assert_array_equal(raw.train.x[:].numpy(), X)
    assert (raw.train.labels, raw.test) == (None, None)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_each_position_of_a_sequence_is_a_datum(tmp_path, mapped, dtype):
    stored = torch.from_numpy(X).to(dtype)
    save_file({"resid": stored.view(12, 5, 5), "other": torch.zeros(3)}, tmp_path / "a.safetensors")
    raw = load(tmp_path / "a.safetensors", key="resid", mapped=mapped)
    assert torch.equal(raw.train.x[:], stored.float())


def test_the_test_data_may_have_files_of_their_own(shards):
    raw = load(str(shards).replace("*", "[0-9]"), test_path=str(shards).replace("*", "1[01]"))
    assert (len(raw.train.x), len(raw.test.x)) == (50, 10)
    np.testing.assert_array_equal(raw.test.x.numpy(), X[50:])


def test_the_model_sees_a_mean_squared_norm_of_d_and_gives_activations_in_their_own_units(shards, tmp_path, bare):
    data = loading.load(Activations.Config(path=str(shards), test=0, validation=0))
    assert float(data.transforms(data.train.x).square().sum(1).mean()) == pytest.approx(5, rel=1e-5)
    run = genkit.run({**CONFIG, "data": {"name": "activations", "path": str(shards)}}, out=tmp_path / "run")
    assert [step.name for step in run.config.data.transform] == ["rms"]
    model = genkit.load(tmp_path / "run")
    scale = float(run.data.train.x.square().mean().sqrt())
    code = model.encode(run.data.test)
    torch.testing.assert_close(model.decode(code), scale * model.decoder(code).detach())


def test_the_scale_can_be_left_out(shards):
    assert Activations.Config(path=str(shards), transform=[]).transform == ()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(5), "holds an array of shape (5,), not (N, d) or (sequences, positions, d) in C order"),
        (np.zeros((5, 2), np.uint8), "activations are floating-point numbers, not torch.uint8"),
        (np.zeros((5, 2), complex), "holds complex128, not numbers"),
    ],
)
@pytest.mark.parametrize("mapped", [True, False])
def test_what_is_no_activations_is_named(tmp_path, array, message, mapped):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(DataError, match=rf"data\.path: .*{re.escape(message)}"):
        load(tmp_path / "a.npy", mapped=mapped)


@pytest.mark.parametrize("mapped", [True, False])
def test_shards_of_different_widths_are_named(tmp_path, mapped):
    np.save(tmp_path / "a.npy", np.zeros((5, 3), np.float32))
    np.save(tmp_path / "b.npy", np.zeros((5, 4), np.float32))
    with pytest.raises(DataError, match=r"a\.npy holds data of shape \(3,\).*b\.npy of \(4,\)"):
        load(tmp_path / "*.npy", mapped=mapped)


def test_no_shards_are_named(tmp_path):
    with pytest.raises(DataError, match=r"data\.path: no file matches .*none-\*\.npy"):
        load(tmp_path / "none-*.npy")
    with pytest.raises(DataError, match=r"data\.path: .*none\.npy: there is no such file"):
        load(tmp_path / "none.npy")
