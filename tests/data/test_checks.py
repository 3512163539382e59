"""Checks of data against a likelihood and against the data of training."""

import warnings

import pytest
import torch

from genkit.data.checks import check_fit, check_range
from genkit.errors import DataError, GenkitWarning

INF = float("inf")
ANY = (-INF, INF)


@pytest.mark.parametrize(
    "x", [torch.tensor([[0.0, 1.0]]), torch.tensor([[0, 255]], dtype=torch.uint8)], ids=["floats", "bytes"]
)
def test_range_that_holds_the_data_is_fine(x):
    check_range(x, 0.0, 1.0, "likelihood 'bernoulli'")
    with pytest.raises(DataError):
        check_range(x, 0.0, 0.99, "likelihood 'bernoulli'")
    with pytest.raises(DataError):
        check_range(x, 0.01, 1.0, "likelihood 'bernoulli'")


def test_range_that_does_not_hold_the_data_names_who_wants_it_and_a_way_out():
    with pytest.raises(DataError) as caught:
        check_range(torch.tensor([[-1.5, 2.0]]), 0.0, 1.0, "likelihood 'bernoulli'")
    assert str(caught.value).startswith(
        "likelihood 'bernoulli' takes values from 0 to 1, and the data go from -1.5 to 2; bring them into that range"
    )


def fit(values, support=ANY, recorded=None, dtype=torch.float32):
    check_fit(torch.tensor([values], dtype=dtype), support, recorded, "likelihood 'bernoulli'")


def test_data_outside_the_support_are_refused_by_the_name_of_the_likelihood():
    with pytest.raises(DataError, match=r"likelihood 'bernoulli' takes values from 0 to 1, .* from 0 to 255"):
        fit([0, 255], (0.0, 1.0), dtype=torch.int64)
    fit([0, 255], (0.0, 1.0), dtype=torch.uint8)


@pytest.mark.parametrize("value", [float("nan"), INF, -INF])
def test_values_that_are_not_finite_are_refused(value):
    with pytest.raises(DataError, match=rf"1 of 1 data hold NaN or infinite values \(the first: datum 0, {value}\)"):
        fit([0.5, value])


def test_complex_numbers_are_refused():
    with pytest.raises(DataError, match="complex64"):
        fit([1j], dtype=torch.complex64)


@pytest.mark.parametrize(
    ("values", "recorded", "far"),
    [
        ([-9.9, 10.9], (0, 1), False),
        ([0, 11.1], (0, 1), True),
        ([-10.1, 0], (0, 1), True),
        ([0, 255], (0, 1), True),
        ([5, 54], (5, 5), False),
        ([5, 56], (5, 5), True),
        ([0, 255], None, False),
    ],
)
def test_data_ten_widths_beyond_the_recorded_range_are_far(values, recorded, far):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(values, recorded=recorded)
    assert [each.category for each in caught] == [GenkitWarning] * far
    if far:
        low, high = recorded
        assert f"far beyond those that the model was trained on, {low:g} to {high:g}" in str(caught[0].message)


def test_no_data_at_all_fit():
    check_fit(torch.empty(0, 3), (0.0, 1.0), (0.0, 1.0), "likelihood")
