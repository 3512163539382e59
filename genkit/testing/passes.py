"""Passes of a small model, on which loss terms are checked; its parts are not registered.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit.interfaces import (
    ENCODER_NEEDS,
    Component,
    Decoder,
    Encoder,
    Forward,
    Latent,
    Likelihood,
    Loss,
    Need,
    Sampler,
    Shape,
)
from genkit.model.model import Model
from genkit.parallel.draws import normal
from genkit.testing.supply import Supply
from genkit.training.seeds import seed_torch

D = 3
NAME: Literal["genkit-testing"] = "genkit-testing"
OPTIONS = Component.Config.model_validate({"name": NAME})
EXTRA = "extra."
"""The beginning of the names of tensors that a sampler hands on beside the usual ones."""
OF_A_PASS = ("params", "log_prob", "generated", "condition", "drawn")
"""The tensors of a pass that are neither data nor latents."""
OF_DRAWS = {"z", "log_ratio", "log_q", "params", "log_prob"}
"""The tensors whose first dimension is that of the draws."""


class TinyEncoder(Encoder):
    """One linear layer: x (B, *shape) -> (B, *features)."""

    class Config(Encoder.Config):
        """The shape of the features."""

        name: Literal["genkit-testing"] = NAME
        features: Annotated[tuple[int, ...], Field(description="the shape of the features")] = (6,)

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.out_shape = config.features
        self.layer = nn.Linear(math.prod(shape), math.prod(config.features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, *features)."""
        features: Tensor = self.layer(x.flatten(1)).unflatten(1, self.out_shape)
        return features


class TinySampler(Sampler):
    """q(z|x) = N(mean, diag exp(log_var)) with means from 0 to 1, and p(z) = N(0, I)."""

    bounds = (0.0, 1.0)
    has_density = True
    """Whether it gives a log-ratio, as a posterior without a density does not."""

    class Config(Sampler.Config):
        """The shape of the latents, and whether log q(z|x) is given, as a prior of its own needs it."""

        name: Literal["genkit-testing"] = NAME
        latent: Annotated[tuple[int, ...], Field(description="the shape of the latents")] = (D,)
        gives_log_q: Annotated[bool, Field(description="whether log q(z|x) is given")] = False

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.latent_shape, self.gives_log_q = config.latent, config.gives_log_q
        self.heads = nn.Linear(math.prod(features or ()), 2 * math.prod(config.latent))

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """(B, *features) -> Latent."""
        mean, log_var = self.heads(features.flatten(1)).chunk(2, 1)
        mean = torch.sigmoid(mean)
        eps = normal(draws, *mean.shape, batch=1, like=mean)
        z = mean + torch.exp(log_var / 2) * eps
        kl = (mean.square() + log_var.exp() - 1 - log_var) / 2
        log_ratio = (z.square() - eps.square() - log_var).sum(-1) / 2
        log_q = (
            log_ratio - (z.square() + math.log(2 * math.pi)).sum(-1) / 2
            if self.gives_log_q and self.has_density
            else None
        )
        z, mean = z.unflatten(2, self.latent_shape), mean.unflatten(1, self.latent_shape)
        return Latent(z, mean, kl, log_ratio if self.has_density else None, log_q)

    def prior(self, n: int) -> Tensor:
        """N draws from N(0, I): (n, *latent_shape)."""
        assert self.has_prior, "this model has no prior to draw from"
        return normal(n, *self.latent_shape, batch=0, like=self.heads.weight)


class TinyDecoder(Decoder):
    """One linear layer: z (B, *latent_shape) -> (B, *out_shape)."""

    class Config(Decoder.Config):
        """There are no options."""

        name: Literal["genkit-testing"] = NAME

    def __init__(self, config: Component.Config, latent_shape: Shape, out_shape: Shape) -> None:
        super().__init__(config, latent_shape, out_shape)
        self.out_shape = out_shape
        self.layer = nn.Linear(math.prod(latent_shape), math.prod(out_shape))

    def forward(self, z: Tensor) -> Tensor:
        """(B, *latent_shape) -> (B, *out_shape)."""
        params: Tensor = torch.sigmoid(self.layer(z.flatten(1))).unflatten(1, self.out_shape)
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


class TinyLoss(Loss):
    """The reconstruction: -log p(x|z), averaged over draws."""

    class Config(Loss.Config):
        """There are no options."""

        name: Literal["genkit-testing"] = NAME

    def forward(self, forward: Forward) -> Tensor:
        """A pass -> (B,)."""
        assert forward.log_prob is not None
        return -forward.log_prob.mean(0)


class TinyRatio(TinyLoss):
    """The KL from draws: log q(z|x) - log p(z), averaged over them."""

    needs = ("log_ratio",)

    def forward(self, forward: Forward) -> Tensor:
        """A pass -> (B,)."""
        assert forward.latent is not None
        assert forward.latent.log_ratio is not None
        return forward.latent.log_ratio.mean(0)


def tiny_model(shape: Shape, latent: Shape = (D,), features: Shape = (6,)) -> Model:
    """A model of these parts, with the same weights every time."""
    with torch.random.fork_rng(devices=[]):
        seed_torch(0)
        encoder = TinyEncoder(TinyEncoder.Config(features=features), shape)
        sampler = TinySampler(TinySampler.Config(latent=latent, gives_log_q=True), features)
        decoder, likelihood = TinyDecoder(OPTIONS, latent, shape), TinyLikelihood(OPTIONS, shape)
        model = Model(encoder, sampler, decoder, likelihood, {}, shape)
    model.generates = True
    return model


def random_pass(model: Model, count: int, draws: int, seed: int = 0) -> Forward:
    """A pass of random data with values from 0 to 1; the same seed gives the same pass."""
    with torch.random.fork_rng(devices=[]):
        seed_torch(seed)
        x = torch.rand(count, *model.shape)
        return model(x, draws, sides_of(model, x))  # type: ignore[no-any-return]


def sides_of(model: Model, x: Tensor) -> dict[str, Tensor]:
    """The side data (B, ...) that a model reads, for data x (B, *shape); three kinds of data take turns."""
    return Supply({name: model.schema.side[name] for name in model.reads}).in_turn(len(x), x)


def log_prob_of(model: Model, passed: Forward) -> Tensor:
    """Log p(x|z) of a pass, (K, B), computed from its `params`."""
    assert passed.params is not None
    return model.log_prob(passed.x, passed.params, model.beside(sides_of(model, passed.x)))


def tensors_of(passed: Forward) -> dict[str, tuple[Tensor, int]]:
    """The tensors of a pass by name, each with its batch dimension: 1 where the first is that of draws; x is last."""
    latent = passed.latent
    named: dict[str, Tensor | None] = {} if latent is None else dict(zip(Latent._fields[:-1], latent[:-1], strict=True))
    named |= {f"{EXTRA}{name}": value for name, value in (latent.extra if latent is not None else {}).items()}
    named |= {name: getattr(passed, name) for name in (*OF_A_PASS, "x")}
    return {name: (value, _batch_dimension(name, value)) for name, value in named.items() if value is not None}


def _batch_dimension(name: str, value: Tensor) -> int:
    return int(name in OF_DRAWS or (name == "kl" and value.ndim == 3))


def joined_again(names: Iterable[str], tensors: Iterable[Tensor], likelihood: Likelihood) -> Forward:
    """The pass of tensors that `tensors_of` took apart."""
    values: dict[str, Any] = dict(zip(names, tensors, strict=True))
    latent = None
    if "z" in values:
        extra = {name.removeprefix(EXTRA): value for name, value in values.items() if name.startswith(EXTRA)}
        latent = Latent(**{name: values.get(name) for name in Latent._fields[:-1]}, extra=extra)  # type: ignore[arg-type]
    rest = {name: values.get(name) for name in OF_A_PASS}
    return Forward(x=values["x"], latent=latent, likelihood=likelihood, **rest)


def _changed(passed: Forward, change: Callable[[str, Tensor, int], Tensor]) -> Forward:
    """The pass with other tensors: `change` takes the name of each, the tensor and its batch dimension."""
    values = {name: change(name, *each) for name, each in tensors_of(passed).items()}
    return joined_again(values, values.values(), passed.likelihood)


def twice(passed: Forward) -> Forward:
    """The pass of a batch that holds each datum twice."""
    return _changed(passed, lambda _, value, batch: torch.cat([value, value], batch))


def first(passed: Forward, count: int) -> Forward:
    """The pass of the first `count` data."""
    return _changed(passed, lambda _, value, batch: value.narrow(batch, 0, count))


def drawn_twice(passed: Forward) -> Forward:
    """The pass with each of its draws twice."""
    return _changed(passed, lambda _, value, batch: torch.cat([value, value]) if batch else value)


def with_equal_draws(passed: Forward) -> Forward:
    """The pass with its first draw in place of every other."""
    return _changed(passed, lambda _, value, batch: value[:1].expand_as(value) if batch else value)


def lacking(needs: tuple[Need, ...]) -> list[Need]:
    """What a model may lack if its terms have only these needs."""
    each: list[Need] = ["kl", "log_ratio", "log_q", "generated"]
    if not ENCODER_NEEDS & set(needs):
        each.append("encoder")
    return [need for need in each if need not in needs]


def without(passed: Forward, need: Need) -> Forward:
    """The pass of a model that lacks one thing."""
    if need == "generated":
        return passed._replace(generated=None, drawn=None)
    if need == "encoder":
        return passed._replace(latent=None, params=None, log_prob=None)
    assert passed.latent is not None
    if need == "log_q":
        return passed._replace(latent=passed.latent._replace(log_q=None))
    latent = passed.latent._replace(kl=None) if need == "kl" else passed.latent._replace(log_ratio=None)
    return passed._replace(latent=latent)


def widened(passed: Forward, axis: int, likelihood: Likelihood) -> Forward:
    """The pass with a copy beside each datum, along one of its axes, and beside each code; all its draws are equal."""
    axes = {"z": -1, "mean": -1, "drawn": -1, "kl": -1, "x": axis + 1, "generated": axis + 1, "params": axis + 2}

    def change(name: str, value: Tensor, _: int) -> Tensor:
        if name in ("log_ratio", "log_q", "log_prob"):
            return 2 * value
        return torch.cat([value, value], axes[name]) if name in axes else value

    return _changed(passed, change)._replace(likelihood=likelihood)
