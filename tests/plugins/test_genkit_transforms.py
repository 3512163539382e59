"""The transforms against scikit-learn and closed forms."""

import math

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from genkit.data.transforming import Chain
from genkit.errors import DataError
from genkit_transforms import Log1pTransform, RangeTransform, RMSTransform, StandardizeTransform

RNG = np.random.default_rng(0)
TABLE = torch.from_numpy((RNG.normal(size=(200, 3)) * [1, 50, 1e-3] + [0, 1e4, 5]).astype(np.float32))


def fitted(config, x):
    chain = Chain.of([config], tuple(x.shape[1:]))
    chain.fit(x)
    return chain


def test_standardize_is_that_of_scikit_learn():
    expected = StandardScaler().fit_transform(TABLE.double().numpy())
    assert np.allclose(fitted(StandardizeTransform.Config(), TABLE)(TABLE).numpy(), expected, atol=2e-3)
    chain = fitted(StandardizeTransform.Config(), TABLE)
    assert float(chain.log_det(TABLE)[0]) == pytest.approx(-np.log(TABLE.double().numpy().std(0)).sum(), abs=1e-4)


def test_range_is_that_of_scikit_learn_and_reaches_its_ends_exactly():
    scaled = fitted(RangeTransform.Config(), TABLE)(TABLE)
    assert np.allclose(scaled.numpy(), MinMaxScaler().fit_transform(TABLE.double().numpy()), atol=1e-3)
    assert (scaled.amin(0).tolist(), scaled.amax(0).tolist()) == ([0.0] * 3, [1.0] * 3)
    wide = fitted(RangeTransform.Config(low=-1, high=1, by="all"), TABLE)(TABLE)
    assert (float(wide.min()), float(wide.max())) == (-1.0, 1.0)
    assert float(wide[:, 0].max()) < -0.9


def test_features_and_channels_are_what_is_measured_alike():
    sequences, images = torch.randn(50, 7, 2) * torch.tensor([1.0, 9.0]), torch.randn(50, 3, 4, 4)
    scaled = fitted(StandardizeTransform.Config(), sequences)
    assert scaled(sequences).std((0, 1), correction=0).tolist() == pytest.approx([1, 1])
    # 7 values of each of two features: 7 times the logarithms of both
    expected = -7 * sequences.double().std((0, 1), correction=0).log().sum()
    assert float(scaled.log_det(sequences)[3]) == pytest.approx(float(expected), abs=1e-3)
    means = fitted(StandardizeTransform.Config(), images)(images).mean((0, 2, 3))
    assert means.tolist() == pytest.approx([0, 0, 0], abs=1e-5)


def test_rms_makes_the_mean_squared_norm_the_number_of_dimensions():
    x = torch.randn(500, 8, 3) * torch.tensor([1.0, 20.0, 0.1]) + 4
    chain = fitted(RMSTransform.Config(), x)
    y = chain(x)
    assert float(y.double().flatten(1).square().sum(1).mean()) == pytest.approx(24, rel=1e-5)
    scale = float(x.double().square().mean().sqrt())
    expected = torch.distributions.AffineTransform(0, 1 / scale).log_abs_det_jacobian(x, y).flatten(1).sum(1)
    torch.testing.assert_close(chain.log_det(x), expected)
    cosines = torch.nn.functional.cosine_similarity(x.flatten(1), y.flatten(1))
    torch.testing.assert_close(cosines, torch.ones(500))
    torch.testing.assert_close(chain.inverse(y), x)


def test_rms_leaves_zeros_as_they_are():
    zeros = torch.zeros(4, 3)
    assert torch.equal(fitted(RMSTransform.Config(), zeros)(zeros), zeros)


def test_log1p_takes_counts_and_refuses_what_has_no_logarithm():
    counts = torch.tensor([[0.0, 3.0], [10.0, 1e6]])
    chain = fitted(Log1pTransform.Config(), counts)
    torch.testing.assert_close(chain.inverse(chain(counts)), counts, rtol=1e-4, atol=1e-4)
    assert chain.log_det(counts).tolist() == pytest.approx([-math.log(4), -math.log(11) - math.log(1e6 + 1)])
    with pytest.raises(DataError, match="transform 'log1p' takes values from 0 to inf, and the data go from -1 to 2"):
        fitted(Log1pTransform.Config(), torch.tensor([[-1.0, 2.0]]))


def test_a_range_that_does_not_rise_is_refused():
    with pytest.raises(ValueError, match="low must be below high"):
        RangeTransform.Config(low=1, high=1)
