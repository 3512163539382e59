"""Posteriors with a full covariance and of Laplace, against torch.distributions and scipy."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Laplace, MultivariateNormal, Normal, kl_divergence

from genkit_priors import LaplacePrior
from genkit_vae import GaussianSampler, LaplaceSampler
from tests.models import built

DRAWS = 40_000


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


def full(latent: int = 3, features: int = 5, dtype: torch.dtype = torch.float64) -> GaussianSampler:
    config = GaussianSampler.Config(latent=latent, covariance="full")
    return GaussianSampler(config, (features,)).to(dtype)


def laplace(latent: int = 3, dtype: torch.dtype = torch.float64) -> LaplaceSampler:
    return LaplaceSampler(LaplaceSampler.Config(latent=latent), (5,)).to(dtype)


def features(count: int = 6, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(count, 5, dtype=dtype) * 2


def correlated(sampler: GaussianSampler, x: Tensor) -> MultivariateNormal:
    """q(z|x), written down anew from the three heads."""
    size = sampler.latent_shape[0]
    factor = torch.zeros(len(x), size, size, dtype=x.dtype)
    rows, columns = torch.tril_indices(size, size, -1)
    factor[:, rows, columns] = sampler.lower(x)
    factor += torch.diag_embed((sampler.log_var(x) / 2).exp())
    return MultivariateNormal(sampler.mean(x), scale_tril=factor)


def heads(sampler: LaplaceSampler, x: Tensor) -> Laplace:
    return Laplace(sampler.mean(x), sampler.log_scale(x).exp())


# A full covariance


def test_a_full_covariance_has_the_kl_and_the_densities_of_torch_distributions() -> None:
    sampler, x = full(), features()
    q, p = correlated(sampler, x), MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    latent = sampler(x, draws=7)
    torch.testing.assert_close(latent.kl, kl_divergence(q, p).unsqueeze(1))
    torch.testing.assert_close(latent.log_q, q.log_prob(latent.z))
    torch.testing.assert_close(latent.log_ratio, q.log_prob(latent.z) - p.log_prob(latent.z))
    torch.testing.assert_close(latent.mean, q.mean)


def test_draws_have_the_covariance_of_the_factor() -> None:
    sampler, x = full(), features(2)
    q, z = correlated(sampler, x), sampler(x, draws=DRAWS).z
    for datum in range(2):
        covariance = q.covariance_matrix[datum]
        error = 6 * covariance.diagonal().max() * math.sqrt(2 / DRAWS)
        assert (torch.cov(z[:, datum].T) - covariance).abs().max() < error
        assert covariance[0, 1].abs() > error  # there is something to see


def test_the_density_of_each_draw_under_each_posterior_with_a_full_covariance() -> None:
    sampler, x = full(), features(4)
    latent, q = sampler(x, draws=2), correlated(sampler, x)
    pairs = sampler.log_q(latent.z.unsqueeze(2), latent.mean, latent.extra)
    torch.testing.assert_close(pairs.squeeze(-1), q.log_prob(latent.z.unsqueeze(2)))


def test_without_covariances_a_full_covariance_is_the_diagonal_one() -> None:
    sampler, x = full(dtype=torch.float32), features(dtype=torch.float32)
    diagonal = GaussianSampler(GaussianSampler.Config(latent=3), (5,))
    with torch.no_grad():
        sampler.lower.weight.zero_()
        sampler.lower.bias.zero_()
    diagonal.load_state_dict({k: v for k, v in sampler.state_dict().items() if not k.startswith("lower")})
    latents = []
    for each in (sampler, diagonal):
        torch.manual_seed(0)
        latents.append(each(x, 3))
    one, other = latents
    torch.testing.assert_close(one.z, other.z)
    torch.testing.assert_close(one.kl, other.kl.sum(1, keepdim=True))
    torch.testing.assert_close(one.log_ratio, other.log_ratio)
    torch.testing.assert_close(one.log_q, other.log_q)


def test_one_dimension_has_no_covariances() -> None:
    assert [name for name, _ in full(latent=1).named_parameters()] == [
        name for name, _ in GaussianSampler(GaussianSampler.Config(latent=1), (5,)).named_parameters()
    ]


def test_gradcheck_of_a_full_covariance() -> None:
    sampler, x = full(latent=3), features(2).requires_grad_()
    points = torch.randn(2, 2, 1, 3, dtype=torch.float64)

    def outputs(x: Tensor, *_: Tensor) -> Any:
        torch.manual_seed(0)
        latent = sampler(x, 2)
        pairs = sampler.log_q(points, latent.mean, latent.extra)
        return latent.z, latent.kl, latent.log_ratio, latent.log_q, pairs

    assert torch.autograd.gradcheck(outputs, (x, *sampler.parameters()))


def test_training_finds_the_covariance_of_the_exact_posterior_of_a_linear_decoder() -> None:
    """There p(z|x) is a Gaussian (Bishop 2006, equation 12.42): with its covariance the ELBO is the likelihood."""
    linear = {"name": "mlp", "hidden": []}
    gaps = {}
    for covariance in ("full", "diagonal"):
        torch.manual_seed(1)
        sampler = {"name": "gaussian", "latent": 2, "covariance": covariance}
        model = built((4,), encoder=linear, decoder=linear, sampler=sampler, likelihood="gaussian")
        with torch.no_grad():
            _decoder_weight(model).copy_(torch.tensor([[1.0, 0.9], [0.0, 0.3], [0.5, 0.6], [-1.0, -0.8]]))
        model.decoder.requires_grad_(False)
        x = torch.randn(200, 4)
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.05)
        for _ in range(150):
            optimizer.zero_grad()
            passed = model(x, 4)
            (passed.latent.divergence.sum(1) - passed.log_prob.mean(0)).mean().backward()
            optimizer.step()
        weight = _decoder_weight(model)
        (offset,) = [parameter for parameter in model.decoder.parameters() if parameter.ndim == 1]
        evidence = MultivariateNormal(offset, weight @ weight.T + torch.eye(4)).log_prob(x).mean()
        passed = model.eval()(x, 500)
        elbo = (passed.log_prob.mean(0) - passed.latent.divergence.sum(1)).mean()
        gaps[covariance] = (evidence - elbo).item()
    assert abs(gaps["full"]) < 0.01
    assert gaps["diagonal"] > 0.05


def _decoder_weight(model: Any) -> Any:
    (weight,) = [parameter for parameter in model.decoder.parameters() if parameter.ndim == 2]
    return weight


# Laplace


def test_laplace_has_the_kl_and_the_densities_of_torch_distributions() -> None:
    sampler, x = laplace(), features()
    q, p = heads(sampler, x), Laplace(torch.zeros(3).double(), torch.ones(3).double())
    latent = sampler(x, draws=7)
    torch.testing.assert_close(latent.kl, kl_divergence(q, p))
    torch.testing.assert_close(latent.log_q, q.log_prob(latent.z).sum(-1))
    torch.testing.assert_close(latent.log_ratio, (q.log_prob(latent.z) - p.log_prob(latent.z)).sum(-1))
    pairs = sampler.log_q(latent.z.unsqueeze(2), latent.mean, latent.extra)
    torch.testing.assert_close(pairs, q.log_prob(latent.z.unsqueeze(2)))


def test_draws_of_laplace_have_its_distribution() -> None:
    sampler, x = laplace(dtype=torch.float32), features(1, torch.float32)
    q, z = heads(sampler, x.detach()), sampler(x, draws=DRAWS).z[:, 0].detach()
    for dimension in range(3):
        theirs = stats.laplace(q.loc[0, dimension].item(), q.scale[0, dimension].item())
        assert stats.kstest(z[:, dimension].numpy(), theirs.cdf).pvalue > 1e-4
    prior = sampler.prior(DRAWS)
    assert prior.isfinite().all()
    assert stats.kstest(prior[:, 0].numpy(), stats.laplace.cdf).pvalue > 1e-4


def test_gradcheck_of_laplace() -> None:
    sampler, x = laplace(), features(2).requires_grad_()

    def outputs(x: Tensor, *_: Tensor) -> Any:
        torch.manual_seed(0)
        latent = sampler(x, 2)
        return latent.z, latent.kl, latent.log_ratio, latent.log_q

    assert torch.autograd.gradcheck(outputs, (x, *sampler.parameters()))


def test_the_kl_of_laplace_is_smooth_where_the_mean_is_zero() -> None:
    sampler = laplace(dtype=torch.float32)
    with torch.no_grad():
        for parameter in sampler.parameters():
            parameter.zero_()
    kl = sampler(torch.ones(2, 5)).kl
    kl.sum().backward()
    assert kl.abs().max() < 1e-7
    assert all(parameter.grad.abs().max() < 1e-6 for parameter in sampler.parameters() if parameter.grad is not None)


def test_laplace_keeps_its_exact_kl_with_its_own_prior_and_goes_with_others() -> None:
    sampler = {"name": "laplace", "latent": 2}
    x = torch.rand(3, 4)
    assert built((4,), sampler=sampler, prior="laplace")(x, 1).latent.kl is not None
    model = built((4,), sampler=sampler, prior="normal")
    latent = model.eval()(x, DRAWS).latent
    assert latent.kl is None
    q = heads(model.sampler, model.encoder(x))
    torch.testing.assert_close(
        latent.log_ratio, (q.log_prob(latent.z) - Normal(0.0, 1.0).log_prob(latent.z)).sum(-1), atol=1e-4, rtol=1e-4
    )


def test_the_laplace_prior_is_that_of_scipy() -> None:
    prior = LaplacePrior(LaplacePrior.Config(), (2, 3))
    z = torch.randn(4, 5, 2, 3) * 3
    theirs = torch.from_numpy(stats.laplace.logpdf(z.double().numpy())).sum((2, 3))
    torch.testing.assert_close(prior.log_prob(z).double(), theirs, atol=1e-5, rtol=1e-5)
    drawn = prior.sample(DRAWS).flatten(1)
    assert stats.kstest(drawn[:, 0].numpy(), stats.laplace.cdf).pvalue > 1e-4
    assert (torch.corrcoef(drawn.T) - torch.eye(6)).abs().max() < 6 / math.sqrt(DRAWS)


def test_the_laplace_prior_of_a_laplace_posterior_gives_its_exact_kl_in_the_mean() -> None:
    sampler = laplace(dtype=torch.float32)
    prior, latent = LaplacePrior(LaplacePrior.Config(), (3,)), sampler(features(4, torch.float32), DRAWS)
    ratio = latent.log_q - prior.log_prob(latent.z)
    torch.testing.assert_close(ratio, latent.log_ratio, atol=1e-4, rtol=1e-4)
    error = ratio.std(0) / math.sqrt(DRAWS)
    assert ((ratio.mean(0) - latent.kl.sum(1)).abs() < 5 * error).all()
