"""Groups of options of training that exclude each other, or have a short form."""

import pytest
from pydantic import ValidationError

from genkit.settings.training import Average, Checkpoints, TrainingConfig


def made(**values):
    return TrainingConfig.model_validate(values)


def test_an_average_may_be_its_decay_alone():
    assert made(ema=0.99).ema == made(ema={"decay": 0.99}).ema == Average(decay=0.99)
    assert made(ema={}).ema.decay == 0.999
    assert made().ema is None


@pytest.mark.parametrize("ema", [1, 0, True, "0.9", 1.5, {"decay": None}, {"rate": 0.9}])
def test_a_decay_lies_between_0_and_1(ema):
    with pytest.raises(ValidationError):
        made(ema=ema)


def test_steps_take_the_place_of_epochs_that_nobody_asked_for():
    assert (made().epochs, made().steps) == (10, None)
    assert (made(steps=7).epochs, made(steps=7).steps) == (None, 7)
    assert made(**made(steps=7).model_dump()) == made(steps=7)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": 3, "steps": 7}, "says both epochs and steps: give one of them a number, and the other null"),
        ({"epochs": None}, "says neither epochs nor steps"),
        ({"epochs": None, "steps": None}, "says neither epochs nor steps"),
        ({"steps": 0}, "greater than or equal to 1"),
        ({"steps": 7.5}, "valid integer"),
    ],
)
def test_a_training_has_one_length(values, said):
    with pytest.raises(ValidationError, match=said):
        made(**values)


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_epochs_over_data_are_those_that_the_steps_begin(steps, epochs):
    training = made(steps=steps, batch_size=4)
    assert training.steps_per_epoch(10) == 3
    assert training.epochs_over(10) == epochs
    assert training.steps_over(10) == steps
    assert made(epochs=5, batch_size=4).steps_over(10) == 15


def test_a_checkpoint_is_written_after_each_epoch_unless_something_else_is_said():
    assert made().checkpoint == made(checkpoint={}).checkpoint == Checkpoints(epochs=1)
    assert made(checkpoint={"steps": 5}).checkpoint == Checkpoints(steps=5)
    assert Checkpoints(minutes=0.5).model_dump() == {"epochs": None, "steps": None, "minutes": 0.5}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": 1, "steps": 5}, "says epochs and steps: keep one of them"),
        ({"epochs": 1, "steps": 5, "minutes": 1.0}, "says epochs and steps and minutes: keep one"),
        ({"minutes": 0}, "greater than 0"),
        ({"hours": 1}, "unknown key 'hours'"),
    ],
)
def test_checkpoints_have_one_count(values, said):
    with pytest.raises(ValidationError, match=said):
        made(checkpoint=values)
