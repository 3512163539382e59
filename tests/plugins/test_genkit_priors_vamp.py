"""The VampPrior against the mixture of its pseudo-inputs' posteriors by torch.distributions, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from genkit.errors import ComponentError
from genkit.interfaces import Schema, Side
from genkit.interfaces.component import MASK
from genkit.model.model import Model
from genkit_vae import GaussianSampler
from tests.models import built

VAMP = {"name": "vamp", "components": 4}


@pytest.fixture(autouse=True)
def seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def made(data: Any = (5,), **changes: Any) -> Model:
    return built(data, **{"prior": VAMP, **changes})


def mixture(model: Model) -> MixtureSameFamily:
    """The prior, written down anew from encoder and heads."""
    flat = model.encoder(model.prior.pseudo_inputs).flatten(1)
    means, deviations = model.sampler.mean(flat), (model.sampler.log_var(flat) / 2).exp()
    return MixtureSameFamily(Categorical(logits=torch.zeros(4)), Independent(Normal(means, deviations), 1))


def apart(model: Model) -> Model:
    """The model with pseudo-inputs and posteriors that differ from each other."""
    with torch.no_grad():
        model.prior.pseudo_inputs.mul_(3)
        model.sampler.mean.weight.mul_(4)
        model.sampler.log_var.bias.fill_(-1.0)
    return model


def test_the_density_is_that_of_the_mixture_of_the_posteriors() -> None:
    model = apart(made())
    z = torch.randn(6, 7, 2) * 2
    torch.testing.assert_close(model.prior.log_prob(z), mixture(model).log_prob(z))
    passed = model(torch.rand(3, 5), 4)
    torch.testing.assert_close(passed.latent.log_ratio, passed.latent.log_q - mixture(model).log_prob(passed.latent.z))


def test_draws_have_the_moments_of_the_mixture() -> None:
    model = apart(made())
    drawn, wanted = model.prior.sample(40_000).detach(), mixture(model)
    assert (drawn.mean(0) - wanted.mean).detach().abs().max() < 5 * float(drawn.std(0).max()) / 200
    torch.testing.assert_close(drawn.var(0), wanted.variance, rtol=0.03, atol=0)
    model.eval()
    assert model.sample(0).shape == (0, 5)


def test_a_sampler_whose_density_is_in_one_group_has_the_same_prior(variant: Any) -> None:
    def log_q(self: Any, z: Any, mean: Any, extra: Any) -> Any:
        return Independent(Normal(mean, (extra["log_var"] / 2).exp()), 1).log_prob(z).unsqueeze(-1)

    model = apart(made(sampler={"name": variant(GaussianSampler, log_q=log_q)}))
    z = torch.randn(6, 2)
    torch.testing.assert_close(model.prior.log_prob(z), mixture(model).log_prob(z))


def test_the_encoder_and_the_pseudo_inputs_learn_by_the_prior() -> None:
    model = made()
    model.prior.log_prob(torch.randn(6, 2)).sum().backward()
    parts = (*model.encoder.parameters(), *model.sampler.parameters(), model.prior.pseudo_inputs)
    assert all(bool(parameter.grad.any()) for parameter in parts)


def test_pseudo_inputs_start_as_the_options_say_and_keep_the_bounds_of_the_data() -> None:
    start = {**VAMP, "components": 400, "mean": 0.3, "deviation": 0.1}
    free = made(prior=start).prior.pseudo_inputs
    assert free.shape == (400, 5)
    assert float(free.mean().detach()) == pytest.approx(0.3, abs=0.01)
    assert float(free.std().detach()) == pytest.approx(0.1, abs=0.01)
    model = made(prior={**VAMP, "mean": 1.0, "deviation": 2.0}, likelihood="bernoulli")
    assert bool(((model.prior.pseudo_inputs >= 0) & (model.prior.pseudo_inputs <= 1)).all())
    wanted = model.prior.posteriors().mean
    with torch.no_grad():
        model.prior.pseudo_inputs.copy_(torch.where(model.prior.pseudo_inputs == 1, 5.0, model.prior.pseudo_inputs))
    torch.testing.assert_close(model.prior.posteriors().mean, wanted)


def test_a_model_without_posteriors_of_pseudo_inputs_is_refused(variant: Any) -> None:
    generator = {"name": "adversarial", "critic": {"name": "mlp", "hidden": [4]}}
    with pytest.raises(ComponentError, match=r"prior 'vamp' refuses the model: it is a mixture .* no encoder"):
        made(encoder=None, loss=generator)
    labels = Schema((5,), {"labels": Side((), 3)})
    with pytest.raises(ComponentError, match=r"reads side data .* choose prior: mixture"):
        made(labels, condition=["labels"])
    with pytest.raises(ComponentError, match="reads side data"):
        made(Schema((4, 5), {MASK: Side((4,))}))
    with pytest.raises(ComponentError, match=r"normalizes over the batch.*\(layer\)"):
        made(encoder={"name": "mlp", "hidden": [6], "normalization": "batch"})
    made(encoder={"name": "mlp", "hidden": [6], "normalization": "layer"})
    with pytest.raises(ComponentError, match=r"prior 'vamp' .* sampler 'point' has no density"):
        made(sampler={"name": "point", "latent": 2}, loss="reconstruction")
