"""The priors: their densities against torch.distributions and scikit-learn, and what they do in models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from genkit.errors import ComponentError, DataError
from genkit.interfaces import FittedPrior
from genkit.model.model import Model
from genkit_priors import GaussianMixturePrior, MixturePrior, NormalPrior
from genkit_sparse import PointSampler
from genkit_vae import GaussianSampler
from tests.models import built


@pytest.fixture(autouse=True)
def seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def made(**changes: Any) -> Model:
    return built((4,), **changes)


def stirred(latent: tuple[int, ...] = (3,), components: int = 4) -> MixturePrior:
    prior = MixturePrior(MixturePrior.Config(components=components), latent)
    for parameter in prior.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.5)
    return prior


def test_the_normal_prior_is_a_standard_normal() -> None:
    prior = NormalPrior(NormalPrior.Config(), (2, 3))
    z = torch.randn(4, 5, 2, 3)
    torch.testing.assert_close(prior.log_prob(z), Normal(0.0, 1.0).log_prob(z).sum((2, 3)))
    drawn = prior.sample(20_000).flatten(1)
    torch.testing.assert_close(torch.cov(drawn.T), torch.eye(6), atol=0.05, rtol=0)


def test_a_mixture_has_the_density_and_the_draws_of_its_parameters() -> None:
    prior = stirred()
    theirs = MixtureSameFamily(
        Categorical(logits=prior.logits), Independent(Normal(prior.means, prior.log_scales.exp()), 1)
    )
    z = torch.randn(6, 5, 3) * 2
    torch.testing.assert_close(prior.log_prob(z), theirs.log_prob(z))
    drawn = prior.sample(40_000)
    torch.testing.assert_close(drawn.mean(0), theirs.mean, atol=0.05, rtol=0.02)
    torch.testing.assert_close(drawn.var(0), theirs.variance, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_a_fitted_mixture_is_that_of_scikit_learn(covariance: str) -> None:
    prior = GaussianMixturePrior(GaussianMixturePrior.Config(components=3, covariance=covariance), (2,))
    z = torch.randn(900, 2) @ torch.tensor([[1.0, 0.7], [0.0, 0.5]])
    z[:300] += 10
    z[300:600] -= 10
    prior.fit(z)
    theirs = GaussianMixture(3, covariance_type=covariance, reg_covar=1e-5, max_iter=200, random_state=1)
    theirs.fit(z.double().numpy())
    assert float(prior.log_prob(z).mean()) == pytest.approx(theirs.score(z.double().numpy()), abs=0.02)
    means, weights = prior.means, prior.log_weights.exp()
    if covariance == "full":
        precisions = prior.roots @ prior.roots.transpose(1, 2)
        parts: Any = MultivariateNormal(means, precision_matrix=precisions)
    else:
        parts = Independent(Normal(means, 1 / prior.roots), 1)
    torch.testing.assert_close(prior.log_prob(z), MixtureSameFamily(Categorical(weights), parts).log_prob(z))
    drawn = prior.sample(40_000)
    torch.testing.assert_close(drawn.mean(0), z.mean(0), atol=0.25, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.T), torch.cov(z.T), atol=0.5, rtol=0.05)


def test_too_few_data_for_the_components_are_refused() -> None:
    prior = GaussianMixturePrior(GaussianMixturePrior.Config(components=8), (2,))
    with pytest.raises(DataError, match="15 training data are too few for 8 components; lower prior"):
        prior.fit(torch.randn(15, 2))


def test_with_another_prior_the_kl_is_that_of_its_density_at_the_draws() -> None:
    model = made(prior={"name": "mixture", "components": 3})
    passed = model(torch.rand(5, 4), 6)
    assert passed.latent.kl is None
    expected = passed.latent.log_q - model.prior.log_prob(passed.latent.z)
    torch.testing.assert_close(passed.latent.log_ratio, expected)
    torch.testing.assert_close(passed.latent.divergence, expected.mean(0).unsqueeze(1))
    torch.testing.assert_close(model.losses["kl"](passed), expected.mean(0))
    passed.latent.divergence.sum().backward()
    assert all(parameter.grad is not None for parameter in model.prior.parameters())


def test_the_prior_that_a_sampler_has_of_its_own_keeps_the_exact_kl() -> None:
    assert GaussianSampler.own_prior == "normal"
    with_it, without = made(prior="normal"), made()
    assert with_it.prior is None
    without.load_state_dict(with_it.state_dict())
    x = torch.rand(5, 4)
    assert torch.equal(with_it(x, 1).latent.kl, without(x, 1).latent.kl)


def test_a_prior_of_a_mixture_with_one_standard_component_gives_the_exact_kl_in_the_mean() -> None:
    model = made(prior={"name": "mixture", "components": 1})
    model.prior.means.data.zero_()
    plain = made()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("prior.")})
    x = torch.rand(3, 4)
    drawn = model(x, 50_000).latent.log_ratio
    torch.testing.assert_close(drawn.mean(0), plain(x, 1).latent.kl.sum(1), atol=0.02, rtol=0.02)


def test_samples_come_from_the_prior_of_the_config() -> None:
    model = made(prior={"name": "mixture", "components": 1})
    model.prior.means.data.fill_(50.0)
    assert float(model.draw(100).detach().mean()) == pytest.approx(50, abs=1)


def test_a_prior_needs_a_density_and_its_own_support(variant: Any) -> None:
    def forward(self: Any, features: Any, draws: int = 1) -> Any:
        return GaussianSampler.forward(self, features, draws)._replace(log_q=None)

    name = variant(GaussianSampler, forward=forward)
    with pytest.raises(ComponentError, match=f"prior 'mixture' needs a sampler that gives the density.*'{name}'"):
        made(sampler={"name": name}, prior="mixture")
    with pytest.raises(ComponentError, match=r"prior 'mixture' needs .* sampler 'point' gives none"):
        made(sampler={"name": "point", "latent": 2}, loss=["reconstruction"], prior="mixture")
    other = variant(MixturePrior, support="simplex")
    with pytest.raises(
        ComponentError, match=f"prior '{other}' is a density on simplex, and the latents of .* in reals"
    ):
        made(prior={"name": other})


def test_an_autoencoder_with_a_fitted_prior_generates_once_it_is_fitted() -> None:
    model = made(
        sampler={"name": "point", "latent": 2}, loss=["reconstruction"], prior={"name": "gmm", "components": 2}
    )
    assert isinstance(model.sampler, PointSampler)
    assert isinstance(model.prior, FittedPrior)
    model.eval()
    assert not model.has_prior
    with pytest.raises(ComponentError, match="no prior"):
        model.sample(3)
    model.prior.fit(torch.randn(50, 2))
    model.prior.is_fitted.fill_(1)
    assert model.has_prior
    assert model.sample(3).shape == (3, 4)
    assert model(torch.rand(3, 4)).latent.kl is None


def test_a_fitted_prior_changes_no_training_step_and_then_the_kl() -> None:
    model, plain = made(prior={"name": "gmm", "components": 2}), made()
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("prior.")})
    x = torch.rand(5, 4)
    model.prior.fit(torch.randn(50, 2))
    model.prior.is_fitted.fill_(1)
    assert torch.equal(model.train()(x, 1).latent.kl, plain.train()(x, 1).latent.kl)
    latent = model.eval()(x, 2).latent
    torch.testing.assert_close(latent.log_ratio, latent.log_q - model.prior.log_prob(latent.z))
