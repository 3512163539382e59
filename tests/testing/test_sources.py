from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Split

X = torch.arange(24.0).reshape(8, 3)
LABELS = torch.arange(8) % 2


class Good(DataSource):
    """Eight data in two classes."""

    class Config(DataSource.Config):
        name: Literal["of-test"] = "of-test"

    def load(self):
        return RawData(Split(X[2:], LABELS[2:]), Split(X[:2], LABELS[:2]), ("even", "odd"))


class Draws(Good):
    """Draws from the global generator."""

    def load(self):
        return RawData(Split(torch.randn(8, 3), LABELS))


class DrawsByNumpy(Good):
    """Draws from numpy's global generator."""

    def load(self):
        return RawData(Split(torch.from_numpy(np.random.rand(8, 3).astype(np.float32)), LABELS))


class Seeds(Good):
    """Seeds the global generator, and the run with it."""

    def load(self):
        torch.manual_seed(0)
        return RawData(Split(torch.randn(8, 3), LABELS))


class Shuffles(Good):
    """Gives the labels in another order each time."""

    def load(self):
        return RawData(Split(X, LABELS[torch.randperm(8)]))


class Wide(Good):
    """Gives float64."""

    def load(self):
        return RawData(Split(X.double(), LABELS))


class Numpy(Good):
    """Gives an array."""

    def load(self):
        return RawData(Split(X.numpy(), LABELS))


class Column(Good):
    """Gives numbers without a shape."""

    def load(self):
        return RawData(Split(X[:, 0], LABELS))


class Holes(Good):
    """Has data that are not there."""

    def load(self):
        return RawData(Split(X / 0, LABELS))


class OtherShape(Good):
    """Has a test split of another shape."""

    def load(self):
        return RawData(Split(X, LABELS), Split(X[:, :2], LABELS))


class ShortLabels(Good):
    """Has labels of int32."""

    def load(self):
        return RawData(Split(X, LABELS.int()))


class FloatLabels(Good):
    """Has a column of labels."""

    def load(self):
        return RawData(Split(X, LABELS.unsqueeze(1)))


class Unnamed(Good):
    """Has more labels than names."""

    def load(self):
        return RawData(Split(X, LABELS + 1), classes=("even", "odd"))


class FromMinusOne(Good):
    """Has labels below 0."""

    def load(self):
        return RawData(Split(X, LABELS - 1))


class Missing(Good):
    """Has no data."""

    def load(self):
        raise DataError("data.root: there is no folder; choose another")


class Pair(Good):
    """Gives a pair."""

    def load(self):
        return X, LABELS


class Overlaps(Good):
    """Tests on what it trains on."""

    def load(self):
        return RawData(Split(X, LABELS), Split(X[:2], LABELS[:2]), ("even", "odd"))


class Numbered(Good):
    """Names its classes by numbers."""

    def load(self):
        return RawData(Split(X, LABELS), classes=(0, 1))


class Doubled(Good):
    """Has one name for two classes."""

    def load(self):
        return RawData(Split(X, LABELS), classes=("even", "even"))


class Fitted(Good):
    """Gives data that ask for gradients."""

    def load(self):
        return RawData(Split(X.clone().requires_grad_(), LABELS))


class Normalizes(Good):
    """Changes what it keeps, at each load."""

    kept = X.clone()

    def load(self):
        return RawData(Split(self.kept.mul_(0.5), LABELS))


WRONG = [
    (Overlaps, "splits", "2 of 2 test data are training data too"),
    (Numbered, "labels", "classes is (0, 1), and must be a tuple of text"),
    (Doubled, "labels", "classes has a name twice"),
    (Fitted, "shapes", "asks for gradients: detach it"),
    (Normalizes, "repetition", "a second load gives other training data"),
    (Draws, "repetition", "a second load gives other training data: draw them from a seed that is an option"),
    (DrawsByNumpy, "repetition", "a second load gives other training data"),
    (Seeds, "repetition", "changes the global random generators"),
    (Shuffles, "repetition", "a second load gives other labels of the training split"),
    (Wide, "shapes", "x of the training split is torch.float64, and must be float32, or uint8"),
    (Numpy, "shapes", "x of the training split is ndarray: it must be a tensor"),
    (Column, "shapes", "a table of one column is (N, 1)"),
    (Holes, "shapes", "holds NaN or infinite values"),
    (OtherShape, "shapes", "data of the test split are (2,), and those of the training split (3,)"),
    (ShortLabels, "labels", "labels of the training split are torch.int32, and must be int64"),
    (FloatLabels, "labels", "labels of the training split are (8, 1), and must be (8,)"),
    (Unnamed, "labels", "go up to 2, and there are 2 names"),
    (FromMinusOne, "labels", "go down to -1"),
    (
        Missing,
        "shapes",
        "it cannot load its data: data.root: there is no folder; choose another; check it with options",
    ),
    (Pair, "shapes", "load() gives tuple: it must give a genkit.RawData"),
]


class Counts(Good):
    """Counts, many of which are alike."""

    def load(self):
        drawn = torch.from_numpy(np.random.default_rng(0).poisson(1.0, (400, 2)).astype(np.float32))
        return RawData(Split(drawn[:300], None), Split(drawn[300:], None))


def test_data_that_are_alike_by_chance_are_no_overlap(failures):
    assert failures(Counts) == {}


def test_a_right_source_passes(failures):
    assert failures(Good) == {}


@pytest.mark.parametrize(("component", "caught", "words"), WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_a_wrong_source_is_caught_by_the_check_that_should(failures, component, caught, words):
    state = np.random.get_state()[1].copy()
    found = failures(component)
    assert list(found) == [caught]
    assert words in found[caught]
    assert np.array_equal(np.random.get_state()[1], state)
