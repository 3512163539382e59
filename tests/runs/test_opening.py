import json
import shutil

import numpy as np
import pytest

import genkit
from genkit.errors import ConfigError
from genkit.runs.opening import recorded_plugins, reopen
from genkit.runs.running import run

VAE = {
    "encoder": {"name": "mlp", "hidden": [4]},
    "sampler": {"name": "gaussian", "latent": 2},
    "decoder": {"name": "mlp", "hidden": [4]},
    "likelihood": "bernoulli",
    "loss": ["reconstruction", "kl"],
    "training": {"epochs": 1, "device": "cpu", "compile": False},
}


@pytest.fixture
def of_a_file(bare, tmp_path):
    """A run on data of a file."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((12, 3)))
    data = {"name": "arrays", "path": str(tmp_path / "x.npy"), "test": 4}
    return run({"data": data, **VAE}, out=tmp_path / "run").directory


def test_data_of_a_run_are_read_again(of_a_file):
    for path in (of_a_file.path, of_a_file.model):
        assert len(reopen(path)[1].test.x) == 4


def test_data_that_a_file_from_elsewhere_names_are_read_only_if_asked_for(of_a_file, tmp_path, cli):
    foreign = tmp_path / "downloads" / "model.safetensors"
    foreign.parent.mkdir()
    shutil.copy(of_a_file.model, foreign)
    with pytest.raises(
        ConfigError, match=r"model\.safetensors: says data\.path='.*x\.npy'.*say what to read: data\.path="
    ):
        reopen(foreign)
    assert len(reopen(foreign, [f"data.path={tmp_path / 'x.npy'}"])[1].test.x) == 4
    assert reopen(foreign, ["data=digits"])[1].shape == (1, 8, 8)
    (tmp_path / "x.npy").unlink()
    assert genkit.load(foreign).sample(2).shape == (2, 3)  # loading reads no data
    for command in ("describe", "load", "card"):
        assert cli(command, foreign).code == 0
    assert cli("sample", foreign, "--out", tmp_path / "z.npy").code == 0
    answer = cli("encode", foreign, "--out", tmp_path / "z.npy")
    assert answer.code == 2
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1


def test_data_without_files_need_no_asking(finished, tmp_path):
    shutil.copy(finished.directory.model, tmp_path / "m.safetensors")
    assert len(reopen(tmp_path / "m.safetensors")[1].test.x) == 359


@pytest.mark.parametrize("text", ["{", "[1]", "3", '{"plugins": 3}', '{"plugins": [{}]}', "[" * 100_000, "\udcff"])
def test_an_environment_that_cannot_be_read_names_no_plugins(finished, tmp_path, text):
    shutil.copy(finished.directory.config, tmp_path / "config.yaml")
    (tmp_path / "environment.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert recorded_plugins(genkit.record.directory.RunDirectory(tmp_path)) == []
    assert json.loads(finished.directory.environment.read_text())["plugins"]
