"""The parts of a model as one network, and the passes through it.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Self

import torch
from torch import Tensor, nn

from genkit.config import RunConfig
from genkit.data.dataset import DataSignature
from genkit.data.steps import beside as standing_beside
from genkit.data.transforming import Chain
from genkit.errors import ConfigError
from genkit.interfaces import (
    AutoregressiveDecoder,
    Component,
    Decoder,
    Encoder,
    FactorizedLikelihood,
    FittedPrior,
    Forward,
    Latent,
    LearnedLoss,
    Likelihood,
    Loss,
    Part,
    Prior,
    Sampler,
    Schema,
    Shape,
)
from genkit.interfaces.component import MASK
from genkit.model.batches import Batches
from genkit.model.conditions import NOTHING, Beside, Conditions, widen
from genkit.settings.base import nearest


class Network(nn.Module):
    """Encoder, sampler, decoder and likelihood, with their loss terms, and the passes through them.

    Without an encoder the model only generates: the decoder reads draws from the sampler's prior.

    `config` is the config that the model was built from, and `data` describes its data; both are None for a model that
    was put together in Python.
    """

    path: str | None = None
    """The run or the file that the model was loaded from, or the run that trains it: what leads to its data."""

    def __init__(
        self,
        encoder: Encoder | None,
        sampler: Sampler,
        decoder: Decoder,
        likelihood: Likelihood,
        losses: Mapping[str, Loss],
        shape: Shape,
        prior: Prior | None = None,
        conditions: Conditions | None = None,
        schema: Schema | None = None,
    ) -> None:
        super().__init__()
        self.encoder, self.sampler, self.prior, self.conditions = encoder, sampler, prior, conditions
        self.decoder, self.likelihood = decoder, likelihood
        self.losses = nn.ModuleDict(losses)
        self.shape = tuple(shape)
        self.schema = schema or Schema(self.shape)
        self.is_padded = self.schema.is_padded
        self.frozen: list[nn.Module] = []
        """The parts that are not fitted."""
        self.draws = max((loss.draws for loss in losses.values()), default=1)
        self.generates = any("generated" in loss.needs for loss in losses.values())
        self.critics = {name: loss for name, loss in losses.items() if isinstance(loss, LearnedLoss)}
        asked = [*(() if conditions is None else conditions.side), *((MASK,) if self.is_padded else ())]
        self.encoder_inputs = self._names(asked, encoder, sampler)
        """The side data that encoding takes beside data."""
        self.decoder_inputs = self._names(asked, decoder, likelihood)
        """The side data that decoding and sampling take beside latents."""
        self.reads = self._names(self.inputs, *losses.values())
        """The side data that a training step reads: `inputs`, and those of the terms."""
        self.condition_size = 0 if conditions is None else conditions.size
        """The width C of the condition; 0: there is none."""
        self.batches = {work: Batches() for work in ("encode", "decode", "sample")}
        self.transforms, self.encoder_transforms = Chain(), Chain()
        """What makes the model's units (as in `forward`) of the data's own, and of these what the encoder sees."""
        self.autocast: torch.dtype | None = None
        """The type in which encoder and decoder compute; None: float32, as all else always does."""
        self.config: RunConfig | None = None
        self.data: DataSignature | None = None

    def freeze(self, parts: Iterable[str]) -> None:
        """Let parts be as they are: their parameters are not fitted, and they stay in evaluation mode.

        Raises:
            ConfigError: the model has no such part.
        """
        own = {name for name, _ in self.named_children()}
        for name in parts:
            if name not in own:
                raise ConfigError(f"init.freeze: the model has no part '{name}'; {nearest(name, own)}")
            self.frozen.append(self.get_submodule(name).requires_grad_(False).eval())

    def train(self, mode: bool = True) -> Self:
        """Training mode, or evaluation mode, for all parts but the frozen ones."""
        super().train(mode)
        for part in self.frozen:
            part.eval()
        return self

    def forward(self, x: Tensor, draws: int | None = None, side: Mapping[str, Tensor] = NOTHING) -> Forward:
        """One pass over x (B, *shape), with K = `draws` draws from q(z|x), by default as many as the terms need.

        Here and in `posterior` and `decoded`, x is in the model's units, which the transforms make of the data's own.
        `side` holds the side data that the model `reads`, (B, ...) each.
        """
        latent = params = log_prob = generated = drawn = None
        beside = self.beside(side)
        if self.encoder is not None:
            latent = self._posterior(x, self.draws if draws is None else draws, beside)
            flat = self.params(latent.z.flatten(0, 1), beside, len(latent.z), x)
            params = flat.unflatten(0, latent.z.shape[:2])
            log_prob = self.log_prob(x, params, beside)
        if self.generates:
            drawn = self.draw(len(x))
            generated = self.there(self._decoded(drawn, beside), beside)
        seen = self.there(x, beside)
        return Forward(seen, latent, params, log_prob, generated, self.likelihood, beside.condition, drawn)

    def _names(self, names: Iterable[str], *parts: Component | None) -> tuple[str, ...]:
        """Names of side data, with those that the parts read, and of those that there are that they may read."""
        reads = {name for part in parts for name in getattr(part, "reads", ())}
        may_read = {name for part in parts for name in getattr(part, "may_read", ())}
        return tuple(sorted({*names, *reads, *(may_read & self.schema.side.keys())}))

    @property
    def parts(self) -> dict[str, Part]:
        """The parts that the model has, by their kinds, and the terms as `loss.NAME`."""
        kinds = ("encoder", "sampler", "prior", "decoder", "likelihood")
        parts = {kind: getattr(self, kind) for kind in kinds if getattr(self, kind) is not None}
        return parts | {f"loss.{name}": loss for name, loss in self.losses.items()}

    @property
    def inputs(self) -> tuple[str, ...]:
        """The side data that the model takes, encoding and decoding."""
        return tuple(sorted({*self.encoder_inputs, *self.decoder_inputs}))

    def beside(self, side: Mapping[str, Tensor]) -> Beside:
        """The side data of a batch, and the condition that they make."""
        return Beside(side, None if self.conditions is None else self.conditions(side))

    def posterior(self, x: Tensor, draws: int, side: Mapping[str, Tensor] = NOTHING) -> Latent:
        """q(z|x) of data x (B, *shape) with their side data, and draws from it; the model has an encoder."""
        return self._posterior(x, draws, self.beside(side))

    def _posterior(self, x: Tensor, draws: int, beside: Beside) -> Latent:
        encoder = self.encoder
        assert encoder is not None
        features = self._through(encoder, self.widened(x, beside), **beside.of(encoder))
        latent: Latent = self.sampler(features, draws, **beside.of(self.sampler))
        if draws == 0 or latent.log_q is None or not self.has_own_prior:
            return latent
        assert self.prior is not None
        return latent._replace(kl=None, log_ratio=latent.log_q - self.prior.log_prob(latent.z))

    def there(self, x: Tensor, beside: Beside) -> Tensor:
        """Data x (B, *shape), with 0 at the steps of series that are not there."""
        return x * standing_beside(beside.side[MASK], x) if self.is_padded else x

    def log_prob(self, x: Tensor, params: Tensor, beside: Beside) -> Tensor:
        """Log p(x|z) in nats: x (B, *shape), params (K, B, *params_shape) -> (K, B); of the steps that are there."""
        keywords = beside.of(self.likelihood)
        if not self.is_padded or not isinstance(self.likelihood, FactorizedLikelihood):
            plain: Tensor = self.likelihood.log_prob(x, params, **keywords)
            return plain
        return self.there(self.likelihood.log_density(x, params, **keywords), beside).flatten(2).sum(2)

    def widened(self, x: Tensor, beside: Beside) -> Tensor:
        """Data x (B, *shape) as the encoder takes them: transformed for it, without padding, and with the condition."""
        if len(self.encoder_transforms):
            x = self.encoder_transforms(x)
        x = self.there(x, beside)
        flat = beside.condition is not None and self.encoder is not None and self.encoder.flat
        return widen(x.flatten(1) if flat else x, beside.condition)

    def params(self, z: Tensor, beside: Beside, draws: int = 1, x: Tensor | None = None) -> Tensor:
        """The decoder's output for z (K · B, *latent_shape), with K = `draws`.

        A decoder that generates in steps reads the data x (B, *shape) themselves.
        """
        seen = () if x is None or not self.in_steps else (self.there(x, beside).repeat(draws, *[1] * (x.ndim - 1)),)
        if draws != 1:
            beside = beside.repeated(draws)
        return self._through(self.decoder, widen(z, beside.condition), *seen, **beside.of(self.decoder))

    def _through(self, network: nn.Module, *inputs: Tensor, **keywords: Tensor) -> Tensor:
        if self.autocast is None:
            plain: Tensor = network(*inputs, **keywords)
            return plain
        with torch.autocast(inputs[0].device.type, self.autocast):
            output: Tensor = network(*inputs, **keywords)
        return output.float()

    @property
    def in_steps(self) -> bool:
        """Whether the decoder generates data step by step, and reads those before in training."""
        return isinstance(self.decoder, AutoregressiveDecoder)

    @property
    def has_own_prior(self) -> bool:
        """Whether p(z) is the config's prior: one that is fitted after training is so only from then on."""
        if not isinstance(self.prior, FittedPrior):
            return self.prior is not None
        if self.training or self.prior.is_fitted.is_meta:  # without numbers nothing is fitted
            return False
        return bool(self.prior.is_fitted)

    @property
    def has_prior(self) -> bool:
        """Whether there is a p(z) to draw from."""
        return self.sampler.has_prior or self.has_own_prior

    def draw(self, n: int) -> Tensor:
        """Draw n times from p(z): (n, *latent_shape)."""
        if self.has_own_prior:
            assert self.prior is not None
            return self.prior.sample(n)
        return self.sampler.prior(n)

    def decoded(self, z: Tensor, side: Mapping[str, Tensor] = NOTHING, noise: bool = False) -> Tensor:
        """The means of p(x|z), or draws from it, for z (B, *latent_shape) with their side data: (B, *shape).

        A decoder that generates in steps gives the mean of each step given the means before it, which is no mean of
        p(x|z), or draws each step given the draws before it, which is a draw from p(x|z).
        """
        return self._decoded(z, self.beside(side), noise)

    def _decoded(self, z: Tensor, beside: Beside, noise: bool = False) -> Tensor:
        value_of, keywords = self.likelihood.sample if noise else self.likelihood.mean, beside.of(self.likelihood)
        if not isinstance(self.decoder, AutoregressiveDecoder):
            return value_of(self.params(z, beside), **keywords)
        x = z.new_zeros(z.shape[0], *self.shape)
        for step in range(self.decoder.steps):
            given_before = self.params(z, beside, x=x)
            x = torch.where(self.decoder.order == step, value_of(given_before, **keywords), x)
        return x

    @property
    def device(self) -> torch.device:
        """The device of the model's parameters."""
        return next(self.parameters()).device

    @property
    def sum_dtype(self) -> torch.dtype:
        """The type in which figures are summed: float64 where the device has it."""
        return torch.float32 if self.device.type == "mps" else torch.float64


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
