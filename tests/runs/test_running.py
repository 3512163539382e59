import json
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch

import genkit
from genkit.errors import ConfigError, DataError, GenkitError, RunError
from genkit.files.tensors import read_tensors
from genkit.record.directory import RunDirectory
from genkit.registry.hooks import hookimpl
from genkit.runs.opening import as_config, config_of, reopen
from genkit.runs.running import resume, run
from genkit.training import checkpoint
from genkit.training.seeds import own_random_state, seed_everything

QUICK = ["training.epochs=4", "encoder.hidden=[16]", "decoder.hidden=[16]"]
# Everything that a resumed run has to bring back: momentum, schedules, drawn noise, drawn pixels.
STATEFUL = [
    *QUICK,
    "training.optimizer={name: adamw, lr: {from: 0.01, to: 0.001, epochs: 3}}",
    "loss.kl.weight={from: 0, to: 1, epochs: 2.5}",
    "data.binarize=dynamic",
]


class StopAfter:
    """A listener that interrupts once so many epochs are done."""

    def __init__(self, epoch):
        self.epoch = epoch

    @hookimpl
    def run_started(self, run):
        if self.epoch == 0:
            raise KeyboardInterrupt

    @hookimpl
    def epoch_ended(self, record):
        if record.epoch == self.epoch:
            raise KeyboardInterrupt


def weights_of(path):
    return {name: tensor.clone() for name, tensor in genkit.load(path).state_dict().items()}


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


FIRST_STEP = """
import sys
from importlib.metadata import version
import genkit.cli, genkit.training.trainer

def step(*arguments):
    print("MODULES", *sys.modules)
    raise KeyboardInterrupt

genkit.training.trainer.Trainer.step = step
genkit.cli.main()
"""
HEAVY = {"matplotlib", "PIL", "sklearn", "scipy", "tensorboard", "torchmetrics", "prdc", "pyarrow", "pooch", "sympy"}


def test_at_the_first_step_nothing_heavy_is_imported_that_it_does_not_use(digits, tmp_path, environment):
    command = [sys.executable, "-c", FIRST_STEP, "run", str(digits), "--out", str(tmp_path / "run")]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True).stderr  # all but the directory
    (line,) = [line for line in printed.splitlines() if line.startswith("MODULES ")]
    modules = set(line.split())
    assert not modules & (HEAVY | {"torch._dynamo", "torch._inductor", "torch.utils.tensorboard"})


def test_a_run_leaves_what_it_promises(finished):
    root = finished.directory.path
    for name in ("config.yaml", "environment.json", "metrics.jsonl", "model.safetensors", "evaluation.json"):
        assert (root / name).stat().st_size > 0
    pictures = {path.stem for path in (root / "pictures").iterdir()}
    assert pictures == {"reconstructions", "samples", "latents", "loss", "manifold", "filters"}
    environment = json.loads((root / "environment.json").read_text())
    assert environment["versions"]["torch"] == version("torch")
    assert environment["plugins"][0]["distribution"] == "genkit-torch"
    assert "encoder/mlp" in environment["plugins"][0]["components"]


def test_metrics_hold_each_epoch_with_an_elbo_that_is_the_sum_of_its_parts(finished):
    lines = [json.loads(line) for line in finished.directory.metrics.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    for line in lines:
        for split in ("train", "validation"):
            scores = line[split]
            assert scores["elbo"] == pytest.approx(-scores["reconstruction"] - scores["kl"])
            assert scores["terms"] == pytest.approx({"reconstruction": scores["reconstruction"], "kl": scores["kl"]})


@pytest.mark.usefixtures("bare")
def test_the_resolved_config_repeats_the_run_bit_for_bit(tmp_path, digits):
    first = run(digits, STATEFUL, out=tmp_path / "first")
    second = run(first.directory.config, out=tmp_path / "second")
    assert_same_weights(weights_of(tmp_path / "first"), weights_of(tmp_path / "second"))
    assert first.directory.config.read_text() == second.directory.config.read_text()
    assert first.evaluation == second.evaluation


@pytest.mark.usefixtures("bare")
def test_another_seed_gives_other_weights(tmp_path, digits):
    run(digits, QUICK, out=tmp_path / "first")
    run(digits, [*QUICK, "seed=1"], out=tmp_path / "second")
    one, other = weights_of(tmp_path / "first"), weights_of(tmp_path / "second")
    assert not torch.equal(one["sampler.mean.weight"], other["sampler.mean.weight"])


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize("epoch", [0, 1, 2, 3, 4])
def test_interrupted_after_any_epoch_and_resumed_it_ends_as_if_never_interrupted(tmp_path, digits, epoch):
    run(digits, STATEFUL, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(digits, STATEFUL, out=tmp_path / "stopped", listeners=[StopAfter(epoch)])
    assert not (tmp_path / "stopped" / "model.safetensors").exists()
    resumed = resume(tmp_path / "stopped")
    assert_same_weights(weights_of(tmp_path / "whole"), weights_of(tmp_path / "stopped"))
    assert [record.epoch for record in resumed.history] == [1, 2, 3, 4]
    assert len(resumed.directory.metrics.read_text().splitlines()) == 4


@pytest.mark.usefixtures("bare")
def test_the_scale_of_float16_gradients_is_taken_up_again(tmp_path, digits):
    half = [*STATEFUL, "training.precision=float16"]
    whole = run(digits, half, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(digits, half, out=tmp_path / "stopped", listeners=[StopAfter(2)])
    resume(tmp_path / "stopped")
    assert_same_weights(weights_of(tmp_path / "whole"), weights_of(tmp_path / "stopped"))
    header = json.loads(read_tensors(whole.directory.checkpoint)[1][checkpoint.KEY])
    assert 0 < header["scaler"]["_growth_tracker"] <= 80  # of the steps of four epochs, those since the last overflow


@pytest.mark.usefixtures("bare")
def test_interrupted_between_the_metrics_and_the_checkpoint_the_epoch_is_repeated(tmp_path, digits, monkeypatch):
    run(digits, STATEFUL, out=tmp_path / "whole")
    save = checkpoint.save

    def interrupted(path, trainer, epoch, metadata):
        if epoch == 3:
            raise KeyboardInterrupt
        save(path, trainer, epoch, metadata)

    monkeypatch.setattr(checkpoint, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(digits, STATEFUL, out=tmp_path / "stopped")
    monkeypatch.setattr(checkpoint, "save", save)
    assert [record.epoch for record in resume(tmp_path / "stopped").history] == [1, 2, 3, 4]
    assert_same_weights(weights_of(tmp_path / "whole"), weights_of(tmp_path / "stopped"))


@pytest.mark.usefixtures("bare")
def test_a_finished_run_can_be_trained_longer_and_equals_a_long_one(tmp_path, digits):
    run(digits, STATEFUL, out=tmp_path / "short")
    with pytest.raises(RunError, match=r"finished after 4 epochs.*--epochs 8"):
        resume(tmp_path / "short")
    resume(tmp_path / "short", epochs=6)
    run(digits, [*STATEFUL, "training.epochs=6"], out=tmp_path / "long")
    assert_same_weights(weights_of(tmp_path / "short"), weights_of(tmp_path / "long"))
    assert config_of(RunDirectory.open(tmp_path / "short")).training.epochs == 6


@pytest.mark.usefixtures("bare")
def test_a_run_leaves_the_random_states_of_its_caller_alone(tmp_path, digits):
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    run(digits, QUICK, out=tmp_path / "run")
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()


def test_each_epoch_has_a_random_state_of_its_own():
    draws = []
    with own_random_state():
        for seed, epoch in [(0, 1), (0, 2), (1, 1), (0, 1)]:
            seed_everything(seed, epoch)
            draws.append((torch.rand(()).item(), np.random.random()))
    assert draws[0] == draws[3]
    assert len(set(draws)) == 3


@pytest.mark.usefixtures("bare")
def test_listeners_hear_the_run_in_order(tmp_path, digits):
    heard = []

    class Listener:
        @hookimpl
        def run_started(self, run):
            heard.append(("started", len(run.history), run.evaluation))

        @hookimpl
        def epoch_ended(self, run, record):
            heard.append(("epoch", record.epoch, (run.directory.path / "checkpoint.safetensors").is_file()))

        @hookimpl
        def run_ended(self, run):
            heard.append(("ended", run.directory.model.is_file(), run.evaluation is not None))

        @hookimpl
        def run_stopped(self):
            heard.append("stopped")

    run(digits, [*QUICK, "training.epochs=2"], out=tmp_path / "run", listeners=[Listener()])
    assert heard == [("started", 0, None), ("epoch", 1, True), ("epoch", 2, True), ("ended", True, True), "stopped"]


class StopsAfter:
    """Ends training after so many epochs."""

    def __init__(self, epochs):
        self.epochs = epochs

    def should_stop(self, run, record):
        assert run.history[-1] == record
        return record.epoch >= self.epochs


@pytest.mark.usefixtures("bare")
def test_a_run_that_a_listener_ends_is_that_of_so_many_epochs_and_finished(tmp_path, digits):
    short = run(digits, [*STATEFUL, "training.epochs=2"], out=tmp_path / "short")
    early = run(digits, STATEFUL, out=tmp_path / "early", listeners=[StopsAfter(2)])
    assert [record.epoch for record in early.history] == [1, 2]
    assert_same_weights(weights_of(tmp_path / "early"), weights_of(tmp_path / "short"))
    assert early.evaluation == short.evaluation
    assert json.loads(early.directory.stopped.read_text()) == {"epoch": 2, "by": "listener 'StopsAfter'"}
    assert not short.directory.stopped.exists()
    with pytest.raises(RunError, match=r"finished after 2 epochs.*--epochs 4"):
        resume(tmp_path / "early")


@pytest.mark.usefixtures("bare")
def test_a_run_that_was_ended_early_can_be_trained_longer_and_equals_a_long_one(tmp_path, digits):
    run(digits, STATEFUL, out=tmp_path / "early", listeners=[StopsAfter(2)])
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "early", epochs=4, listeners=[StopAfter(3)])
    assert [record.epoch for record in resume(tmp_path / "early").history] == [1, 2, 3, 4]
    run(digits, STATEFUL, out=tmp_path / "long")
    assert_same_weights(weights_of(tmp_path / "early"), weights_of(tmp_path / "long"))
    assert not (tmp_path / "early" / "stopped.json").exists()


@pytest.mark.usefixtures("bare")
def test_a_run_that_was_ended_early_and_then_interrupted_trains_no_more_when_it_is_resumed(
    tmp_path, digits, monkeypatch
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("genkit.runs.finishing.evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(digits, STATEFUL, out=tmp_path / "run", listeners=[StopsAfter(2)])
    finished = resume(tmp_path / "run")
    assert [record.epoch for record in finished.history] == [1, 2]
    assert finished.directory.model.is_file()
    run(digits, [*STATEFUL, "training.epochs=2"], out=tmp_path / "short")
    assert_same_weights(weights_of(tmp_path / "run"), weights_of(tmp_path / "short"))


@pytest.mark.usefixtures("bare")
def test_a_config_may_be_a_mapping_and_stays_as_it_was(tmp_path, digits):
    values = as_config(digits, QUICK).resolved()
    before = json.dumps(values)
    done = run(values, ["seed=3"], out=tmp_path / "run")
    assert done.config.seed == 3
    assert json.dumps(values) == before


@pytest.mark.usefixtures("bare")
def test_without_a_test_split_there_are_no_test_figures(tmp_path, digits):
    done = run(digits, [*QUICK, "data.test=0"], out=tmp_path / "run")
    assert done.evaluation is None
    assert not done.directory.evaluation.exists()
    assert done.directory.model.is_file()


def test_data_outside_the_likelihoods_range_are_refused_before_anything_is_written(tmp_path, digits):
    np.save(tmp_path / "x.npy", np.full((50, 8), 3.0, np.float32))
    source = f"data={{name: arrays, path: {tmp_path / 'x.npy'}}}"
    with pytest.raises(DataError, match="likelihood 'bernoulli' takes values from 0 to 1, and the data go from 3 to 3"):
        run(digits, [source], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("bare")
def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_term(tmp_path, digits):
    with pytest.raises(
        genkit.GenkitError,
        match=r"epoch 1, step \d+ of 20 .*: not finite: term/.*(nan|inf); lower training.optimizer.lr.*"
        r"the state after epoch 0 is kept; .*: genkit resume .*run training.optimizer.lr=",
    ):
        run(digits, [*QUICK, "training.optimizer={name: sgd, lr: 1.0e+6}"], out=tmp_path / "run")


def test_resume_of_something_else_is_refused(tmp_path):
    with pytest.raises(RunError, match="no run directory"):
        resume(tmp_path)


@pytest.mark.usefixtures("bare")
def test_an_interrupted_run_tells_its_listeners_that_it_stopped(tmp_path, digits):
    heard = []

    class Listener(StopAfter):
        @hookimpl
        def run_ended(self):
            heard.append("ended")

        @hookimpl
        def run_stopped(self):
            heard.append("stopped")

    with pytest.raises(KeyboardInterrupt):
        run(digits, QUICK, out=tmp_path / "run", listeners=[Listener(1)])
    assert heard == ["stopped"]


def test_a_trained_model_comes_back_with_its_data_or_with_others(tmp_path, finished):
    model, data = reopen(finished.directory.path)
    assert torch.equal(data.test.x, finished.data.test.x)
    assert torch.equal(model.encode(data.test.x), finished.model.encode(data.test.x))
    np.save(tmp_path / "x.npy", np.zeros((20, 1, 8, 8), np.float32))
    _, other = reopen(finished.directory.model, ["data=arrays", f"data.path={tmp_path / 'x.npy'}"])
    assert len(other.split("all").x) == 20
    with pytest.raises(ConfigError, match="only the data can be changed"):
        reopen(finished.directory.path, ["training.epochs=3"])


def test_a_run_says_all_that_is_wrong_before_anything_starts(digits, tmp_path):
    wrong = [
        "training.precision=tf32",
        "training.device=cpu",
        "decoder={name: cnn, layers: [{channels: 4, kernel: 99}]}",
    ]
    with pytest.raises(GenkitError) as caught:
        run(digits, wrong, out=tmp_path / "run")
    first, *others = str(caught.value).splitlines()
    assert first.startswith("training.precision: tf32 is of NVIDIA GPUs")
    assert others
    assert "decoder 'cnn'" in others[0]
    assert not (tmp_path / "run").exists()
