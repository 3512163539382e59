"""Early stopping, the best weights, averages and plateaus in runs that are killed and resumed."""

import json

import pytest
import torch

import genkit
from genkit.errors import RunError
from genkit.runs.running import resume, run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("bare")]
SMALL = ["encoder.hidden=[32]", "decoder.hidden=[32]", "data.validation=0.3", "data.test=0.6", "training.batch_size=8"]
OVERFIT = [*SMALL, "training.epochs=30", "training.optimizer.lr=0.01"]
"""So few data that the validation loss soon rises."""


def weights_of(folder):
    return {name: tensor.clone() for name, tensor in genkit.load(folder).state_dict().items()}


def assert_same(one, other):
    for name, each in weights_of(one).items():
        assert torch.equal(each, weights_of(other)[name]), name


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def judged(folder):
    return [{**line, "seconds": 0, "examples_per_second": 0} for line in metrics(folder)]


def kept(folder):
    return json.loads((folder / "kept.json").read_text())


def test_a_run_ends_when_validation_gets_no_better_and_leaves_its_best_weights(digits, tmp_path):
    done = run(digits, [*OVERFIT, "training.stop.patience=3", "training.keep=best"], out=tmp_path / "run")
    losses = [line["validation"]["loss"] for line in metrics(tmp_path / "run")]
    best = losses.index(min(losses)) + 1
    assert len(losses) == best + 3 < 30
    assert json.loads((tmp_path / "run" / "stopped.json").read_text()) == {"epoch": best + 3, "by": "training.stop"}
    assert kept(tmp_path / "run") == {"epoch": best, "monitor": "loss"}
    assert done.kept == best
    short = run(digits, [*OVERFIT, f"training.epochs={best}"], out=tmp_path / "short")
    assert_same(tmp_path / "run", tmp_path / "short")
    assert done.evaluation == short.evaluation
    assert not (tmp_path / "short" / "kept.json").exists()


ALL = [
    *SMALL,
    "training.epochs=5",
    "training.keep=best",
    "training.ema=0.98",
    "training.stop={patience: 3, monitor: elbo, min_delta: 100}",
    "training.optimizer.lr={schedule: plateau, from: 0.01, factor: 0.3, patience: 1, min_delta: 100}",
    "loss.kl.weight={schedule: cosine, from: 0, to: 1, epochs: 2}",
]


@pytest.mark.parametrize("until", [(0, 7), (1, 0), (2, 5), (4, 0)])
def test_left_anywhere_and_resumed_it_ends_as_if_never_left(digits, tmp_path, until):
    run(digits, ALL, out=tmp_path / "whole")
    assert [line["lr"] for line in metrics(tmp_path / "whole")] == pytest.approx([0.01, 0.01, 0.003, 0.0009])
    run(digits, ALL, out=tmp_path / "left", until=until)
    resume(tmp_path / "left")
    assert_same(tmp_path / "whole", tmp_path / "left")
    assert kept(tmp_path / "whole") == kept(tmp_path / "left")
    assert (tmp_path / "whole" / "stopped.json").read_bytes() == (tmp_path / "left" / "stopped.json").read_bytes()
    assert judged(tmp_path / "whole") == judged(tmp_path / "left")


def test_killed_after_the_checkpoint_that_ends_it_it_trains_no_more(digits, tmp_path, monkeypatch):
    options = [*OVERFIT, "training.stop.patience=2", "training.keep=best"]
    whole = run(digits, options, out=tmp_path / "whole")

    class Killed:
        def epoch_ended(self, record):
            if record.epoch == len(whole.history):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(digits, options, out=tmp_path / "run", listeners=[Killed()])
    assert not (tmp_path / "run" / "stopped.json").exists()
    assert len(resume(tmp_path / "run").history) == len(whole.history)
    assert_same(tmp_path / "whole", tmp_path / "run")
    assert (tmp_path / "run" / "stopped.json").read_text() == (tmp_path / "whole" / "stopped.json").read_text()


def test_more_epochs_alone_do_not_train_a_stopped_run_on_and_more_patience_does(digits, tmp_path):
    options = [*OVERFIT, "training.keep=best"]
    stopped = run(digits, [*options, "training.stop.patience=1"], out=tmp_path / "run")
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    with pytest.raises(RunError, match=r"is finished after \d+ epochs, by training.stop; .* training.stop.patience"):
        resume(tmp_path / "run", epochs=40)
    assert not (tmp_path / "run" / "changes.json").exists()
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before
    longer = resume(tmp_path / "run", overrides=["training.stop.patience=4"])
    assert len(longer.history) > len(stopped.history)
    run(digits, [*options, "training.stop.patience=4"], out=tmp_path / "long")
    assert judged(tmp_path / "run") == judged(tmp_path / "long")
    assert_same(tmp_path / "run", tmp_path / "long")


def test_the_end_of_a_training_that_runs_away_leaves_no_trace_in_averages(digits, tmp_path):
    """It is taken back to its start, where nothing was averaged yet."""
    from genkit.training.trainer import Trainer

    options = [*SMALL, "training.epochs=1", "training.ema=0.9", "training.on_nonfinite=skip", "training.keep=best"]
    usual, calls = Trainer.gradients, []

    def spoilt(self, *arguments):
        gradients, figures = usual(self, *arguments)
        calls.append(1)
        factor = float("nan") if len(calls) == 3 else 1.0  # gone when the epoch is taken up again
        return {owner: [each * factor for each in own] for owner, own in gradients.items()}, figures

    whole = run(digits, options, out=tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Trainer, "gradients", spoilt)
        run(digits, options, out=tmp_path / "run")
    assert len(calls) > whole.history[-1].steps
    assert_same(tmp_path / "whole", tmp_path / "run")


def test_what_follows_training_sees_the_averages(digits, tmp_path):
    seen = []

    class Listener:
        def epoch_ended(self, run):
            seen.append({name: each.clone() for name, each in run.model.state_dict().items()})

    run(digits, [*SMALL, "training.epochs=2", "training.ema=0.99"], out=tmp_path / "run", listeners=[Listener()])
    saved = weights_of(tmp_path / "run")
    assert all(torch.equal(each, seen[-1][name]) for name, each in saved.items())
    plain = run(digits, [*SMALL, "training.epochs=2"], out=tmp_path / "plain").model.state_dict()
    assert not any(torch.equal(each, plain[name]) for name, each in saved.items())


FITTED = [*SMALL, "training.keep=best", "training.ema=0.9", "prior={name: gmm, components: 2}"]


@pytest.mark.parametrize(
    ("length", "after", "more"),
    [
        (["training.epochs=3"], 2, "training.epochs=5"),
        (["training.epochs=null", "training.steps=40"], 1, "training.steps=100"),
    ],
)
@pytest.mark.parametrize("stage", ["fit_prior", "weights.save"])
def test_a_prior_is_fitted_to_the_weights_that_are_kept(digits, tmp_path, monkeypatch, length, after, more, stage):
    """And what it is fitted to is not what a longer training goes on from."""

    def killed(*_):
        raise KeyboardInterrupt

    options = [*FITTED, f"training.optimizer.lr={{schedule: steps, from: 0.01, factor: 50, after: [{after}]}}"]
    done = run(digits, [*options, *length], out=tmp_path / "whole")
    assert done.kept == after < len(done.history)
    with monkeypatch.context() as patched:
        patched.setattr(f"genkit.runs.finishing.{stage}", killed)
        with pytest.raises(KeyboardInterrupt):
            run(digits, [*options, *length], out=tmp_path / "run")
    resume(tmp_path / "run")
    assert_same(tmp_path / "whole", tmp_path / "run")
    assert genkit.load(tmp_path / "run").has_own_prior
    resume(tmp_path / "run", overrides=[more])
    run(digits, [*options, *length, more], out=tmp_path / "long")
    assert judged(tmp_path / "run") == judged(tmp_path / "long")
    assert_same(tmp_path / "run", tmp_path / "long")
