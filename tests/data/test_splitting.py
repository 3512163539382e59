"""Training on some classes alone: the others are for the test."""

from typing import Literal

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genkit.data import loading
from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split

NAMES = ("normal", "fault", "noise")


class Given(DataSource):
    """Data that the test has put here."""

    raw: RawData

    class Config(DataSource.Config):
        name: Literal["given"] = "given"

    def load(self):
        return self.raw


@pytest.fixture(autouse=True)
def source(monkeypatch):
    monkeypatch.setattr(Given, "raw", None, raising=False)


def rows(labels, first=0):
    """Data that hold their own number."""
    x = torch.arange(first, first + len(labels), dtype=torch.float32).unsqueeze(1)
    return Split(x, torch.tensor(labels))


def load(raw, **options):
    Given.raw = raw
    return loading.load(Given.Config(**options))


def numbers(part):
    return [] if part is None else part.x.flatten().int().tolist()


@given(
    labels=st.lists(st.integers(0, 2), min_size=20, max_size=40).filter(lambda labels: labels.count(0) > 8),
    seed=st.integers(0, 3),
    test=st.sampled_from([0, 0.25, 0.5, 3]),
)
@settings(deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_only_kept_classes_are_trained_on_and_shares_are_of_their_data(labels, seed, test):
    data = load(RawData(rows(labels), classes=NAMES), keep=["normal"], test=test, validation=0.1, split_seed=seed)
    kept, others = ([row for row, label in enumerate(labels) if (label == 0) == wanted] for wanted in (True, False))
    train, validation, held_out = (numbers(part) for part in (data.train, data.validation, data.test))
    assert sorted([*train, *validation, *held_out]) == list(range(len(labels)))
    assert {*train, *validation} <= {*kept}
    assert {*others} <= {*held_out}
    usual = [row for row in held_out if row in kept]
    assert abs(len(usual) - (test if test >= 1 else test * len(kept))) <= 0.5
    assert abs(len(validation) - 0.1 * len(kept)) <= 0.5
    for name, part in data.splits().items():
        assert data.rows_of(name).tolist() == numbers(part)
        assert [labels[row] for row in numbers(part)] == part.labels.tolist()


def test_without_kept_classes_nothing_changes():
    one, other = (load(RawData(rows([0, 1] * 20), classes=NAMES[:2]), **keep) for keep in ({}, {"keep": ()}))
    assert one.fingerprint() == other.fingerprint()
    whole = load(RawData(rows([0, 1] * 20), classes=NAMES[:2]), keep=NAMES[:2])
    assert whole.fingerprint() == one.fingerprint()


@pytest.mark.parametrize("keep", [["fault"], [1], ["1"], "fault"])
def test_a_class_is_named_by_its_name_or_its_number(keep):
    data = load(RawData(rows([0, 1, 2] * 10), classes=NAMES), keep=keep)
    assert {*data.train.labels.tolist()} == {1}


def test_numbers_that_are_names_are_read_as_names():
    data = load(RawData(rows([0, 1] * 10), classes=("5", "7")), keep=7)
    assert {*data.train.labels.tolist()} == {1}
    with pytest.raises(DataError, match=r"^data 'given': data\.keep: there is no class '1'; there are 5, 7$"):
        load(RawData(rows([0, 1] * 10), classes=("5", "7")), keep=1)
    assert {*load(RawData(rows([0, 1] * 10)), keep=1).train.labels.tolist()} == {1}


def test_a_test_split_of_the_source_stays_whole_and_others_are_left_out():
    own = rows([0, 1, 2], first=100)
    raw = RawData(
        rows([0, 1, 2] * 10), own, NAMES, validation=rows([2, 0, 1, 0], 50), ids={"validation": ("a", "b", "c", "d")}
    )
    data = load(raw, keep=[0])
    assert numbers(data.test) == [100, 101, 102]
    assert {*data.train.labels.tolist()} == {0}
    assert numbers(data.validation) == [51, 53]
    assert data.ids["validation"] == ("b", "d")
    assert data.notes[-1] == (
        "trained on the classes 0; 20 data of other classes are left out, as the source has a test split of its own"
    )


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (None, {"keep": [0]}, "data 'given': data.keep names classes, and the data have no labels"),
        ([0, 1] * 5, {"keep": ["typo"]}, "data 'given': data.keep: there is no class 'typo'; there are normal, fault"),
        ([0, 1] * 5, {"keep": [2]}, "0 for validation and 0 for test leave none of 0 data of the classes to keep"),
        ([0, 1] * 5, {"keep": [0], "test": 5}, "0 for validation and 5 for test leave none of 5 data of the classes"),
    ],
)
def test_classes_that_cannot_be_kept_are_refused(labels, options, message):
    split = Split(torch.zeros(10, 1), None) if labels is None else rows(labels)
    with pytest.raises(DataError) as caught:
        load(RawData(split, classes=NAMES), **options)
    assert message in str(caught.value)


def test_a_validation_split_without_kept_classes_is_refused():
    raw = RawData(rows([0, 1] * 5), classes=NAMES, validation=rows([1, 1]))
    with pytest.raises(DataError, match=r"leaves no data in the source's own validation split"):
        load(raw, keep=[0])
