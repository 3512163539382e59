"""The parts put together: one model class for every system.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genkit.config import RunConfig
from genkit.data import DataSignature, as_float
from genkit.errors import ComponentError, DataError, GenkitError
from genkit.interfaces import Component, Decoder, Encoder, Forward, Likelihood, Loss, Sampler, Shape
from genkit.registry import registry

BATCH = 1024


class Model(nn.Module):
    """Encoder, sampler, decoder and likelihood, with the loss terms that they are fitted by.

    `config` and `data` say what the model was built from and for; both are None for a model put together in Python.
    """

    def __init__(
        self,
        encoder: Encoder,
        sampler: Sampler,
        decoder: Decoder,
        likelihood: Likelihood,
        losses: Mapping[str, Loss],
        shape: Shape,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.sampler = sampler
        self.decoder = decoder
        self.likelihood = likelihood
        self.losses = nn.ModuleDict(losses)
        self.shape = tuple(shape)
        self.draws = max((loss.draws for loss in losses.values()), default=1)
        self.config: RunConfig | None = None
        self.data: DataSignature | None = None

    def forward(self, x: Tensor, draws: int | None = None) -> Forward:
        """One pass: x (B, *shape), with K = `draws` draws from q(z|x), by default as many as the terms need."""
        latent = self.sampler(self.encoder(x), self.draws if draws is None else draws)
        params = self.decoder(latent.z.flatten(0, 1)).unflatten(0, latent.z.shape[:2])
        return Forward(x, latent, params, self.likelihood.log_prob(x, params), self)

    @property
    def device(self) -> torch.device:
        """Where the model's parameters are."""
        return next(self.parameters()).device

    def encode(self, x: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """The points in latent space that stand for data: x (N, *shape) -> (N, *latent_shape).

        Always the same for the same x: the posterior mean, never a draw. uint8 stands for x / 255.
        """
        return self._streamed(lambda batch: self.sampler(self.encoder(batch), 0).mean, self._checked(x))

    def decode(self, z: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """The mean of p(x|z): z (N, *latent_shape) -> (N, *shape)."""
        z = _tensor(z)
        if tuple(z.shape[1:]) != self.sampler.latent_shape:
            raise DataError(f"decode takes z of shape (N, {_commas(self.sampler.latent_shape)}), not {tuple(z.shape)}")
        return self._streamed(lambda batch: self.likelihood.mean(self.decoder(batch)), z.to(torch.float32))

    def reconstruct(self, x: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """`decode(encode(x))`: (N, *shape) -> (N, *shape)."""
        return self.decode(self.encode(x))

    def sample(self, n: int, noise: bool = False) -> Tensor:
        """Generate n data (n, *shape): the mean of p(x|z) for z from the prior; with `noise`, a draw from p(x|z)."""
        if n < 0:
            raise DataError(f"sample cannot make {n} data")
        read = self.likelihood.sample if noise else self.likelihood.mean
        with evaluating(self):
            sizes = [min(BATCH, n - start) for start in range(0, n, BATCH)]
            parts = [read(self.decoder(self.sampler.prior(size))) for size in sizes]
        return torch.cat(parts) if parts else torch.empty(0, *self.shape, device=self.device)

    def _checked(self, x: Tensor | np.ndarray[Any, Any]) -> Tensor:
        x = _tensor(x)
        if tuple(x.shape[1:]) != self.shape:
            raise DataError(f"the model takes data of shape (N, {_commas(self.shape)}), not {tuple(x.shape)}")
        return x

    def _streamed(self, function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """`function` over batches of inputs, in eval mode and without gradients."""
        with evaluating(self):
            parts = [function(as_float(batch.to(self.device))) for batch in inputs.split(BATCH)]
        return torch.cat(parts)


def _tensor(values: Tensor | np.ndarray[Any, Any]) -> Tensor:
    """The values as a tensor, whatever the strides and flags of an array."""
    return values if isinstance(values, Tensor) else torch.from_numpy(np.require(values, requirements=["C", "W"]))


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside the block."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def build(config: RunConfig, shape: Shape) -> Model:
    """The model that a config describes, for data of a shape. Parameters are drawn from torch's current random state.

    Raises:
        ComponentError: a part cannot be built, two parts do not fit, or a term needs what the sampler does not give.
    """
    encoder: Encoder = _make("encoder", config.encoder, shape)
    sampler: Sampler = _make("sampler", config.sampler, encoder.out_shape)
    likelihood: Likelihood = _make("likelihood", config.likelihood, shape)
    decoder: Decoder = _make("decoder", config.decoder, sampler.latent_shape, likelihood.params_shape)
    losses: dict[str, Loss] = {}
    for term in config.loss:
        losses[_new_name(term.name, losses)] = _make("loss", term, shape)
    model = Model(encoder, sampler, decoder, likelihood, losses, shape)
    model.config = config
    _check_fit(model, config)
    return model


def _make(kind: str, config: Component.Config, *arguments: Any) -> Any:
    component: Any = registry().find(kind, config.name)
    try:
        return component(config, *arguments)
    except GenkitError:
        raise
    except Exception as error:
        shapes = " and ".join(str(argument) for argument in arguments)
        raise ComponentError(
            f"{kind} '{config.name}' cannot be built for shape {shapes}: {type(error).__name__}: {error}"
        ) from error


def _new_name(name: str, taken: Mapping[str, Any]) -> str:
    """The name itself, or name-2, name-3, ... where a config has a term twice."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _check_fit(model: Model, config: RunConfig) -> None:
    """Run two zeros through the parts, one after the other, and name the first that does not keep its word."""
    b, k = 2, max(model.draws, 1)
    with torch.random.fork_rng(), evaluating(model):
        x = torch.zeros(b, *model.shape)
        features = _tried(f"encoder '{config.encoder.name}'", (b, *model.encoder.out_shape), model.encoder, x)
        sampler = f"sampler '{config.sampler.name}'"
        latent = _tried(sampler, None, model.sampler, features, k)
        latent_shape = model.sampler.latent_shape
        _same_shape(f"{sampler} (z)", latent.z, (k, b, *latent_shape))
        _same_shape(f"{sampler} (mean)", latent.mean, (b, *latent_shape))
        _same_shape(f"{sampler} (prior)", model.sampler.prior(3), (3, *latent_shape))
        params_shape = model.likelihood.params_shape
        params = _tried(
            f"decoder '{config.decoder.name}'", (k * b, *params_shape), model.decoder, latent.z.flatten(0, 1)
        )
        params = params.unflatten(0, (k, b))
        likelihood = f"likelihood '{config.likelihood.name}'"
        log_prob = _tried(likelihood, (k, b), model.likelihood.log_prob, x, params)
        _same_shape(f"{likelihood} (mean)", model.likelihood.mean(params), (k, b, *model.shape))
        passed = Forward(x, latent, params, log_prob, model)
        for name, loss in model.losses.items():
            assert isinstance(loss, Loss)
            for need in loss.needs:
                if getattr(latent, need) is None:
                    raise ComponentError(f"loss '{name}' needs a sampler with {_NEEDS[need]}; {sampler} has none")
            value = _tried(f"loss '{name}'", None, loss, passed)
            if value.shape not in ((), (b,)):
                raise ComponentError(f"loss '{name}' gives shape {tuple(value.shape)} for {b} data; it owes () or (B,)")


_NEEDS = {"kl": "a KL divergence", "log_ratio": "a density"}


def _tried(who: str, shape: Shape | None, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        result = function(*arguments)
    except Exception as error:
        given = ", ".join(str(tuple(a.shape)) for a in arguments if isinstance(a, Tensor))
        raise ComponentError(f"{who} fails on input of shape {given}: {type(error).__name__}: {error}") from error
    if shape is not None:
        _same_shape(who, result, shape)
    return result


def _same_shape(who: str, value: Tensor, owed: Shape) -> None:
    if tuple(value.shape) != tuple(owed):
        raise ComponentError(f"{who} gives shape {tuple(value.shape)} where {tuple(owed)} is needed (batch included)")


def _commas(shape: Shape) -> str:
    return ", ".join(map(str, shape))
