"""Standardizing: exact, by the training split alone, and by the model's own scaling afterwards."""

import numpy as np
import pytest
import torch

from genkit.data import scaling as module
from genkit.data.scaling import Scaling
from genkit.errors import DataError


@pytest.mark.parametrize(
    ("shape", "axes"), [((5,), 0), ((7, 3), (0, 1)), ((3, 4, 2), (0, 2, 3)), ((2, 3, 2, 2), (0, 2, 3, 4))], ids=str
)
def test_columns_features_and_channels_get_mean_0_and_deviation_1(shape, axes, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 50)
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(1e6, 3.0, (40, *shape)).astype(np.float32))
    scaling = Scaling.of(x)
    exact = x.double().numpy()
    assert np.allclose(scaling.mean, exact.mean(axes), rtol=1e-8)
    assert np.allclose(scaling.deviation, exact.std(axes), rtol=1e-8)
    scaled = scaling.apply(x)
    assert scaled.dtype == torch.float32
    assert np.allclose(scaled.double().numpy().mean(axes), 0, atol=1e-3)
    assert np.allclose(scaled.double().numpy().std(axes), 1, rtol=1e-4)


def test_a_constant_column_is_only_shifted():
    scaling = Scaling.of(torch.tensor([[7.0, 1.0], [7.0, 3.0]]))
    assert scaling == Scaling(mean=(7, 2), deviation=(1, 1))
    assert scaling.apply(torch.tensor([[8.0, 3.0]])).tolist() == [[1, 1]]


def test_other_columns_are_refused():
    with pytest.raises(DataError, match=r"the model was trained on 2 columns, and the data have 3"):
        Scaling(mean=(0, 0), deviation=(1, 1)).apply(torch.zeros(4, 3))
