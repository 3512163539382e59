"""The parameters of each value, along the axis of features or channels."""

import pytest
import torch

from genkit.interfaces import channel_axis, per_value, with_channels


@pytest.mark.parametrize(
    ("shape", "wide"),
    [((5,), (15,)), ((7, 2), (7, 6)), ((3, 4, 5), (9, 4, 5)), ((2, 3, 4, 5), (6, 3, 4, 5))],
)
def test_parameters_of_each_value_are_more_features_or_channels(shape, wide):
    assert with_channels(shape, 3) == wide
    params = torch.arange(2 * torch.tensor(wide).prod()).reshape(2, *wide)
    parts = per_value(params, shape, 3)
    assert [part.shape for part in parts] == [(2, *shape)] * 3
    assert torch.equal(torch.cat(parts, channel_axis(shape) + 1), params)
