"""The loop over epochs: it goes on from any step, and nothing that is not finite goes on in silence."""

import math

import pytest
import torch

from genkit.errors import TrainingError
from genkit.runs.opening import as_config, prepare
from genkit.training import checkpoint
from genkit.training.epochs import Loop, StoppedError
from genkit.training.trainer import Trainer

SMALL = ["encoder.hidden=[8]", "decoder.hidden=[8]", "training.epochs=3"]


SYSTEMS = {
    "vae-digits": [*SMALL, "data.binarize=dynamic"],
    "gan-conv": [
        "data={name: digits, size: 8}",
        "decoder={name: mlp, hidden: [8]}",
        "loss.adversarial.critic={name: mlp, hidden: [8]}",
        "training.epochs=2",
        "training.batch_size=64",
    ],
}


def loop_of(digits, *overrides, system="vae-digits"):
    config = as_config(digits.with_stem(system), [*SYSTEMS[system], *overrides])
    data, model = prepare(config)
    return Loop(Trainer(model, config.training), data, config.seed)


def weights_of(loop):
    return {name: tensor.clone() for name, tensor in loop.trainer.model.state_dict().items()}


def figures(records):
    return [(record.train, record.validation, record.left_out) for record in records]


@pytest.mark.parametrize("steps", [1, 19, 27])
@pytest.mark.parametrize("system", SYSTEMS)
def test_stopped_after_any_step_and_restored_it_ends_as_if_never_stopped(digits, tmp_path, steps, system):
    whole, stopped, resumed = (loop_of(digits, system=system) for _ in range(3))
    expected = figures(whole.run(1))
    left, records = [steps], []
    stopped.interrupted = lambda: left.append(left[-1] - 1) or left[-1] == 0
    with pytest.raises(StoppedError):
        records += stopped.run(1)
    done = stopped.epoch - 1
    checkpoint.save(tmp_path / "c.safetensors", stopped.trainer, done)
    point = checkpoint.read(tmp_path / "c.safetensors")
    checkpoint.restore(point, resumed.trainer)
    assert (resumed.epoch, resumed.step) == (stopped.epoch, stopped.step) != (1, 0)
    assert figures(resumed.run(point.epoch + 1)) == expected[done:]
    for name, value in weights_of(whole).items():
        assert torch.equal(value, weights_of(resumed)[name]), name


def test_between_epochs_there_is_no_random_state_to_keep(digits):
    loop = loop_of(digits)
    next(loop.run(1))
    assert loop.state_dict() == {"attempt": 0}


class Spoilt:
    """Makes the gradients of some steps not finite, counted over the whole training."""

    def __init__(self, loop, *steps, again=True):
        self.loop, self.steps, self.again, self.hits = loop, steps, again, 0
        self.usual = loop.trainer.differentiate
        loop.trainer.differentiate = self

    def __call__(self, *arguments):
        gradients, scores = self.usual(*arguments)
        step = (self.loop.epoch - 1) * self.loop.steps + self.loop.step + 1
        if step in self.steps and (self.again or not self.loop.attempt):
            self.hits += 1
            gradients = {owner: [each * math.nan for each in own] for owner, own in gradients.items()}
        return gradients, scores


def rewound(loop):
    """Take a loop back to its start."""
    fresh = prepare(loop.trainer.model.config)[1].state_dict()
    loop.trainer.load_state_dict({"model": fresh, "optimizers": {}, "states": {}})


def test_what_is_not_finite_ends_training_at_its_step_with_the_gradient_and_the_norm_before(digits):
    loop = loop_of(digits)
    loop.rewind = lambda: rewound(loop)
    Spoilt(loop, 7)
    said = r"^epoch 1, step 7 of 20 \(the gradients of the step before have norm [\d.]+\): not finite: the gradient of "
    with pytest.raises(TrainingError, match=said):
        list(loop.run(1))


def test_without_a_way_back_the_epoch_is_named(digits):
    loop = loop_of(digits)
    Spoilt(loop, 7)
    with pytest.raises(TrainingError, match=r"^epoch 1: not finite: "):
        list(loop.run(1))


def test_a_skipped_step_changes_nothing_and_is_counted(digits):
    loop = loop_of(digits, "training.on_nonfinite=skip", "training.epochs=1")
    loop.rewind = lambda: rewound(loop)
    spoilt = Spoilt(loop, 1, 20)
    (record,) = loop.run(1)
    assert record.left_out == 2
    assert spoilt.hits >= 2
    assert math.isfinite(record.train.loss)
    assert all(value.isfinite().all() for value in weights_of(loop).values())


def test_all_steps_skipped_is_an_error(digits):
    loop = loop_of(digits, "training.on_nonfinite=skip", "training.epochs=1")
    loop.rewind = lambda: rewound(loop)
    Spoilt(loop, *range(1, 21))
    with pytest.raises(TrainingError, match="epoch 1: every step was left out"):
        list(loop.run(1))


def test_a_rolled_back_training_goes_on_with_other_draws(digits):
    loop = loop_of(digits, "training.on_nonfinite=rollback", "training.epochs=1")
    loop.rewind = lambda: rewound(loop)
    Spoilt(loop, 7, again=False)
    (record,) = loop.run(1)
    assert loop.attempt == 1
    plain = loop_of(digits, "training.epochs=1")
    (other,) = plain.run(1)
    assert record.train.loss != other.train.loss
    assert loop.state_dict()["attempt"] == 1


def test_a_training_is_rolled_back_three_times_at_most(digits):
    loop = loop_of(digits, "training.on_nonfinite=rollback", "training.epochs=1")
    loop.rewind = lambda: rewound(loop)
    Spoilt(loop, 7)
    with pytest.raises(TrainingError, match=r"epoch 1, step 7 of 20"):
        list(loop.run(1))
    assert loop.attempt == 3


def test_weights_that_ran_away_in_the_last_step_are_not_finite(digits):
    loop = loop_of(digits, "training.epochs=1")
    Spoilt(loop, 20)
    with pytest.raises(TrainingError, match="epoch 1: not finite: "):
        list(loop.run(1))
