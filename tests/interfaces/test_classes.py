"""Classes by the names and numbers that users write."""

import pytest
import torch

from genkit.errors import DataError
from genkit.interfaces.classes import class_indices

LABELS = torch.tensor([0, 1, 3])


@pytest.mark.parametrize(
    ("wanted", "classes", "indices"),
    [
        (["b", "a"], ("a", "b"), [1, 0]),
        ([1, "0"], ("a", "b"), [1, 0]),
        ([7], ("5", "7"), [1]),
        (["-1"], ("-1", "1"), [0]),
        ([3, "2"], None, [3, 2]),
        ([], ("a",), []),
    ],
)
def test_classes_are_named_by_names_or_numbers(wanted, classes, indices):
    assert class_indices(wanted, classes, LABELS) == indices


@pytest.mark.parametrize(
    ("wanted", "classes", "message"),
    [
        ("c", ("a", "b"), "data.keep: there is no class 'c'; there are a, b"),
        (2, ("a", "b"), "data.keep: there is no class '2'; there are a, b"),
        (1, ("5", "7"), "data.keep: there is no class '1'; there are 5, 7"),
        (4, None, "data.keep: there is no class '4'; there are 0, 1, 2, 3"),
        ("x", tuple(map(str, range(100))), "no class 'x'; there are 0, 1, .*, 19, and 80 more"),
    ],
)
def test_a_class_that_is_not_there_is_an_error_with_those_that_are(wanted, classes, message):
    with pytest.raises(DataError, match=message):
        class_indices([wanted], classes, LABELS, "data.keep")
