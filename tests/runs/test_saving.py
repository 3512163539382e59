"""Trainings of so many steps, and checkpoints by epochs, steps or minutes: killed anywhere, they end as if never."""

import json
import random

import pytest
import torch

import genkit
from genkit.errors import ConfigError, RunError, TrainingError
from genkit.runs.running import resume, run
from genkit.training import checkpoint
from genkit.training.trainer import Trainer

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("bare")]
SMALL = ["encoder.hidden=[8]", "decoder.hidden=[8]", "training.batch_size=140"]
"""1,258 training data of digits, in 9 steps an epoch."""
STATEFUL = [
    *SMALL,
    "training.ema=0.9",
    "training.keep=best",
    "training.stop.patience=3",
    "data.binarize=dynamic",
    "training.optimizer.lr={schedule: plateau, from: 0.01, patience: 1}",
]


def assert_same(one, other):
    left, right = (genkit.load(folder).state_dict() for folder in (one, other))
    for name, each in left.items():
        assert torch.equal(each, right[name]), name


def judged(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{**line, "seconds": 0, "examples_per_second": 0} for line in lines]


class Killed(BaseException):
    """Ends a run at once."""


@pytest.fixture
def killed(monkeypatch):
    """`killed(after)`: from now on, the step after so many steps kills the run; None: no step does."""
    usual, left = Trainer.step, [None]

    def step(self, *arguments, **options):
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
        return usual(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "step", step)
    return lambda after: left.__setitem__(0, after)


@pytest.fixture
def places(monkeypatch):
    """The places at which checkpoints were written."""
    usual, written = checkpoint.save, []

    def save(path, trainer, epoch, *arguments):
        written.append((epoch, trainer.states["loop"].step))
        usual(path, trainer, epoch, *arguments)

    monkeypatch.setattr(checkpoint, "save", save)
    return written


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [(1, 0), (2, 0), (3, 0)]),
        (["training.checkpoint.epochs=2"], [(2, 0), (3, 0)]),
        (["training.checkpoint.epochs=5"], [(3, 0)]),
        (["training.checkpoint.steps=6"], [(0, 6), (1, 3), (2, 0), (2, 6), (3, 0)]),
        (["training.checkpoint.steps=18"], [(2, 0), (3, 0)]),
        (["training.checkpoint.minutes=60"], [(3, 0)]),
    ],
)
def test_checkpoints_are_written_as_often_as_asked_and_at_the_end(digits, tmp_path, places, options, expected):
    run(digits, [*SMALL, "training.epochs=3", *options], out=tmp_path / "run")
    assert places == expected


def test_minutes_count_within_epochs(digits, tmp_path, places):
    run(digits, [*SMALL, "training.epochs=1", "training.checkpoint.minutes=1e-9"], out=tmp_path / "run")
    assert places == [*((0, step) for step in range(1, 9)), (1, 0)]


@pytest.mark.parametrize("options", [["training.checkpoint.steps=4"], ["training.checkpoint.epochs=2"]])
@pytest.mark.parametrize("length", [["training.epochs=4"], ["training.epochs=null", "training.steps=33"]])
def test_killed_at_a_random_step_and_resumed_it_ends_as_if_never_killed(digits, tmp_path, killed, options, length):
    run(digits, [*STATEFUL, *length], out=tmp_path / "whole")
    for after in random.Random(0).sample(range(1, 33), 2):
        folder = tmp_path / str(after)
        killed(after)
        with pytest.raises(Killed):
            run(digits, [*STATEFUL, *length, *options], out=folder)
        killed(None)
        if not (folder / "checkpoint.safetensors").exists():
            assert after < 18
        resume(folder)
        assert_same(tmp_path / "whole", folder)
        assert judged(tmp_path / "whole") == judged(folder)


@pytest.mark.parametrize("steps", [5, 9, 20])
def test_a_training_of_so_many_steps_is_the_start_of_a_longer_one(digits, tmp_path, steps):
    short = run(digits, [*SMALL, "training.epochs=null", f"training.steps={steps}"], out=tmp_path / "run")
    assert short.history[-1].steps == steps
    assert len(short.history) == short.epochs == -(-steps // 9)
    left = run(digits, [*SMALL, "training.epochs=4"], out=tmp_path / "left", until=divmod(steps, 9))
    for mine, theirs in zip(short.model.parameters(), left.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_cut_training_that_goes_on_equals_a_long_one(digits, tmp_path):
    run(digits, [*STATEFUL, "training.epochs=null", "training.steps=14"], out=tmp_path / "run")
    with pytest.raises(RunError, match=r"is finished after 14 steps; .* resume it with training.steps=28"):
        resume(tmp_path / "run")
    with pytest.raises(RunError, match=r"14 steps are done already, more than training.steps: 13"):
        resume(tmp_path / "run", overrides=["training.steps=13"])
    resume(tmp_path / "run", overrides=["training.steps=25"])
    run(digits, [*STATEFUL, "training.epochs=null", "training.steps=25"], out=tmp_path / "long")
    assert judged(tmp_path / "run") == judged(tmp_path / "long")
    assert_same(tmp_path / "run", tmp_path / "long")


def test_killed_between_its_last_step_and_its_figures_a_cut_training_has_them_once(digits, tmp_path, monkeypatch):
    options = [*STATEFUL, "training.epochs=null", "training.steps=14"]
    run(digits, options, out=tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr("genkit.runs.session.finish", lambda *_: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            run(digits, options, out=tmp_path / "run")
    resumed = resume(tmp_path / "run")
    assert [record.epoch for record in resumed.history] == [1, 2]
    assert judged(tmp_path / "run") == judged(tmp_path / "whole")
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_epochs_in_place_of_steps_are_asked_for_by_name(digits, tmp_path):
    run(digits, [*SMALL, "training.epochs=null", "training.steps=5"], out=tmp_path / "run")
    with pytest.raises(ConfigError, match="says both epochs and steps: give one of them a number, and the other null"):
        resume(tmp_path / "run", epochs=2)
    assert len(resume(tmp_path / "run", overrides=["training.steps=null", "training.epochs=2"]).history) == 2


def spoilt(monkeypatch, *calls):
    """Make the gradients of some calls not finite."""
    usual, done = Trainer.gradients, []

    def gradients(self, *arguments):
        result, figures = usual(self, *arguments)
        done.append(1)
        factor = float("nan") if len(done) in calls else 1.0
        return {owner: [each * factor for each in own] for owner, own in result.items()}, figures

    monkeypatch.setattr(Trainer, "gradients", gradients)
    return done


@pytest.mark.parametrize(("every", "again"), [("steps: 4", 9), ("epochs: 3", 18)])
def test_a_training_that_runs_away_goes_back_to_its_last_checkpoint(digits, tmp_path, monkeypatch, every, again):
    """However far that lies behind: what is trained again is recorded once."""
    options = [*SMALL, "training.epochs=5", f"training.checkpoint={{{every}}}", "training.ema=0.9"]
    run(digits, options, out=tmp_path / "whole")
    with monkeypatch.context() as patched:
        done = spoilt(patched, 40)  # the fifth epoch's fourth step, once
        heard = run(digits, [*options, "training.on_nonfinite=skip"], out=tmp_path / "run")
    assert len(done) == 45 + again
    assert [record.epoch for record in heard.history] == [1, 2, 3, 4, 5]
    assert judged(tmp_path / "run") == judged(tmp_path / "whole")
    assert_same(tmp_path / "run", tmp_path / "whole")


def test_a_state_that_is_not_finite_is_not_written(digits, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        spoilt(patched, *range(12, 99))
        with pytest.raises(
            TrainingError, match=r"epoch 2, step 2 of 9: .* the state after epoch 1 and 1 steps is kept"
        ):
            run(digits, [*SMALL, "training.epochs=3", "training.checkpoint.steps=2"], out=tmp_path / "run")
    point = checkpoint.read(tmp_path / "run" / "checkpoint.safetensors")
    assert point.place == (1, 1)
    assert all(each.isfinite().all() for each in point.tensors.values())
