from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from genkit import normal
from genkit.interfaces import FittedPrior, Prior
from genkit.testing import checks


class Near(Prior):
    """N(the mean posterior mean of learned pseudo-inputs, I), by the model's own posterior."""

    checked_with = {  # noqa: RUF012
        "partners": {
            "encoder": {"name": "mlp", "hidden": [8], "dropout": 0.2},
            "sampler": "gaussian",
            "loss": ["reconstruction", "kl"],
        }
    }

    class Config(Prior.Config):
        name: Literal["of-test-near"] = "of-test-near"

    def __init__(self, config, latent_shape):
        super().__init__(config, latent_shape)
        self.latent_shape = latent_shape

    def attach(self, model):
        self.inputs = nn.Parameter(torch.rand(5, *model.shape))
        self.posterior = model.posterior

    def centre(self):
        return self.posterior(self.inputs, 0, {}).mean.mean(0)

    def log_prob(self, z):
        each = -0.5 * ((z - self.centre()).square() + math.log(2 * math.pi))
        return each.flatten(z.ndim - len(self.latent_shape)).sum(-1)

    def sample(self, n):
        centre = self.centre()
        return centre + normal(n, *self.latent_shape, batch=0, like=centre)


class Apart(Near):
    """Keeps numbers where no conversion finds them."""

    def attach(self, model):
        super().attach(model)
        start = torch.zeros(self.latent_shape)
        self.start = lambda: start

    def centre(self):
        return torch.stack([super().centre(), self.start()]).sum(0)


class Independent(Prior):
    """N(0, I), by torch's own class, which cannot sum over no draws."""

    class Config(Prior.Config):
        name: Literal["of-test-independent"] = "of-test-independent"

    def __init__(self, config, latent_shape):
        super().__init__(config, latent_shape)
        self.register_buffer("scale", torch.ones(latent_shape), persistent=False)

    def log_prob(self, z):
        each = torch.distributions.Normal(torch.zeros_like(self.scale), self.scale, validate_args=False)
        return torch.distributions.Independent(each, self.scale.ndim, validate_args=False).log_prob(z)

    def sample(self, n):
        return normal(n, *self.scale.shape, batch=0, like=self.scale)


def test_a_prior_that_reads_the_model_it_is_attached_to_is_checked_with_it():
    named = {check.name: check for check in checks(Near)}
    for name in ("eval determinism", "gradients", "second device"):
        assert named[name].result() == (name, "ok", "")


WITHOUT_TERMS = {name: each for name, each in Near.checked_with["partners"].items() if name != "loss"}


def together(prior, partners):
    """The result of the check of a prior in a model with its partners."""
    return next(check for check in checks(prior, partners=partners) if check.name == "together").result()


def test_a_prior_whose_partners_are_no_terms_is_trained_by_the_density_of_the_draws():
    assert together(Near, WITHOUT_TERMS) == ("together", "ok", "")


def test_a_prior_that_none_of_its_terms_reads_is_told_so():
    message = together(Near, WITHOUT_TERMS | {"loss": "reconstruction"}).message
    assert "training moves none of its parameters (prior.inputs): no term depends on them; name one" in message


class Moments(FittedPrior):
    """N(m, s² I), with m and s of the latents of the training data."""

    class Config(FittedPrior.Config):
        name: Literal["of-test-moments"] = "of-test-moments"

    def __init__(self, config, latent_shape):
        super().__init__(config, latent_shape)
        self.mean, self.scale = nn.Parameter(torch.zeros(latent_shape)), nn.Parameter(torch.ones(()))

    @torch.no_grad()
    def fit(self, z):
        self.mean.copy_(z.mean(0))
        self.scale.copy_(z.std())

    def log_prob(self, z):
        each = torch.distributions.Normal(self.mean, self.scale, validate_args=False).log_prob(z)
        return each.flatten(z.ndim - self.mean.ndim).sum(-1)

    def sample(self, n):
        return self.mean + self.scale * normal(n, *self.mean.shape, batch=0, like=self.mean)


def test_a_prior_that_is_fitted_after_training_need_not_move_in_it():
    assert together(Moments, {"sampler": "gaussian"}) == ("together", "ok", "")


def test_what_moves_neither_with_the_part_nor_with_the_model_is_named_with_its_line(failures):
    messages = failures(Apart)
    assert "on another device it fails" in messages["second device"]
    assert "(test_priors.py:" in messages["second device"]


def test_a_prior_need_not_give_the_density_of_no_draws(failures):
    assert failures(Independent) == {}
