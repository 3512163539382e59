"""The model: one class for every system, made of parts.

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
from genkit.data.checks import check_fit, check_values
from genkit.data.dataset import DataSignature, as_float
from genkit.data.transforming import Chain
from genkit.errors import ComponentError, DataError, TrainingError
from genkit.interfaces import Decoder, Encoder, Forward, LearnedLoss, Likelihood, Loss, Sampler, Shape
from genkit.model.batches import Batches


class Model(nn.Module):
    """Encoder, sampler, decoder and likelihood, with their loss terms.

    Without an encoder the model only generates: the decoder reads draws from the sampler's prior.

    `config` is the config that the model was built from, and `data` describes its data; both are None for a model that
    was put together in Python.
    """

    def __init__(
        self,
        encoder: Encoder | None,
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
        self.generates = any("generated" in loss.needs for loss in losses.values())
        self.critics = {name: loss for name, loss in losses.items() if isinstance(loss, LearnedLoss)}
        self.batches = {work: Batches() for work in ("encode", "decode", "sample")}
        self.transforms = Chain()
        """What is between the data's own units, which the model takes and gives, and those of `forward`."""
        self.autocast: torch.dtype | None = None
        """The type in which encoder and decoder compute; None: float32, as all else always does."""
        self.config: RunConfig | None = None
        self.data: DataSignature | None = None

    def forward(self, x: Tensor, draws: int | None = None) -> Forward:
        """One pass over x (B, *shape), in the model's units.

        There are K = `draws` draws from q(z|x), by default as many as the terms need.
        """
        latent = params = log_prob = generated = None
        if self.encoder is not None:
            latent = self.sampler(self._through(self.encoder, x), self.draws if draws is None else draws)
            params = self._through(self.decoder, latent.z.flatten(0, 1)).unflatten(0, latent.z.shape[:2])
            log_prob = self.likelihood.log_prob(x, params)
        if self.generates:
            generated = self.likelihood.mean(self._through(self.decoder, self.sampler.prior(len(x))))
        return Forward(x, latent, params, log_prob, generated, self.likelihood)

    def _through(self, network: nn.Module, x: Tensor) -> Tensor:
        if self.autocast is None:
            plain: Tensor = network(x)
            return plain
        with torch.autocast(x.device.type, self.autocast):
            output: Tensor = network(x)
        return output.float()

    @property
    def decodes(self) -> bool:
        """Whether it gives data: each of its transforms can be inverted."""
        return self.transforms.inverts

    @property
    def device(self) -> torch.device:
        """The device of the model's parameters."""
        return next(self.parameters()).device

    @property
    def sum_dtype(self) -> torch.dtype:
        """The type in which figures are summed: float64 where the device has it."""
        return torch.float32 if self.device.type == "mps" else torch.float64

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value of the data, for pictures; 0 and 1 where `data` is None."""
        return self.data.range if self.data is not None else (0.0, 1.0)

    def encode(self, x: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """The points in latent space that represent data: x (N, *shape) -> (N, *latent_shape).

        The point is the posterior mean, never a draw: the same x always gives the same point. uint8 is read as x / 255.
        Warns (GenkitWarning) of data far outside the range of the training data.

        Raises:
            DataError: x has another shape, is not finite, or lies outside the likelihood's support.
        """
        encoder = self.encoder
        if encoder is None:
            raise ComponentError("the model has no encoder: it generates, and has no latents of data to give")
        chain = self.transforms
        return self._streamed(lambda batch: self.sampler(encoder(chain(batch)), 0).mean, self.fitting(x), "encode")

    def decode(self, z: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """The mean of p(x|z), brought back by the transforms where there are some: z (N, *latent_shape) -> (N, *shape).

        Raises:
            ComponentError: a transform cannot be inverted.
        """
        z, own = _tensor(z), self.transforms.inverse
        if tuple(z.shape[1:]) != self.sampler.latent_shape:
            raise DataError(f"decode takes z of shape (N, {commas(self.sampler.latent_shape)}), not {tuple(z.shape)}")
        check_values(z, "z")
        return self._streamed(lambda part: own(self.likelihood.mean(self.decoder(part))), z.to(torch.float32), "decode")

    def reconstruct(self, x: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """`decode(encode(x))`: (N, *shape) -> (N, *shape)."""
        return self.decode(self.encode(x))

    def sample(self, n: int, noise: bool = False) -> Tensor:
        """Generate n data (n, *shape): the means of p(x|z) for z from the prior; with `noise`, draws from p(x|z)."""
        parts = list(self.sampled(n, noise))
        return torch.cat(parts) if parts else torch.empty(0, *self.shape, device=self.device)

    def sampled(self, n: int, noise: bool = False) -> Iterator[Tensor]:
        """The data of `sample` in batches (<= 1024, *shape): memory does not grow with n."""
        if n < 0:
            raise DataError(f"sample cannot make {n} data")
        value_of = self.likelihood.sample if noise else self.likelihood.mean

        def drawn(start: int, stop: int) -> Tensor:
            with evaluating(self):
                values = value_of(self.decoder(self.sampler.prior(stop - start)))
                return _finite(self.transforms.inverse(values), "sample")

        return self.batches["sample"].over(n, drawn, self.device)

    def interpolate(self, first: Tensor, last: Tensor, steps: int = 11) -> Tensor:
        """A path between two data x (*shape), decoded from points in equal steps between their codes.

        Returns:
            (steps, *shape): the first and the last are the reconstructions of the two data.
        """
        if steps < 2:
            raise DataError(f"an interpolation has at least its two ends, not {steps} steps")
        start, stop = self.encode(torch.stack([first, last]))
        fraction = torch.linspace(0, 1, steps, device=start.device).view(-1, *[1] * start.ndim)
        return self.decode(torch.lerp(start, stop, fraction))

    def fitting(self, x: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """The data x (N, *shape) as a tensor; raises DataError, and warns, where they do not fit, as `encode` says."""
        x = _tensor(x)
        if tuple(x.shape[1:]) != self.shape:
            raise DataError(f"the model takes data of shape (N, {commas(self.shape)}), not {tuple(x.shape)}")
        name = type(self.likelihood).__name__ if self.config is None else self.config.likelihood.name
        recorded = None if self.data is None else self.data.range
        check_fit(x, self.likelihood.support, recorded, f"likelihood '{name}'", self.transforms)
        return x

    def _streamed(self, function: Callable[[Tensor], Tensor], inputs: Tensor, work: str) -> Tensor:
        """The outputs of `function` over batches of inputs, in eval mode and without gradients."""

        def output(start: int, stop: int) -> Tensor:
            return function(as_float(inputs[start:stop].to(self.device)))

        whole, start = None, 0
        with evaluating(self):
            for part in self.batches[work].over(len(inputs), output, self.device):
                if whole is None:  # all at once, as parts that wait to be joined would take as much again
                    whole = part.new_empty((len(inputs), *part.shape[1:]))
                whole[start : start + len(part)] = _finite(part, work)
                start += len(part)
            return output(0, 0) if whole is None else whole


def _tensor(values: Tensor | np.ndarray[Any, Any]) -> Tensor:
    """The values as a tensor; an array may have any strides and flags."""
    return values if isinstance(values, Tensor) else torch.from_numpy(np.require(values, requirements=["C", "W"]))


def _finite(values: Tensor, work: str) -> Tensor:
    """The values themselves; raises TrainingError where some are not finite."""
    if values.isfinite().all():
        return values
    raise TrainingError(f"{work} gives values that are not finite: the weights have run away; train the model again")


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


def commas(shape: Shape) -> str:
    """The numbers of a shape as text that follows a batch dimension: `1, 28, 28`."""
    return ", ".join(map(str, shape))
