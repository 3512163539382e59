"""Data: checked, split in a way that can be repeated, handed out as the model sees them."""

from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from genkit.data import loading
from genkit.data.dataset import DataSignature, as_float
from genkit.data.scaling import Scaling
from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split
from genkit.parallel import draws


class Given(DataSource):
    """Data that the test has put here."""

    raw: RawData

    class Config(DataSource.Config):
        name: Literal["given"] = "given"

    def load(self):
        return self.raw


@pytest.fixture(autouse=True)
def source(monkeypatch):
    """No data are left from another test."""
    monkeypatch.setattr(Given, "raw", None, raising=False)


def load(train, own_test=None, classes=None, **options):
    """The data set of some tensors, or of (x, labels)."""
    parts = [part if isinstance(part, tuple) or part is None else (part, None) for part in (train, own_test)]
    splits = [None if part is None else Split(*part) for part in parts]
    Given.raw = RawData(splits[0], splits[1], classes)
    return loading.load(Given.Config(**options))


def numbered(n):
    """N data that hold their own number."""
    return torch.arange(n, dtype=torch.float32).unsqueeze(1)


def numbers(part):
    return [] if part is None else part.x.flatten().int().tolist()


def problem(*args, **options):
    with pytest.raises(DataError) as caught:
        load(*args, **options)
    return str(caught.value)


PORTIONS = st.floats(0, 0.45) | st.integers(0, 3)


@given(n=st.integers(10, 60), validation=PORTIONS, test=PORTIONS, seed=st.integers(0, 5))
@settings(deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_splits_are_disjoint_cover_everything_and_have_the_size_that_is_asked_for(n, validation, test, seed):
    dataset = load(numbered(n), validation=validation, test=test, split_seed=seed)
    train, *held_out = (numbers(part) for part in (dataset.train, dataset.validation, dataset.test))
    assert sorted([*train, *held_out[0], *held_out[1]]) == list(range(n))
    assert train == sorted(train)
    for part, portion in zip(held_out, (validation, test), strict=True):
        assert abs(len(part) - (portion if portion >= 1 else portion * n)) <= 0.5


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({}, (70, 10, 20)),
        ({"validation": 0.25, "test": 0.5}, (25, 25, 50)),
        ({"validation": 1, "test": 3}, (96, 1, 3)),
        ({"validation": 0, "test": 0.5}, (50, 0, 50)),
        ({"validation": 0, "test": 0}, (100, 0, 0)),
        ({"validation": 50, "test": 0.49}, (1, 50, 49)),
    ],
)
def test_number_below_one_is_a_share_and_any_other_a_count(options, sizes):
    dataset = load(numbered(100), **options)
    assert tuple(len(numbers(part)) for part in (dataset.train, dataset.validation, dataset.test)) == sizes


def test_empty_split_is_none():
    dataset = load(numbered(5), validation=0, test=0)
    assert dataset.validation is None
    assert dataset.test is None


def test_split_depends_on_its_seed_alone():
    def parts(seed, state):
        torch.manual_seed(state)
        np.random.seed(state)
        dataset = load(numbered(60), split_seed=seed)
        return [numbers(part) for part in (dataset.train, dataset.validation, dataset.test)]

    assert parts(0, state=1) == parts(0, state=2)
    assert parts(0, state=1) != parts(1, state=1)


def test_loading_draws_no_global_random_number():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    load(numbered(60))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


def test_labels_go_with_their_data():
    dataset = load((numbered(40), torch.arange(40)))
    for part in (dataset.train, dataset.validation, dataset.test):
        assert part.labels.tolist() == numbers(part)
        assert part.labels.dtype == torch.int64


def test_test_split_of_the_source_is_kept_as_it_is():
    dataset = load((numbered(20), torch.arange(20)), (numbered(7) + 100, torch.arange(7)), validation=5, test=0.5)
    assert numbers(dataset.test) == list(range(100, 107))
    assert dataset.test.labels.tolist() == list(range(7))
    assert sorted(numbers(dataset.train) + numbers(dataset.validation)) == list(range(20))
    assert len(numbers(dataset.validation)) == 5


@pytest.mark.parametrize(
    ("validation", "test", "message"),
    [
        (5, 5, "5 for validation and 5 for test leave none of 10 data to train on"),
        (11, 0, "11 for validation and 0 for test leave none of 10 data to train on"),
        (0.5, 0.6, "5 for validation and 6 for test leave none of 10 data to train on"),
    ],
)
def test_splits_that_leave_nothing_to_train_on_are_refused(validation, test, message):
    found = problem(numbered(10), validation=validation, test=test)
    assert found == f"data 'given': {message}; lower data.validation or data.test"


@pytest.mark.parametrize("portion", [-1, -0.1, "0.1", True, None])
def test_portion_that_is_none_is_refused(portion):
    with pytest.raises(ValidationError):
        Given.Config(validation=portion)


@pytest.mark.parametrize(
    ("bad", "shown"), [(float("nan"), "nan"), (float("inf"), "inf"), (float("-inf"), "-inf")], ids=str
)
def test_value_that_is_not_finite_is_named_with_its_datum(bad, shown):
    x = torch.zeros(9, 2, 3)
    x[4, 1, 2] = bad
    x[7] = bad
    assert problem(x) == (
        f"data 'given': 2 of 9 data hold NaN or infinite values (the first: datum 4, {shown}); remove or replace them"
    )


def test_values_of_the_sources_test_split_are_checked_too():
    x = torch.full((2, 1), float("nan"))
    assert problem(numbered(5), x).startswith("data 'given', test split: 2 of 2 data hold NaN")


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (4,), ()], ids=str)
def test_data_without_values_are_refused_with_their_shape(shape):
    message = problem(torch.zeros(shape))
    assert message == f"data 'given': needs at least one datum with at least one value, has shape {shape}"


def test_labels_of_another_length_are_refused_with_both_lengths():
    message = problem((numbered(5), torch.arange(4)))
    assert message == "data 'given': 5 data, but labels of shape (4,); one label per datum"


@pytest.mark.parametrize("labels", [[0, 1, 2], [-1, 0, 1]], ids=str)
def test_labels_outside_their_classes_are_refused(labels):
    message = problem((numbered(3), torch.tensor(labels)), classes=("a", "b"))
    assert message == f"data 'given': labels go from {labels[0]} to {labels[-1]}; classes: 2"


def test_splits_of_different_shape_are_refused():
    message = problem(torch.zeros(5, 2, 3), torch.zeros(5, 3, 2))
    assert message == "data 'given': the splits differ in shape: (2, 3) for training and (3, 2) for test"


def test_bytes_stand_for_their_255th_part():
    x = torch.arange(256, dtype=torch.uint8).unsqueeze(1)
    seen = as_float(x)
    assert seen.dtype == torch.float32
    np.testing.assert_allclose(seen.numpy().ravel(), np.arange(256) / 255, rtol=1e-6)
    assert x.flatten().tolist() == list(range(256))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64, torch.bool])
def test_other_numbers_stand_for_themselves(dtype):
    seen = as_float(torch.tensor([0, 1, 1], dtype=dtype))
    assert seen.dtype == torch.float32
    assert seen.tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize(("size", "sizes"), [(3, [3, 3, 1]), (7, [7]), (100, [7]), (1, [1] * 7)])
def test_batches_hold_every_datum_once_as_they_lie(size, sizes):
    dataset = load(numbered(7), validation=0, test=0)
    batches = list(dataset.batches(dataset.train, size))
    assert [len(batch.x) for batch in batches] == [batch.total for batch in batches] == sizes
    assert torch.equal(torch.cat([batch.x for batch in batches]), numbered(7))


def test_batches_follow_an_order():
    dataset = load(numbered(5), validation=0, test=0)
    batches = dataset.batches(dataset.train, 2, order=torch.tensor([4, 0, 3, 1, 2]))
    assert [batch.x.flatten().tolist() for batch in batches] == [[4, 0], [3, 1], [2]]


def test_batches_of_bytes_are_bytes():
    dataset = load(torch.tensor([[0], [51], [255]], dtype=torch.uint8), validation=0, test=0)
    (batch,) = dataset.batches(dataset.train, 8)
    assert batch.x.dtype == torch.uint8
    assert as_float(batch.x).flatten().tolist() == pytest.approx([0, 0.2, 1])


@pytest.mark.parametrize("binarize", [None, "dynamic"])
def test_processes_take_their_own_rows_of_each_batch(binarize, monkeypatch):
    dataset = load(numbered(7) / 7, validation=0, test=0, binarize=binarize)
    batches = []
    for rank in range(2):
        with monkeypatch.context() as patched:
            patched.setattr(draws, "count", lambda: 2)
            patched.setattr(draws, "rank", lambda rank=rank: rank)
            torch.manual_seed(0)
            batches.append(list(dataset.batches(dataset.train, 3)))
            torch.manual_seed(0)
            whole = list(dataset.batches(dataset.train, 3, whole=True))
    torch.manual_seed(0)
    alone = list(dataset.batches(dataset.train, 3))
    for first, second, both, one in zip(*batches, whole, alone, strict=True):
        assert first.total == second.total == both.total == one.total
        assert torch.equal(torch.cat([first.x, second.x]), one.x)
        assert torch.equal(both.x, one.x)


def test_dynamic_binarization_draws_zeros_and_ones_of_the_right_mean_each_time_anew():
    torch.manual_seed(0)
    p = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0])
    dataset = load(p.expand(20_000, 5).clone(), validation=0, test=0, binarize="dynamic")
    first, second = (torch.cat([batch.x for batch in dataset.batches(dataset.train, 6000)]) for _ in range(2))
    for draw in (first, second):
        assert set(draw.unique().tolist()) == {0.0, 1.0}
        # six standard deviations of a mean of 20,000 draws
        assert torch.all((draw.mean(0) - p).abs() <= 6 * (p * (1 - p) / 20_000).sqrt())
    differing = (first != second).float().mean(0)
    assert differing.tolist() == pytest.approx((2 * p * (1 - p)).tolist(), abs=0.03)
    assert torch.equal(dataset.train.x[0], p)


def test_dynamic_binarization_takes_bytes():
    dataset = load(torch.tensor([[0, 255]] * 9, dtype=torch.uint8), validation=0, test=0, binarize="dynamic")
    (batch,) = dataset.batches(dataset.train, 9)
    assert batch.x.tolist() == [[0.0, 1.0]] * 9


@pytest.mark.parametrize("low_high", [(-0.5, 1.0), (0.0, 16.0)], ids=str)
@pytest.mark.parametrize("where", ["train", "test"])
def test_dynamic_binarization_refuses_values_that_are_no_probabilities(low_high, where):
    good, bad = torch.full((20, 2), 0.5), torch.tensor([low_high] * 20)
    low, high = low_high
    message = problem(bad if where == "train" else good, bad if where == "test" else good, binarize="dynamic")
    assert f"takes values from 0 to 1, and the data go from {low:g} to {high:g}" in message
    assert message.startswith("data 'given': binarize: dynamic")


def test_standardized_data_take_the_scaling_of_their_training_split():
    x = 1000 + 50 * torch.randn(200, 3)
    dataset = load(x, 5 * torch.ones(4, 3), standardize=True)
    assert dataset.train.x.mean(0).abs().max() < 1e-4
    assert (dataset.train.x.std(0, correction=0) - 1).abs().max() < 1e-4
    scaling = dataset.scaling
    expected = (5 - torch.tensor(scaling.mean)) / torch.tensor(scaling.deviation)
    torch.testing.assert_close(dataset.test.x, expected.expand(4, 3))
    assert dataset.signature("s").scaling == scaling
    bytes_too = load(torch.arange(200, dtype=torch.uint8).reshape(100, 2), standardize=True, validation=0, test=0)
    assert (bytes_too.train.x.std(0, correction=0) - 1).abs().max() < 1e-4


def test_data_for_a_trained_model_take_its_scaling():
    scaling = Scaling(mean=(10.0,), deviation=(2.0,))
    Given.raw = RawData(Split(numbered(20), None))
    dataset = loading.load(Given.Config(standardize=True, validation=0, test=0), scaling)
    assert dataset.train.x.flatten().tolist() == [(value - 10) / 2 for value in range(20)]
    assert loading.load(Given.Config(validation=0, test=0), scaling).train.x.flatten().tolist() == list(range(20))


def test_standardized_data_cannot_be_binarized():
    assert "binarize takes probabilities" in problem(torch.rand(20, 3), standardize=True, binarize="dynamic")


def test_signature_says_what_a_model_has_to_know():
    x = torch.randint(10, 200, (50, 1, 4, 4), dtype=torch.uint8)
    x[3, 0, 2, 1], x[4, 0, 0, 0] = 0, 255
    dataset = load((x, torch.zeros(50, dtype=torch.int64)), torch.zeros(6, 1, 4, 4), classes=("a",), validation=0)
    signature = dataset.signature("given")
    assert signature.source == "given"
    assert signature.shape == dataset.shape == (1, 4, 4)
    assert signature.range == (0.0, 1.0)
    assert signature.classes == ("a",)
    assert signature.counts == {"train": 50, "test": 6}


def test_signature_gives_the_range_of_the_training_data():
    signature = load(torch.tensor([[-2.5, 1.0], [0.0, 7.25]]), torch.tensor([[99.0, -99.0]]), validation=0).signature(
        "s"
    )
    assert signature.range == (-2.5, 7.25)
    assert signature.classes is None


def test_signature_comes_back_from_json_as_it_was():
    signature = load(numbered(30), classes=("a", "b")).signature("given")
    assert DataSignature.model_validate_json(signature.model_dump_json()) == signature


def test_split_is_found_by_its_name():
    dataset = load(numbered(10))
    assert dataset.split("train") is dataset.train
    assert dataset.split("validation") is dataset.validation
    assert dataset.split("test") is dataset.test


def test_all_splits_follow_each_other():
    dataset = load((numbered(10), torch.arange(10)))
    whole = dataset.split("all")
    assert numbers(whole) == [*numbers(dataset.train), *numbers(dataset.validation), *numbers(dataset.test)]
    assert whole.labels.tolist() == numbers(whole)
    assert load(numbered(10), validation=0).split("all").labels is None


def test_unknown_split_lists_those_there_are():
    with pytest.raises(DataError, match=r"^there is no split 'tests'; choose from train, validation, test, all$"):
        load(numbered(10)).split("tests")


@pytest.mark.parametrize("name", ["validation", "test"])
def test_empty_split_says_how_to_fill_it(name):
    with pytest.raises(DataError, match=rf"^the {name} split is empty; .* for example data\.{name}=0\.1$"):
        load(numbered(10), validation=0, test=0).split(name)


def test_data_move_to_a_device_with_their_labels():
    moved = load((numbered(10), torch.arange(10)), classes=tuple("abcdefghij"), test=0).to(torch.device("meta"))
    for part in (moved.train, moved.validation):
        assert part.x.device.type == part.labels.device.type == "meta"
    assert moved.test is None
    assert moved.classes == tuple("abcdefghij")
    assert load(numbered(10)).to(torch.device("meta")).test.labels is None


def test_labels_of_any_whole_type_become_int64():
    for labels in (torch.tensor([True, False] * 5), torch.tensor([1, 0] * 5, dtype=torch.uint8)):
        loaded = load((numbered(10), labels), validation=0, test=0)
        assert loaded.train.labels.dtype == torch.int64
        assert loaded.train.labels.tolist() == [1, 0] * 5


def test_labels_below_zero_are_refused():
    assert "the least label is -1; labels are whole numbers from 0 on" in problem((numbered(2), torch.tensor([0, -1])))


def test_a_source_that_fails_is_named_with_the_place(monkeypatch):
    def broken(self):
        raise KeyError("pixels")

    monkeypatch.setattr(Given, "load", broken)
    line = broken.__code__.co_firstlineno + 1
    assert problem(numbered(2)) == f"data 'given' cannot be loaded: KeyError: 'pixels' (test_loading.py:{line})"


def test_a_source_that_gives_something_else_is_named(monkeypatch):
    monkeypatch.setattr(Given, "load", lambda self: numbered(2))
    assert problem(numbered(2)) == "data 'given': load() gives Tensor, and must give a genkit.RawData"


def test_the_shape_is_known_where_the_values_are_no_good(monkeypatch):
    Given.raw = RawData(Split(numbered(5) * float("nan"), None))
    assert loading.shape_of(Given.Config()) == (1,)
    monkeypatch.setattr(Given, "load", lambda self: 1 / 0)
    assert loading.shape_of(Given.Config()) is None
