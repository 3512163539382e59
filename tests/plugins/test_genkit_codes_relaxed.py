"""Categorical and Bernoulli latents: their KL and draws against torch.distributions, and the ELBO by enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch.distributions import Bernoulli, Categorical, RelaxedBernoulli, RelaxedOneHotCategorical, kl_divergence

from genkit.runs.opening import as_config, prepare
from genkit.runs.running import resume, run
from genkit.training.epochs import fit
from genkit.training.seeds import own_random_state
from genkit.training.trainer import Trainer
from genkit_codes import BernoulliSampler, CategoricalSampler
from tests.models import built


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def categorical(**options: Any) -> CategoricalSampler:
    return CategoricalSampler(CategoricalSampler.Config(**{"variables": 2, "classes": 3, **options}), (5,))


def bernoulli(**options: Any) -> BernoulliSampler:
    return BernoulliSampler(BernoulliSampler.Config(**{"latent": 4, **options}), (5,))


def test_the_kl_is_that_of_the_discrete_variables() -> None:
    x = torch.randn(6, 5) * 3
    latent = categorical()(x)
    q = Categorical(logits=latent.extra["logits"])
    torch.testing.assert_close(latent.kl, kl_divergence(q, Categorical(torch.ones(3))))
    torch.testing.assert_close(latent.mean, q.probs)
    latent = bernoulli()(x)
    bits = Bernoulli(logits=latent.extra["logits"])
    torch.testing.assert_close(latent.kl, kl_divergence(bits, Bernoulli(torch.tensor(0.5))))
    torch.testing.assert_close(latent.mean, bits.probs)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_relaxed_draws_are_those_of_the_concrete_distributions(temperature: float) -> None:
    x = torch.randn(1, 5) * 2
    for sampler, relaxed in (
        (categorical(temperature=temperature), RelaxedOneHotCategorical),
        (bernoulli(temperature=temperature), RelaxedBernoulli),
    ):
        with torch.no_grad():
            latent = sampler(x, 40_000)
            theirs = relaxed(torch.tensor(temperature), logits=latent.extra["logits"]).sample((40_000,))
        for power in (1, 2):
            error = (latent.z.pow(power).var(0) / 20_000).sqrt()
            assert ((latent.z.pow(power).mean(0) - theirs.pow(power).mean(0)).abs() < 5 * error + 1e-5).all()


@pytest.mark.parametrize("straight_through", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_draws_are_discrete_in_eval_mode_and_with_the_option(training: bool, straight_through: bool) -> None:
    x = torch.randn(3, 5)
    for sampler in (categorical(straight_through=straight_through), bernoulli(straight_through=straight_through)):
        sampler.train(training)
        latent = sampler(x, 20_000)
        z = latent.z.detach()
        discrete = bool(((z == 0) | (z == 1)).all())
        assert discrete == (straight_through or not training)
        if discrete:
            error = (latent.mean * (1 - latent.mean) / 20_000).sqrt()
            assert ((z.mean(0) - latent.mean).abs() < 5 * error).all()
        (latent.z * torch.randn_like(latent.z)).sum().backward()
        assert sampler.logits.weight.grad.any()


def test_the_prior_is_uniform() -> None:
    drawn = categorical().prior(20_000)
    assert torch.equal(drawn.sum(-1), torch.ones(20_000, 2))
    assert drawn.mean(0).flatten().tolist() == pytest.approx([1 / 3] * 6, abs=0.02)
    bits = bernoulli().prior(20_000)
    assert sorted(bits.unique().tolist()) == [0.0, 1.0]
    assert bits.mean(0).tolist() == pytest.approx([0.5] * 4, abs=0.02)


def test_the_elbo_in_eval_mode_is_that_of_the_discrete_model() -> None:
    model = built((4,), sampler={"name": "categorical", "variables": 2, "classes": 3}).eval()
    x = torch.rand(5, 4)
    with torch.no_grad():
        passed = model(x, 20_000)
        elbo = passed.log_prob - passed.latent.divergence.sum(1)
        one_hot = torch.nn.functional.one_hot(torch.tensor(list(itertools.product(range(3), repeat=2))), 3).float()
        params = model.decoder(one_hot)
        log_prob = model.likelihood.log_prob(x, params.unsqueeze(1).expand(9, 5, *params.shape[1:]))
        log_q = torch.einsum("knc,bnc->kb", one_hot, passed.latent.mean.log())
        exact = (log_q.exp() * (log_prob - math.log(9) - log_q)).sum(0)
    error = elbo.std(0) / math.sqrt(20_000)
    assert ((elbo.mean(0) - exact).abs() < 5 * error + 1e-4).all()
    assert (exact < torch.logsumexp(log_prob - math.log(9), 0)).all()


def test_a_temperature_of_zero_is_refused() -> None:
    for temperature in (
        0,
        -1,
        {"from": 1, "to": 0, "epochs": 5},
        {"schedule": "cosine", "from": 1, "to": 0.5, "epochs": 5, "warm_up": 1},
    ):
        with pytest.raises(ValidationError, match="the temperature must stay above 0"):
            CategoricalSampler.Config.model_validate({"temperature": temperature})


@pytest.mark.usefixtures("bare")
def test_the_temperature_follows_its_schedule_and_is_there_again_in_a_resumed_run(tmp_path: Any) -> None:
    sampler = {"name": "bernoulli", "latent": 8, "temperature": {"from": 1.0, "to": 0.2, "epochs": 4}}
    parts = {"encoder": {"name": "mlp", "hidden": [16]}, "decoder": {"name": "mlp", "hidden": [16]}}
    values = {
        "data": "digits",
        **parts,
        "sampler": sampler,
        "likelihood": "bernoulli",
        "loss": ["reconstruction", "kl"],
    }
    training = {"batch_size": 256, "compile": False}
    whole = run({**values, "training": {**training, "epochs": 2}}, out=tmp_path / "whole")
    run({**values, "training": {**training, "epochs": 1}}, out=tmp_path / "half")
    again = resume(tmp_path / "half", epochs=2)
    ours, theirs = (each.model.state_dict() for each in (whole, again))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert float(ours["sampler.temperature"]) == pytest.approx(0.6)


def test_trained_on_digits_its_variables_carry_what_they_hold() -> None:
    config = as_config(
        {
            "data": "digits",
            "encoder": {"name": "mlp", "hidden": [64]},
            "sampler": {"name": "categorical", "variables": 8, "classes": 6, "temperature": 0.7},
            "decoder": {"name": "mlp", "hidden": [64]},
            "likelihood": "bernoulli",
            "loss": ["reconstruction", {"name": "kl", "weight": 0.2}],
            "training": {"epochs": 15, "batch_size": 64, "optimizer": {"name": "adam", "lr": 5e-3}},
        }
    )
    data, model = prepare(config)
    with own_random_state():
        history = list(fit(Trainer(model, config.training), data, seed=0))
    assert history[-1].train.reconstruction < 24.5
    assert 2 < history[-1].train.kl < 8 * math.log(6)
