"""The likelihoods of counts, against scipy."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from genkit.errors import ComponentError, DataError
from genkit.interfaces import Side
from genkit_vae import NegativeBinomialLikelihood, PoissonLikelihood

NUMBER = Side()
LIBRARY = torch.tensor([7.0, 300.0, 41.0, 9000.0])
DRAWS = 10_000


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


def poisson(shape=(3,), library=NUMBER, **options):
    return PoissonLikelihood(PoissonLikelihood.Config(**options), shape, library)


def negative_binomial(shape=(3,), library=NUMBER, **options):
    made = NegativeBinomialLikelihood(NegativeBinomialLikelihood.Config(**options), shape, library)
    torch.nn.init.normal_(made.log_theta)
    return made


def reference(likelihood, mean):
    """The distribution of scipy with these means (..., D)."""
    if isinstance(likelihood, PoissonLikelihood):
        return stats.poisson(mean)
    theta = likelihood.log_theta.detach().double().exp().numpy()
    return stats.nbinom(theta, theta / (theta + mean))


def shares(params):
    return params.double().softmax(-1).numpy()


@pytest.mark.parametrize("make", [poisson, negative_binomial])
def test_log_prob_is_that_of_scipy_at_each_depth(make):
    likelihood, params = make(), torch.randn(5, 4, 3)
    mean = shares(params) * LIBRARY.double().numpy()[:, None]
    x = torch.from_numpy(np.random.default_rng(0).poisson(mean[0])).float()
    wanted = reference(likelihood, mean).logpmf(x.numpy()).sum(-1)
    np.testing.assert_allclose(likelihood.log_prob(x, params, library=LIBRARY).detach(), wanted, rtol=3e-4, atol=1e-3)
    np.testing.assert_allclose(likelihood.mean(params, library=LIBRARY), mean, rtol=1e-5)


@pytest.mark.parametrize("make", [poisson, negative_binomial])
def test_samples_have_mean_and_variance_of_scipy_and_the_depth_of_the_cell(make):
    likelihood, params = make(), torch.randn(4, 3)
    mean = shares(params) * LIBRARY.double().numpy()[:, None]
    of_scipy = reference(likelihood, mean)
    with torch.no_grad():
        drawn = likelihood.sample(params.expand(DRAWS, 4, 3), library=LIBRARY).double().numpy()
    error = of_scipy.std() / math.sqrt(DRAWS)
    assert (np.abs(drawn.mean(0) - of_scipy.mean()) < 5 * error).all()
    np.testing.assert_allclose(drawn.var(0), of_scipy.var(), rtol=0.15)
    np.testing.assert_allclose(drawn.sum(-1).mean(0), LIBRARY, rtol=0.05)


@pytest.mark.parametrize("make", [poisson, negative_binomial])
def test_without_libraries_the_decoder_gives_the_total_too(make):
    likelihood, params = make(library=None), torch.randn(2, 4, 3)
    mean = params.double().exp().numpy()
    x = torch.tensor([[0.0, 1.0, 2.0], [5.0, 0.0, 0.0], [1.0, 1.0, 1.0], [9.0, 3.0, 0.0]])
    np.testing.assert_allclose(
        likelihood.log_prob(x, params).detach(), reference(likelihood, mean).logpmf(x.numpy()).sum(-1), rtol=1e-4
    )
    np.testing.assert_allclose(likelihood.mean(params), mean, rtol=1e-5)
    assert likelihood.mean(torch.full((1, 3), 1e6)).isfinite().all()


@pytest.mark.parametrize("make", [poisson, negative_binomial])
def test_zeros_are_inflated_by_the_share_that_the_decoder_gives(make):
    likelihood, params = make(zero_inflated=True), torch.randn(1, 4, 2, 3)
    mean = shares(params[:, :, 0]) * LIBRARY.double().numpy()[:, None]
    zeros = torch.sigmoid(params[:, :, 1]).double().numpy()
    of_scipy = reference(likelihood, mean)
    x = torch.from_numpy(np.random.default_rng(0).poisson(mean[0]) * [1, 0, 1]).float()
    mass = zeros * (x.numpy() == 0) + (1 - zeros) * of_scipy.pmf(x.numpy())
    np.testing.assert_allclose(
        likelihood.log_prob(x, params, library=LIBRARY).detach(), np.log(mass).sum(-1), rtol=3e-4, atol=1e-3
    )
    np.testing.assert_allclose(likelihood.mean(params, library=LIBRARY), (1 - zeros) * mean, rtol=1e-4)
    with torch.no_grad():
        drawn = likelihood.sample(params.expand(DRAWS, 4, 2, 3), library=LIBRARY)
    wanted = zeros + (1 - zeros) * of_scipy.pmf(0)
    np.testing.assert_allclose((drawn == 0).double().mean(0), wanted[0], atol=0.03)


def test_libraries_may_be_columns_and_data_of_any_shape():
    likelihood, params = negative_binomial((1, 2, 2)), torch.randn(3, 4, 1, 2, 2)
    x = likelihood.sample(params[0], library=LIBRARY).detach()
    assert x.shape == (4, 1, 2, 2)
    torch.testing.assert_close(
        likelihood.log_prob(x, params, library=LIBRARY), likelihood.log_prob(x, params, library=LIBRARY.unsqueeze(1))
    )
    torch.testing.assert_close(likelihood.mean(params, library=LIBRARY).flatten(2).sum(2), LIBRARY.expand(3, 4))


@pytest.mark.parametrize("side", [Side(classes=3), Side((2,))])
def test_a_library_that_is_no_number_is_refused(side):
    with pytest.raises(ComponentError, match="the total of each datum: one number"):
        poisson(library=side)


@pytest.mark.parametrize("make", [poisson, negative_binomial])
def test_a_library_below_zero_is_refused_and_none_gives_no_counts(make):
    likelihood, params = make().eval(), torch.randn(2, 3)
    for method in (likelihood.mean, likelihood.sample):
        with pytest.raises(DataError, match="library: the total of a datum is 0 or more, and not -5"):
            method(params, library=torch.tensor([3.0, -5.0]))
        assert not method(params, library=torch.zeros(2)).any()
