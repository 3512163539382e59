"""A run says what changed while nobody looked, and keeps what it was told to change."""

import json

import numpy as np
import pytest
import torch

import genkit
from genkit.errors import GenkitWarning, RunError
from genkit.runs.changes import Change, changes_of, differences
from genkit.runs.opening import config_of, reopen
from genkit.runs.running import resume, run
from genkit.settings import yaml

VAE = {
    "encoder": {"name": "mlp", "hidden": [4]},
    "sampler": {"name": "gaussian", "latent": 2},
    "decoder": {"name": "mlp", "hidden": [4]},
    "likelihood": "bernoulli",
    "loss": ["reconstruction", "kl"],
    "training": {"epochs": 2, "device": "cpu", "compile": False},
}


@pytest.fixture
def data(tmp_path):
    """A function that writes data of a seed."""

    def write(seed=0, count=30, swap=False):
        x = np.random.default_rng(seed).random((count, 3), np.float32)
        np.save(tmp_path / "x.npy", x[::-1] if swap else x)

    write()
    return write


@pytest.fixture
def trained(bare, data, tmp_path):
    """A finished run of two epochs."""
    return run({**VAE, "data": {"name": "arrays", "path": str(tmp_path / "x.npy")}}, out=tmp_path / "run")


def test_options_that_differ_are_named_with_both_values():
    one = {"a": {"b": 1, "c": [1]}, "d": 2}
    assert differences(one, {"a": {"b": 1, "c": [2]}, "e": 3}) == [
        "a.c: [1], now [2]",
        "d: 2, now None",
        "e: None, now 3",
    ]
    assert differences(one, one) == []


ACTS = {"resume": lambda path, **more: resume(path, epochs=3, **more), "evaluate": reopen}


@pytest.mark.parametrize(
    ("change", "what"), [({"seed": 1}, "range"), ({"swap": True}, "other values"), ({"count": 31}, "number of data")]
)
@pytest.mark.parametrize("use", ACTS)
def test_changed_data_are_refused_and_taken_only_if_asked_for(trained, data, change, what, use):
    path = trained.directory.path
    data(**change)
    said = rf"run: the data of 'arrays' are not those of its training: ({what}).*--accept-changes"
    with pytest.raises(RunError, match=said):
        ACTS[use](path)
    with pytest.warns(GenkitWarning, match="are not those of its training"):
        ACTS[use](path, accept_changes=True)


def test_data_that_are_named_anew_are_asked_for(trained, data):
    data(seed=1)
    assert len(reopen(trained.directory.path, [f"data.path={trained.config.data.path}"])[1].train.x) == 21


@pytest.mark.parametrize(
    ("option", "value"), [("seed", 7), ("training.optimizer.lr", 0.5), ("loss[1].weight", 0.5), ("data.split_seed", 3)]
)
def test_a_config_that_was_edited_is_refused_and_named(trained, option, value):
    config = trained.directory.config
    document = yaml.read(config)
    document.override(f"{option}={value}")
    config.write_text(yaml.write(document.values))
    with pytest.raises(
        RunError, match=r"config\.yaml: is not the config of the checkpoint: .*, now .*--accept-changes"
    ):
        resume(trained.directory.path, epochs=3)


def test_options_of_a_resumed_run_hold_from_there_on_and_are_recorded(trained):
    path = trained.directory.path
    resumed = resume(path, epochs=3, overrides=["training.optimizer.lr=0.5"])
    assert resumed.history[-1].lr == 0.5
    assert [record.lr for record in resumed.history[:2]] == [1e-3, 1e-3]
    assert changes_of(resumed.directory) == [Change(2, 0, ["training.optimizer.lr=0.5", "training.epochs=3"])]
    assert config_of(resumed.directory).training.optimizer.lr == 0.5
    assert genkit.load(path).config.training.epochs == 3
    again = resume(path, epochs=4)  # the checkpoint has the options now
    assert [record.lr for record in again.history] == [1e-3, 1e-3, 0.5, 0.5]


def test_options_are_kept_where_the_resumed_run_is_killed_at_once(trained, monkeypatch):
    path = trained.directory.path

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("genkit.runs.running.train", killed)
        with pytest.raises(KeyboardInterrupt):
            resume(path, epochs=3, overrides=["training.optimizer.lr=0.5"])
    assert resume(path).history[-1].lr == 0.5


def test_fewer_epochs_than_are_done_are_refused(trained):
    with pytest.raises(RunError, match=r"2 epochs are done already, more than training\.epochs: 1"):
        resume(trained.directory.path, epochs=1)
    assert changes_of(trained.directory) == []


@pytest.mark.parametrize("text", ["{", "3", "[1]", '[{"epoch": "x", "step": 0, "overrides": []}]'])
def test_damaged_changes_are_named(trained, text):
    trained.directory.changes.write_text(text)
    with pytest.raises(RunError, match=r"changes\.json: is damaged .*genkit resume"):
        resume(trained.directory.path, epochs=3)


def test_a_run_from_before_fingerprints_and_digests_goes_on_and_says_what_is_not_seen(trained):
    from safetensors.torch import save_file

    from genkit.files.tensors import read_tensors
    from genkit.training import checkpoint

    path = trained.directory.checkpoint
    tensors, metadata = read_tensors(path)
    tensors = {name: each for name, each in tensors.items() if not name.startswith("state/")}
    header = json.loads(metadata[checkpoint.KEY])
    header["plain"] = {name: each for name, each in header["plain"].items() if not name.startswith("state/")}
    save_file(tensors, path, metadata={checkpoint.KEY: json.dumps(header)})
    checkpoint.before(path).unlink()
    with pytest.warns(GenkitWarning, match="has no digest"):
        resumed = resume(trained.directory.path, epochs=3)
    assert len(resumed.history) == 3
    assert all(torch.isfinite(each).all() for each in resumed.model.state_dict().values())
