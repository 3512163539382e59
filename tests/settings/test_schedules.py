"""Numbers that change with the epoch, against values worked out by hand."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from genkit.settings.base import Settings
from genkit.settings.schedules import Ramp, Schedule, value_at

QUARTERS = st.integers(-4000, 4000).map(lambda n: n / 4)


class Term(Settings):
    weight: Schedule = 1.0


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


@pytest.mark.parametrize("weight", [0.5, {"from": 0.0, "to": 1.0, "epochs": 5.0, "period": 10.0}])
def test_schedule_is_written_as_users_write_it(weight):
    dumped = Term(weight=weight).model_dump(mode="json", by_alias=True)
    assert dumped == {"weight": weight}
    assert Term.model_validate(dumped) == Term(weight=weight)
