"""What a new run records of where it came from, and how its directory is called."""

import json
from pathlib import Path

import pytest

from genkit.config import RunConfig
from genkit.errors import TrainingError
from genkit.record.origin import origin_of
from genkit.record.state import Word, state_of
from genkit.runs.opening import as_config
from genkit.runs.origins import origin_from
from genkit.runs.running import resume, run

TINY = ["data.size=8", "encoder.hidden=[4]", "decoder.hidden=[4]", "training.epochs=1"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_records_its_file_the_options_as_typed_and_what_they_changed(here, bare, digits):
    typed = ["sampler.latent=3", "loss.kl.weight=1", *TINY]
    Path("own.yaml").write_text(digits.read_text())
    directory = run("own.yaml", typed).directory
    origin = origin_of(directory)
    assert (origin.config, origin.overrides) == ("own.yaml", tuple(typed))
    changes = {change.path: (change.before, change.after) for change in origin.changes}
    assert changes["sampler.latent"] == (2, 3)
    assert "loss.kl.weight" not in changes, "it is what the file says"
    assert directory.path == Path("runs/vae-digits-encoder.hidden4-latent3-decoder.hidden4")
    assert state_of(directory).word == Word.FINISHED


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [(["training.epochs=1"], "vae-digits"), (["seed=4", "name=mine"], "mine"), (["seed=4"], "vae-digits-seed4")],
)
def test_a_directory_is_called_by_what_was_asked_for_unless_its_name_is(here, bare, digits, overrides, expected):
    values = as_config(digits, TINY).resolved()
    assert [run(values, overrides).directory.path for _ in range(2)] == [
        Path("runs", expected),
        Path("runs", f"{expected}-2"),
    ]


def test_values_and_configs_are_origins_without_a_file(digits):
    config = as_config(digits)
    for source in (config.resolved(), config):
        origin = origin_from(source, ["seed=1"], as_config(digits, ["seed=1"]))
        assert (origin.config, [change.path for change in origin.changes]) == (None, ["seed"])
    assert isinstance(config, RunConfig)
    assert origin_from(digits, [], config).changes == ()


def test_a_file_that_is_no_config_by_itself_names_the_options_that_complete_it(here, digits):
    text = digits.read_text().replace("name: gaussian", "name: missing")
    Path("open.yaml").write_text(text)
    completed = as_config("open.yaml", ["sampler={name: gaussian, latent: 2}"])
    origin = origin_from("open.yaml", ["sampler={name: gaussian, latent: 2}"], completed)
    assert [(each.path, each.after) for each in origin.changes] == [("sampler", "{name: gaussian, latent: 2}")]


def test_a_training_that_fails_leaves_its_reason_and_is_resumed_without_it(here, bare, digits):
    with pytest.raises(TrainingError):
        run(digits, [*TINY, "training.optimizer={name: sgd, lr: 1.0e+30}"], out="it")
    with pytest.raises(TrainingError):
        resume("it")
    from genkit.record.directory import RunDirectory

    word, reason = state_of(RunDirectory(Path("it")))
    assert word == Word.FAILED
    assert "the state after epoch 0" in reason
    resume("it", overrides=["training.optimizer.lr=0.001"])
    assert state_of(RunDirectory(Path("it"))).word == Word.FINISHED
    assert json.loads(Path("it/local.json").read_text())["started"] > 1.7e9
