"""The steps of series that are there."""

import pytest
import torch

from genkit.data.steps import blank, filled, held, lengths_in_turn, lengths_of, mask_of, those_there
from genkit.interfaces import Split

MASK = torch.tensor([[1.0, 1, 1, 1], [1, 0, 1, 0], [0, 0, 1, 1]])
X = torch.arange(12.0).reshape(3, 4, 1)


def test_steps_that_are_not_there_hold_the_value_before_or_the_first():
    assert held(X, MASK).squeeze(2).tolist() == [[0, 1, 2, 3], [4, 4, 6, 6], [10, 10, 10, 11]]


def test_what_is_blank_can_be_filled():
    shown = blank(X, MASK)
    assert torch.equal(shown.isnan().squeeze(2), MASK == 0)
    assert torch.equal(filled(shown), held(X, MASK))
    assert filled(X) is X


def test_lengths_and_masks_say_the_same():
    lengths = torch.tensor([4, 1, 3])
    mask = mask_of(lengths, 4)
    assert mask.tolist() == [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 1, 0]]
    assert torch.equal(lengths_of(mask), lengths)
    assert lengths_of(MASK).tolist() == [4, 3, 4]


@pytest.mark.parametrize("count", [10, 1000])
def test_lengths_in_turn_are_as_frequent_as_those_of_the_training(count):
    counts = (0, 5, 0, 3, 2)
    lengths = lengths_in_turn(counts, count, 4)
    shares = torch.bincount(lengths, minlength=5) / count
    assert shares.tolist() == pytest.approx([each / 10 for each in counts], abs=1.5 / count)
    assert lengths_in_turn((), 3, 4).tolist() == [4, 4, 4]


def test_what_is_fitted_sees_the_steps_that_are_there_alone():
    packed = those_there(Split(X, None, {"mask": MASK}))
    assert packed.shape == (2, 4, 1)
    assert packed.flatten().tolist() == [0, 1, 2, 3, 4, 6, 10, 11]
    fewer = those_there(Split(X[1:], None, {"mask": MASK[1:]}))
    assert fewer.flatten().tolist() == [4, 6, 10, 11]
    cut = those_there(Split(X[:2], None, {"mask": MASK[:2]}))
    assert cut.flatten().tolist() == [0, 1, 2, 3, 4, 6, 0, 1]  # the first steps fill up the last series
    assert those_there(Split(X, None)) is X
