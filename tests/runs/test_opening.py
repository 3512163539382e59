"""Opening runs from another folder than the one they were started in."""

import json

import numpy as np
import pytest

import genkit
from genkit.errors import DataError, GenkitWarning, TrainingError
from genkit.runs.opening import config_of, prepare, reopen, started_in
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
    assert json.loads((path / "local.json").read_text()) == {"started_in": folder}
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
