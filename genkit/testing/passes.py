"""Passes of a small model, on which loss terms are checked; its parts are not registered.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from genkit.interfaces import (
    ENCODER_NEEDS,
    Component,
    Decoder,
    Encoder,
    Forward,
    Latent,
    Likelihood,
    Need,
    Sampler,
    Shape,
)
from genkit.model.model import Model
from genkit.parallel.draws import normal
from genkit.training.seeds import seed_torch

D = 3
NAME: Literal["genkit-testing"] = "genkit-testing"
OPTIONS = Component.Config(name=NAME)


class TinyEncoder(Encoder):
    """One linear layer: x (B, *shape) -> (B, 6)."""

    class Config(Encoder.Config):
        """There are no options."""

        name: Literal["genkit-testing"] = NAME

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.out_shape = (6,)
        self.layer = nn.Linear(math.prod(shape), 6)

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, 6)."""
        features: Tensor = self.layer(x.flatten(1))
        return features


class TinySampler(Sampler):
    """q(z|x) = N(mean, diag exp(log_var)) with means from 0 to 1, and p(z) = N(0, I)."""

    bounds = (0.0, 1.0)
    has_density = True
    """Whether it gives a log-ratio, as a posterior without a density does not."""

    class Config(Sampler.Config):
        """There are no options."""

        name: Literal["genkit-testing"] = NAME

    def __init__(self, config: Component.Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.latent_shape = (D,)
        self.heads = nn.Linear(math.prod(features or ()), 2 * D)

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """(B, 6) -> Latent."""
        mean, log_var = self.heads(features).chunk(2, 1)
        mean = torch.sigmoid(mean)
        eps = normal(draws, *mean.shape, batch=1, like=mean)
        z = mean + torch.exp(log_var / 2) * eps
        kl = (mean.square() + log_var.exp() - 1 - log_var) / 2
        log_ratio = (z.square() - eps.square() - log_var).sum(-1) / 2
        return Latent(z, mean, kl, log_ratio if self.has_density else None)

    def prior(self, n: int) -> Tensor:
        """N draws from N(0, I): (n, D)."""
        assert self.has_prior, "this model has no prior to draw from"
        return normal(n, D, batch=0, like=self.heads.weight)


class TinyDecoder(Decoder):
    """One linear layer: z (B, D) -> (B, *out_shape)."""

    class Config(Decoder.Config):
        """There are no options."""

        name: Literal["genkit-testing"] = NAME

    def __init__(self, config: Component.Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__(config, latent_shape, out_shape)
        self.out_shape = out_shape
        self.layer = nn.Linear(math.prod(latent_shape), math.prod(out_shape))

    def forward(self, z: Tensor) -> Tensor:
        """(B, D) -> (B, *out_shape)."""
        params: Tensor = torch.sigmoid(self.layer(z)).unflatten(1, self.out_shape)
        return params


class TinyLikelihood(Likelihood):
    """p(x|z) = N(x; params, I)."""

    class Config(Likelihood.Config):
        """There are no options."""

        name: Literal["genkit-testing"] = NAME

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.params_shape = shape

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """(B, *shape), (K, B, *shape) -> (K, B)."""
        return -((x - params).square() / 2 + math.log(2 * math.pi) / 2).flatten(2).sum(2)

    def mean(self, params: Tensor) -> Tensor:
        """The parameters themselves."""
        return params

    def sample(self, params: Tensor) -> Tensor:
        """The parameters and Gaussian noise."""
        return params + torch.randn_like(params)


def tiny_model(shape: Shape) -> Model:
    """A model of these parts, with the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        seed_torch(0)
        encoder, sampler = TinyEncoder(OPTIONS, shape), TinySampler(OPTIONS, (6,))
        decoder, likelihood = TinyDecoder(OPTIONS, (D,), shape), TinyLikelihood(OPTIONS, shape)
        model = Model(encoder, sampler, decoder, likelihood, {}, shape)
    model.generates = True
    return model


def random_pass(model: Model, count: int, draws: int, seed: int = 0) -> Forward:
    """A pass of random data with values from 0 to 1; the same seed gives the same pass."""
    with torch.random.fork_rng(devices=[]):
        seed_torch(seed)
        return model(torch.rand(count, *model.shape), draws)  # type: ignore[no-any-return]


def twice(passed: Forward) -> Forward:
    """The pass of a batch that holds each datum twice."""
    assert passed.latent is not None
    z, mean, kl, log_ratio = (_joined(value, 0 if n in (1, 2) else 1) for n, value in enumerate(passed.latent[:4]))
    assert z is not None
    assert mean is not None
    x, generated = _joined(passed.x, 0), _joined(passed.generated, 0)
    assert x is not None
    latent = Latent(z, mean, kl, log_ratio)
    return Forward(x, latent, _joined(passed.params, 1), _joined(passed.log_prob, 1), generated, passed.likelihood)


def drawn_twice(passed: Forward) -> Forward:
    """The pass with each of its draws twice."""
    assert passed.latent is not None
    z, mean, kl, log_ratio = passed.latent[:4]
    twofold = _joined(z, 0)
    assert twofold is not None
    latent = Latent(twofold, mean, kl, _joined(log_ratio, 0))
    params, log_prob = _joined(passed.params, 0), _joined(passed.log_prob, 0)
    return Forward(passed.x, latent, params, log_prob, passed.generated, passed.likelihood)


def lacking(needs: tuple[Need, ...]) -> list[Need]:
    """What a model may lack if its terms have only these needs."""
    each: list[Need] = ["kl", "log_ratio", "generated"]
    if not ENCODER_NEEDS & set(needs):
        each.append("encoder")
    return [need for need in each if need not in needs]


def without(passed: Forward, need: Need) -> Forward:
    """The pass of a model that lacks one thing."""
    if need == "generated":
        return passed._replace(generated=None)
    if need == "encoder":
        return passed._replace(latent=None, params=None, log_prob=None)
    assert passed.latent is not None
    z, mean, kl, log_ratio = passed.latent[:4]
    latent = Latent(z, mean, None, log_ratio) if need == "kl" else Latent(z, mean, kl, None)
    return passed._replace(latent=latent)


def widened(passed: Forward, axis: int, likelihood: Likelihood) -> Forward:
    """The pass with a copy beside each datum, along one of its axes, and beside each code; all its draws are equal."""
    assert passed.latent is not None
    z, mean, kl, log_ratio = passed.latent[:4]
    assert kl is not None
    assert log_ratio is not None
    assert passed.params is not None
    assert passed.log_prob is not None
    latent = Latent(torch.cat([z, z], -1), torch.cat([mean, mean], -1), torch.cat([kl, kl], 1), 2 * log_ratio)
    x, generated = _joined(passed.x, axis + 1), _joined(passed.generated, axis + 1)
    assert x is not None
    return Forward(x, latent, _joined(passed.params, axis + 2), 2 * passed.log_prob, generated, likelihood)


def with_equal_draws(passed: Forward) -> Forward:
    """The pass with its first draw in place of every other."""
    assert passed.latent is not None
    z, mean, kl, log_ratio = passed.latent[:4]
    latent = Latent(_repeated(z), mean, kl, None if log_ratio is None else _repeated(log_ratio))
    params, log_prob = passed.params, passed.log_prob
    assert params is not None
    assert log_prob is not None
    return Forward(passed.x, latent, _repeated(params), _repeated(log_prob), passed.generated, passed.likelihood)


def _repeated(value: Tensor) -> Tensor:
    return value[:1].expand_as(value)


def _joined(value: Tensor | None, dimension: int) -> Tensor | None:
    return None if value is None else torch.cat([value, value], dimension)
