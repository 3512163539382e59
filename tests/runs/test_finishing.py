"""The weights come first, and what fails after them costs nothing."""

import json

import numpy as np
import pytest
import torch

import genkit
from genkit.errors import GenkitWarning, RunError, TrainingError
from genkit.record.stages import STAGES
from genkit.runs.running import resume, run

QUICK = ["training.epochs=2", "encoder.hidden=[8]", "decoder.hidden=[8]"]


def fails(*_, **__):
    raise RuntimeError("this one\ncannot be done")


def stages_of(folder):
    return json.loads((folder / "stages.json").read_text())


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(("stage", "work"), [("evaluated", "evaluate"), ("drawn", "plots.draw_all")])
def test_what_fails_is_a_warning_and_resume_tries_it_again(digits, tmp_path, monkeypatch, stage, work):
    folder = tmp_path / "run"
    said = f"the run could not be {stage}: RuntimeError: this one cannot be done; its weights are written"
    with monkeypatch.context() as patched:
        patched.setattr(f"genkit.runs.finishing.{work}", fails)
        with pytest.warns(GenkitWarning, match=said):
            broken = run(digits, QUICK, out=folder)
    weights = broken.directory.model.read_bytes()
    assert stages_of(folder)["done"] == [each for each in STAGES if each != stage]
    resumed = resume(folder)
    assert sorted(stages_of(folder)["done"]) == sorted(STAGES)
    assert resumed.evaluation is not None
    assert broken.directory.model.read_bytes() == weights
    with pytest.raises(RunError, match="is finished after 2 epochs"):
        resume(folder)


@pytest.mark.usefixtures("bare")
def test_weights_are_written_before_anything_that_follows(digits, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("genkit.runs.finishing.evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(digits, QUICK, out=tmp_path / "run")
    assert genkit.load(tmp_path / "run").sample(2).shape == (2, 1, 8, 8)
    assert not (tmp_path / "run" / "evaluation.json").exists()
    assert resume(tmp_path / "run").evaluation is not None


@pytest.mark.usefixtures("bare")
def test_weights_that_cannot_be_written_are_an_error(digits, tmp_path, monkeypatch):
    def full(*_):
        raise RunError("cannot write model.safetensors: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("genkit.runs.finishing.weights.save", full)
        with pytest.raises(RunError, match="No space left"):
            run(digits, QUICK, out=tmp_path / "run")
    assert stages_of(tmp_path / "run") == {"epoch": 2, "done": ["trained", "fitted"]}
    assert resume(tmp_path / "run").directory.model.is_file()


@pytest.mark.usefixtures("bare")
def test_figures_that_are_not_finite_are_an_error_after_the_pictures(digits, tmp_path, monkeypatch):
    def runs_away(*_, **__):
        raise TrainingError("the test split: elbo nan is not finite")

    drawn = []
    monkeypatch.setattr("genkit.runs.finishing.evaluate", runs_away)
    monkeypatch.setattr("genkit.runs.finishing.plots.draw_all", lambda *_: drawn.append(1))
    with pytest.raises(TrainingError, match="elbo nan"):
        run(digits, QUICK, out=tmp_path / "run")
    assert drawn == [1]
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.usefixtures("bare")
def test_a_model_of_a_run_that_is_not_finished_is_that_of_its_checkpoint(digits, tmp_path):
    class Stops:
        def epoch_ended(self, record):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(digits, QUICK, out=tmp_path / "run", listeners=[Stops()])
    with pytest.warns(GenkitWarning, match="training is not finished; these are its weights after 1 whole epochs"):
        half = genkit.load(tmp_path / "run")
    one = run(digits, [*QUICK, "training.epochs=1"], out=tmp_path / "one").model.state_dict()
    assert all(torch.equal(one[name], value) for name, value in half.state_dict().items())


def test_names_that_are_no_markup_and_one_test_datum_cost_no_model(digits, tmp_path):
    labels = np.array(["$5_to_$10", "A$AP_$", "[red]"] * 20)
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).random((60, 1, 8, 8), np.float32), labels=labels)
    data = f"data={{name: arrays, path: {tmp_path / 'x.npz'}, test: 1, validation: 0}}"
    finished = run(digits, [data, *QUICK], out=tmp_path / "run")
    assert stages_of(tmp_path / "run")["done"] == list(STAGES)
    assert {path.stem for path in finished.directory.pictures.iterdir()} >= {"loss", "latents", "samples"}
