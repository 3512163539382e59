"""Opening runs from another folder than the one they were started in."""

import json
import shutil

import numpy as np
import pytest

import genkit
from genkit.errors import ConfigError, DataError, GenkitWarning, TrainingError
from genkit.runs.opening import config_of, prepare, recorded_plugins, reopen, started_in
from genkit.runs.running import run
from genkit.sharing import weights

SMALL = {
    "data": {"name": "arrays", "path": "x.npy"},
    "encoder": {"name": "mlp", "hidden": []},
    "sampler": {"name": "gaussian", "latent": 2},
    "decoder": {"name": "mlp", "hidden": []},
    "likelihood": "gaussian",
    "loss": ["reconstruction", "kl"],
    "training": {"epochs": 1, "compile": False, "batch_size": 10},
}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A function that trains on x.npy of one folder, and returns the run with the working directory in another."""

    def trained(scale=3, **data):
        home, other = tmp_path / "home", tmp_path / "other"
        home.mkdir()
        other.mkdir()
        np.save(home / "x.npy", np.random.default_rng(0).random((40, 3), np.float32) * np.float32([1, 2, scale]))
        monkeypatch.chdir(home)
        run = genkit.run({**SMALL, "data": {**SMALL["data"], **data}}, out="runs/rel")
        monkeypatch.chdir(other)
        return home / run.directory.path

    return trained


def test_a_run_with_a_relative_path_works_from_anywhere(elsewhere):
    path = elsewhere()
    for source in (path, path / "model.safetensors"):
        _, data = reopen(source)
        assert data.counts() == {"train": 28, "validation": 4, "test": 8}
    directory = genkit.record.directory.RunDirectory(path)
    data, model = prepare(config_of(directory), started_in(directory))
    assert data.fingerprint() == weights.load(path).data.fingerprint == model.data.fingerprint


def test_what_is_given_anew_begins_in_the_working_directory(elsewhere):
    path = elsewhere()
    with pytest.raises(DataError, match=r"data\.path: y\.npy: there is no such file"):
        reopen(path, ["data.path=y.npy"])
    np.save("x.npy", np.zeros((10, 3), np.float32))
    assert len(reopen(path, ["data.path=x.npy"])[1].split("all").x) == 10
    assert len(reopen(path, ["data.test=1"])[1].split("all").x) == 40


def test_no_file_that_is_shared_names_the_folder(elsewhere):
    path = elsewhere()
    folder = str(path.parents[1])
    assert json.loads((path / "local.json").read_text())["started_in"] == folder
    assert b"x.npy" in (path / "model.safetensors").read_bytes()
    for name in ("model.safetensors", "config.yaml", "environment.json", "metrics.jsonl", "evaluation.json"):
        assert folder.encode() not in (path / name).read_bytes()
    (path / "local.json").unlink()
    with pytest.raises(DataError, match=r"x\.npy: there is no such file"):
        reopen(path)


def test_data_for_a_model_of_standardized_data_take_its_scaling(elsewhere):
    model, data = reopen(path := elsewhere(standardize=True))
    assert data.scaling == model.data.scaling
    np.save("few.npy", np.array([[0.5, 1.0, 1.5]] * 10, np.float32))
    few = reopen(path, ["data.path=few.npy", "data.test=1"])[1].test.x[0]
    assert few.abs().max() < 1  # near the mean of the training data, and not 0, which its own scaling would give
    assert few.abs().max() > 0


def test_unscaled_data_are_doubted_before_training_and_blamed_where_it_is_not_finite(elsewhere):
    extents = r"the data are unscaled: .*column 2 from .*data\.standardize=true"
    with pytest.warns(GenkitWarning, match=extents), pytest.raises(TrainingError, match=f"not finite: .*{extents}"):
        elsewhere(scale=4e8)


def test_unscaled_data_train_once_they_are_standardized(elsewhere):
    assert reopen(elsewhere(scale=4e8, standardize=True))[1].range()[1] < 4


@pytest.fixture
def of_a_file(bare, tmp_path):
    """A run on data of a file."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((12, 3)))
    data = {"name": "arrays", "path": str(tmp_path / "x.npy"), "test": 4}
    return run({**SMALL, "data": data}, out=tmp_path / "run").directory


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
