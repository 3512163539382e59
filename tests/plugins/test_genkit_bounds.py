"""The importance-weighted bound and the estimators of its gradient, against closed forms and each other."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.distributions import MultivariateNormal, Normal

from genkit.errors import ComponentError
from genkit.interfaces import Schema, Side
from genkit.model.model import Model
from genkit.speed.pieces import traced_whole
from genkit.testing import checks
from genkit.testing.passes import tiny_model
from genkit_bounds import ImportanceWeightedBound
from tests.models import LINEAR, built

LIKELIHOOD = {"name": "gaussian", "scale": 0.5}


@pytest.fixture(autouse=True)
def seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def made(estimator: str = "plain", draws: int = 5, **changes: Any) -> Model:
    loss = {"name": "iwae", "estimator": estimator, "draws": draws}
    return built((4,), **{**LINEAR, "likelihood": LIKELIHOOD, "loss": loss, **changes})


def alike(estimator: str, draws: int = 5, **changes: Any) -> Model:
    """The model with the same weights, whatever the estimator."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = made(estimator, draws, **changes)
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter) / 3)
    return model


def slopes(model: Model, x: Tensor) -> Tensor:
    """The gradient of each datum's loss by its mean and log-variance, (B, 2 D)."""
    passed = model.train()(x)
    passed.latent.mean.retain_grad()
    passed.latent.extra["log_var"].retain_grad()
    for loss in model.losses.values():
        loss(passed).sum().backward(retain_graph=True)
    return torch.cat([passed.latent.mean.grad, passed.latent.extra["log_var"].grad], 1)


def agree(one: Tensor, other: Tensor) -> Tensor:
    """How far the means of two samples (B, N) lie apart, in standard errors (N,)."""
    return (one.mean(0) - other.mean(0)).abs() / ((one.var(0) + other.var(0)) / len(one)).sqrt().clamp_min(1e-6)


@pytest.mark.parametrize("estimator", ["plain", "dreg", "stl"])
def test_the_bound_rises_with_the_draws_to_the_exact_log_likelihood(estimator: str) -> None:
    x = torch.randn(1, 4).expand(2000, 4)
    means = []
    for draws in (1, 5, 50, 500):
        model = alike(estimator, draws).eval()
        with torch.no_grad():
            values = -model.losses["iwae"](model(x[: 100_000 // draws])).double()
        means.append((float(values.mean()), float(values.std()) / math.sqrt(len(values))))
    decoder = model.decoder.layers[1].requires_grad_(False)
    covariance = decoder.weight @ decoder.weight.T + 0.25 * torch.eye(4)
    exact = float(MultivariateNormal(decoder.bias, covariance).log_prob(x[0]))
    for (low, before), (high, after) in itertools.pairwise(means):
        assert high > low + 3 * math.hypot(before, after)
    assert all(mean < exact + 4 * error for mean, error in means)
    assert means[-1][0] == pytest.approx(exact, abs=0.05)


def test_the_bound_is_that_of_its_formula() -> None:
    model = alike("plain", 3).eval()
    passed = model(torch.randn(6, 4))
    log_p = Normal(0.0, 1.0).log_prob(passed.latent.z).sum(2)
    weights = (passed.log_prob + log_p - passed.latent.log_q).exp()
    assert len(weights) == 3
    torch.testing.assert_close(model.losses["iwae"](passed), -weights.mean(0).log())


@pytest.mark.parametrize("estimator", ["dreg", "stl"])
def test_the_estimators_have_the_same_value_and_the_same_gradient_of_the_decoder_and_the_prior(estimator: str) -> None:
    x, gradients, values = torch.randn(8, 4), [], []
    for each in ("plain", estimator):
        model = alike(each, prior={"name": "mixture", "components": 2})
        with torch.random.fork_rng():
            torch.manual_seed(5)
            value = model.train().losses["iwae"](model(x)).mean()
        value.backward()
        values.append(value.detach())
        gradients.append([p.grad for part in (model.decoder, model.prior) for p in part.parameters()])
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("prior", [None, {"name": "mixture", "components": 2}])
def test_dreg_has_the_gradient_of_the_bound_in_the_mean_with_a_smaller_variance(prior: Any) -> None:
    x = torch.randn(1, 4).expand(40_000, 4)
    plain, dreg = (slopes(alike(each, prior=prior), x) for each in ("plain", "dreg"))
    assert (agree(plain, dreg) < 4.5).all()
    assert (plain.mean(0).abs() > 10 * plain.std(0) / 200).any()
    assert (dreg.var(0) < plain.var(0)).all()


def test_sticking_the_landing_has_the_gradient_of_the_elbo_in_the_mean_with_one_draw() -> None:
    x = torch.randn(1, 4).expand(40_000, 4)
    elbo = slopes(alike("stl", loss=["reconstruction", "kl"]), x)
    for estimator in ("plain", "stl", "dreg"):
        assert (agree(elbo, slopes(alike(estimator, 1), x)) < 4.5).all()


@pytest.mark.parametrize("estimator", ["stl", "dreg"])
def test_at_the_exact_posterior_the_gradient_of_the_encoder_is_zero_for_any_draws(estimator: str) -> None:
    """One latent and x = w z + noise: q(z|x) = p(z|x) is a choice of the two heads."""
    model = alike(estimator, 4, sampler={"name": "gaussian", "latent": 1})
    w = model.decoder.layers[1].weight.detach()[:, 0]
    precision = 1 + float(w.square().sum()) / 0.25
    with torch.no_grad():
        head = model.sampler
        head.mean.weight.copy_((w / 0.25 / precision).unsqueeze(0))
        head.mean.bias.copy_(-(model.decoder.layers[1].bias @ w) / 0.25 / precision)
        head.log_var.weight.zero_()
        head.log_var.bias.fill_(-math.log(precision))
    x = torch.randn(5, 4)
    assert slopes(model, x).abs().max() < 1e-4
    model.losses["iwae"].estimator = "plain"
    assert slopes(model, x).abs().max() > 1e-2


def test_the_gradient_of_the_double_reparameterization_is_that_of_its_equation() -> None:
    """Tucker et al. 2019, equation 8, written out for the mean of a Gaussian, of which dz/dmean is 1."""
    model, x = alike("dreg", 3), torch.randn(2, 4)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        found = slopes(model, x)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        latent = model(x).latent
    z = latent.z.detach().requires_grad_()
    params = model.decoder(z.flatten(0, 1)).unflatten(0, (3, 2))
    prior, q = (
        -z.square().sum(2) / 2,
        model.sampler.log_q(z, latent.mean.detach(), {"log_var": latent.extra["log_var"].detach()}),
    )
    log_weights = model.likelihood.log_prob(x, params) + prior - q.sum(2)
    (slope,) = torch.autograd.grad(log_weights.sum(), z)
    wanted = -(log_weights.softmax(0).square().unsqueeze(2) * slope).sum(0)
    torch.testing.assert_close(found[:, :2], wanted)


@pytest.mark.parametrize("estimator", ["dreg", "stl"])
def test_the_other_estimators_keep_the_contract(estimator: str) -> None:
    config = ImportanceWeightedBound.Config(estimator=estimator)
    expected = {"gradients": "the parameters of q(z|x) are held still"}
    results = [
        c.result() for c in checks(ImportanceWeightedBound, config, expected=expected, partners={"sampler": "gaussian"})
    ]
    assert [result for result in results if result.status == "FAILED"] == []


def test_a_sampler_without_the_density_that_an_estimator_needs_is_refused() -> None:
    with pytest.raises(ComponentError, match="loss 'iwae' needs a sampler with a density; sampler 'point' has none"):
        made(sampler={"name": "point", "latent": 2})
    at_its_draws_alone = tiny_model((4,))
    ImportanceWeightedBound(ImportanceWeightedBound.Config(), (4,)).attach(at_its_draws_alone)
    doubly = ImportanceWeightedBound(ImportanceWeightedBound.Config(estimator="dreg"), (4,))
    with pytest.raises(ComponentError, match=r"evaluates log q.* at any z, .* choose estimator: plain"):
        doubly.attach(at_its_draws_alone)


@pytest.mark.parametrize("estimator", ["dreg", "stl"])
def test_a_step_is_one_graph_with_its_gradients(estimator: str) -> None:
    model, x = alike(estimator), torch.randn(6, 4)

    def step(x: Tensor) -> tuple[Tensor, ...]:
        value = model.losses["iwae"](model(x)).mean()
        return torch.autograd.grad(value, list(model.parameters()))

    with traced_whole(step, "aot_eager") as traced:
        torch.manual_seed(5)
        slopes = traced(x)
    torch.manual_seed(5)
    torch.testing.assert_close(slopes, step(x))


def test_options_that_make_no_bound_are_refused() -> None:
    for options in ({"draws": 0}, {"estimator": "doubly"}):
        with pytest.raises(ValidationError):
            ImportanceWeightedBound.Config.model_validate(options)


@pytest.mark.parametrize("estimator", ["plain", "dreg", "stl"])
def test_a_model_with_a_condition_learns(estimator: str) -> None:
    loss = {"name": "iwae", "estimator": estimator}
    model = built(Schema((4,), {"labels": Side((), 3)}), loss=loss, condition=["labels"])
    passed = model(torch.rand(6, 4), side={"labels": torch.arange(6) % 3})
    assert len(passed.latent.z) == 5
    model.losses["iwae"](passed).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
