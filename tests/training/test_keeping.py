"""The best weights: kept bit for bit, and taken up again."""

import copy

import pytest
import torch

from genkit.runs.opening import as_config, prepare
from genkit.training.epochs import fit
from genkit.training.trainer import Trainer

SMALL = ["encoder.hidden=[8]", "decoder.hidden=[8]", "training.epochs=6", "training.keep=best"]


def trainer_of(digits, *overrides):
    config = as_config(digits, [*SMALL, *overrides])
    data, model = prepare(config)
    return Trainer(model, config.training), data


def weights_of(trainer):
    return {name: each.clone() for name, each in trainer.model.state_dict().items()}


@pytest.mark.parametrize("ema", ["null", "0.9"])
def test_the_best_epochs_weights_are_kept_as_they_were_judged(digits, ema):
    """A learning rate that jumps up makes an early epoch the best one."""
    overrides = [f"training.ema={ema}", "training.optimizer.lr={schedule: steps, from: 0.01, factor: 50, after: [3]}"]
    trainer, data = trainer_of(digits, *overrides)
    seen, losses = [], []
    for record in fit(trainer, data, seed=0):
        with trainer.judged():
            seen.append(weights_of(trainer))
        losses.append(record.validation.loss)
    best = losses.index(min(losses))
    assert best < 5
    assert trainer.best.epoch == best + 1
    trainer.settle()
    for name, each in weights_of(trainer).items():
        assert torch.equal(each, seen[best][name])


def test_a_state_takes_another_trainer_to_the_same_best_weights(digits):
    one, data = trainer_of(digits)
    next(fit(one, data, seed=0))
    other, _ = trainer_of(digits, "seed=4")
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert other.best.epoch == 1
    other.settle()
    one.settle()
    for name, each in weights_of(one).items():
        assert torch.equal(each, weights_of(other)[name])


@pytest.mark.parametrize("epoch", [1, 0.5, -1])
def test_weights_that_are_not_those_of_the_model_are_refused(digits, epoch):
    trainer, _ = trainer_of(digits)
    with pytest.raises(ValueError, match="not those of the model"):
        trainer.best.load_state_dict({**trainer.best.state_dict(), "epoch": epoch, "weights/x": torch.zeros(1)})


def test_before_the_first_epoch_there_is_nothing_to_settle_on(digits):
    trainer, _ = trainer_of(digits)
    before = weights_of(trainer)
    trainer.best.load_state_dict(trainer.best.state_dict())
    trainer.settle()
    assert all(torch.equal(each, before[name]) for name, each in weights_of(trainer).items())
