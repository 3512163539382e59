"""Numbers that change with the epoch, against values worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from genkit.settings.base import Settings
from genkit.settings.schedules import Ramp, Rate, Schedule, last_of, value_at

QUARTERS = st.integers(-4000, 4000).map(lambda n: n / 4)


class Term(Settings):
    weight: Schedule = 1.0


class Fit(Settings):
    lr: Rate = 1.0


def curve(**values):
    return Fit.model_validate({"lr": values}).lr


def ramp(start, end, epochs, period=None):
    return Ramp.model_validate({"from": start, "to": end, "epochs": epochs, "period": period})


@pytest.mark.parametrize(
    ("epoch", "value"), [(0, 0.0), (0.5, 0.1), (1, 0.2), (2.5, 0.5), (4.99, 0.998), (5, 1.0), (6, 1.0), (1000, 1.0)]
)
def test_ramp_rises_in_a_line_and_then_stays(epoch, value):
    assert ramp(0, 1, 5).at(epoch) == pytest.approx(value)


@pytest.mark.parametrize(("epoch", "value"), [(0, 0.01), (1, 0.0055), (2, 0.001), (9, 0.001)])
def test_ramp_can_fall(epoch, value):
    assert ramp(0.01, 0.001, 2).at(epoch) == pytest.approx(value)


@pytest.mark.parametrize(
    ("epoch", "value"),
    [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.0), (3.75, 1.0), (4, 0.0), (5, 0.5), (7, 1.0), (8, 0.0), (41.5, 0.75)],
)
def test_ramp_with_a_period_starts_again_and_again(epoch, value):
    assert ramp(0, 1, 2, period=4).at(epoch) == pytest.approx(value)


def test_ramp_that_is_longer_than_its_period_starts_again_before_its_end():
    assert [ramp(0, 1, 4, period=2).at(epoch) for epoch in (0, 1, 1.5, 2, 3)] == [0, 0.25, 0.375, 0, 0.25]


@given(start=QUARTERS, end=QUARTERS, epochs=st.integers(1, 40), epoch=st.integers(0, 400).map(lambda n: n / 8))
@settings(deadline=None, database=None)
def test_ramp_stays_between_its_ends(start, end, epochs, epoch):
    line = ramp(start, end, epochs)
    low, high = sorted((start, end))
    assert low - 1e-9 <= line.at(epoch) <= high + 1e-9
    assert line.at(0) == start
    assert line.at(epochs + epoch) == pytest.approx(end)


@given(period=st.integers(1, 30), epochs=st.integers(1, 30), cycles=st.integers(1, 5), step=st.integers(0, 100))
@settings(deadline=None, database=None)
def test_ramp_repeats_after_its_period(period, epochs, cycles, step):
    line = ramp(0, 1, epochs, period)
    assert line.at(step / 8 + cycles * period) == line.at(step / 8)


def test_value_of_a_number_is_the_number_at_any_epoch():
    assert value_at(0.25, 0) == value_at(0.25, 99.5) == 0.25


def test_value_of_a_ramp_is_that_of_its_line():
    assert value_at(ramp(2, 4, 10), 5) == 3.0


@pytest.mark.parametrize("weight", [3, 3.0])
def test_number_is_taken_as_a_real_one(weight):
    taken = Term(weight=weight).weight
    assert taken == 3.0
    assert isinstance(taken, float)


@pytest.mark.parametrize("weight", [{"from": 0, "to": 1, "epochs": 5}, ramp(0, 1, 5)], ids=["mapping", "ramp"])
def test_ramp_is_taken_as_a_mapping_or_as_it_is(weight):
    assert Term(weight=weight).weight == ramp(0, 1, 5)


@pytest.mark.parametrize("weight", ["0.5", True, None, [0, 1]])
def test_what_is_neither_number_nor_ramp_is_refused_with_the_form_of_one(weight):
    with pytest.raises(ValidationError, match=r"must be a number, or a mapping \{from: , to: , epochs: \}"):
        Term(weight=weight)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": -1}, "epochs"),
        ({"period": 0}, "period"),
        ({"to": "1"}, "to"),
        ({"from": True}, "from"),
        ({"until": 1}, "until"),
    ],
)
def test_ramp_that_cannot_be_is_refused_at_its_key(change, key):
    with pytest.raises(ValidationError) as caught:
        Term.model_validate({"weight": {"from": 0, "to": 1, "epochs": 5, **change}})
    assert [error["loc"] for error in caught.value.errors()] == [("weight", key)]


@pytest.mark.parametrize("key", ["from", "to", "epochs"])
def test_ramp_needs_both_ends_and_a_length(key):
    values = {"from": 0, "to": 1, "epochs": 5}
    del values[key]
    with pytest.raises(ValidationError) as caught:
        Term.model_validate({"weight": values})
    assert [(error["type"], error["loc"]) for error in caught.value.errors()] == [("missing", ("weight", key))]


@pytest.mark.parametrize(
    "weight",
    [
        0.5,
        {"schedule": "linear", "from": 0.0, "to": 1.0, "epochs": 5.0, "period": 10.0},
        {"schedule": "cosine", "from": 0.0, "to": 1.0, "epochs": 5.0, "warm_up": 0.0},
        {"schedule": "steps", "from": 1.0, "factor": 0.5, "after": [2.0, 3.0]},
    ],
)
def test_schedule_is_written_as_users_write_it(weight):
    dumped = Term(weight=weight).model_dump(mode="json", by_alias=True)
    assert dumped == {"weight": weight}
    assert Term.model_validate(dumped) == Term(weight=weight)


def by_torch(made, count, lr):
    """The learning rates of a schedule of torch after 0, 1, ... `count` epochs."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule, rates = made(optimizer), []
    for _ in range(count + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_cosine_is_that_of_torch():
    ours = curve(schedule="cosine", **{"from": 0.1, "to": 0.01}, epochs=20)
    rates = by_torch(lambda each: torch.optim.lr_scheduler.CosineAnnealingLR(each, 20, 0.01), 20, 0.1)
    assert [ours.at(epoch) for epoch in range(21)] == pytest.approx(rates)
    assert ours.at(99) == ours.last == 0.01


def test_cosine_after_a_warm_up_is_that_of_torch():
    def made(each):
        first = torch.optim.lr_scheduler.LambdaLR(each, lambda epoch: epoch / 5)
        second = torch.optim.lr_scheduler.CosineAnnealingLR(each, 15)
        return torch.optim.lr_scheduler.SequentialLR(each, [first, second], [5])

    ours = curve(schedule="cosine", **{"from": 0.1}, epochs=20, warm_up=5)
    assert [ours.at(epoch) for epoch in range(21)] == pytest.approx(by_torch(made, 20, 0.1))


def test_steps_are_those_of_torch():
    ours = curve(schedule="steps", **{"from": 0.1}, factor=0.3, after=[2, 5])
    rates = by_torch(lambda each: torch.optim.lr_scheduler.MultiStepLR(each, [2, 5], 0.3), 9, 0.1)
    assert [ours.at(epoch) for epoch in range(10)] == pytest.approx(rates)
    assert ours.last == pytest.approx(0.009)


def test_between_epochs_they_have_values_too():
    assert curve(schedule="cosine", **{"from": 1, "to": 0}, epochs=4).at(1.5) == pytest.approx(
        (1 + math.cos(math.pi * 1.5 / 4)) / 2
    )
    assert curve(schedule="steps", **{"from": 1}, factor=0.5, after=[1.5]).at(1.49) == 1


def test_plateau_falls_to_its_end_and_no_further():
    ours = curve(schedule="plateau", **{"from": 0.1, "to": 0.02}, factor=0.5)
    assert [ours.reduced(times) for times in range(4)] == pytest.approx([0.1, 0.05, 0.025, 0.02])


@pytest.mark.parametrize("schedule", [0.5, ramp(2, 0.5, 3), ramp(0, 0.5, 3, period=9)])
def test_each_schedule_has_a_value_that_it_ends_with(schedule):
    assert last_of(schedule) == 0.5


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"schedule": "cosin", "from": 1, "epochs": 5}, "no schedule here is 'cosin'; did you mean 'cosine'?"),
        ({"schedule": None, "from": 1}, "no schedule here is 'None'"),
        ({"schedule": "cosine", "from": 1, "epochs": 5, "warm_up": 5}, "warm_up must be below epochs"),
        ({"schedule": "cosine", "from": 1}, "Field required"),
        ({"schedule": "steps", "from": 1, "factor": 0.1, "after": []}, "at least 1 item"),
        ({"schedule": "steps", "from": 1, "factor": 0, "after": [1]}, "greater than 0"),
        ({"schedule": "plateau", "from": 1, "factor": 1.0}, "less than 1"),
        ({"schedule": "plateau", "from": 1, "patience": 0}, "greater than or equal to 1"),
        ({"schedule": "plateau", "from": 1, "monitor": "accuracy"}, "'loss', 'elbo' or 'reconstruction'"),
    ],
)
def test_schedules_that_cannot_be_are_refused(values, said):
    with pytest.raises(ValidationError, match=said.replace("?", r"\?")):
        Fit(lr=values)


def test_a_weight_follows_no_validation_data():
    with pytest.raises(ValidationError, match="no schedule here is 'plateau'; known: cosine, linear, steps"):
        Term(weight={"schedule": "plateau", "from": 1})
