"""A component built for one shape: what goes in, and what can be read of it, in one form for every kind.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from genkit.interfaces import Decoder, Forward, Latent, Shape
from genkit.testing.passes import made, tiny_model
from genkit.training.seeds import seed_torch

Tensors = tuple[Tensor, ...]


class Case(ABC):
    """A part under test.

    Args:
        part: the component.
        arguments: what it was built for.
    """

    def __init__(self, part: Any, arguments: tuple[Shape, ...]) -> None:
        self.part = part
        self.arguments = arguments
        self.shape = arguments[-1]

    @property
    @abstractmethod
    def batch(self) -> tuple[int, ...]:
        """The dimension of each input that counts the data."""

    @abstractmethod
    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Random input of `count` data; what comes first is what gradients go back to."""

    @abstractmethod
    def read(self, part: Any, *inputs: Tensor) -> Tensors:
        """All that a part of this kind computes of the inputs, the data along the first dimension."""

    def settled(self, part: Any, *inputs: Tensor) -> Tensors:
        """The same without what is drawn at random."""
        return self.read(part, *inputs)


class NetworkCase(Case):
    """An encoder or a decoder."""

    batch = (0,)

    @property
    def out_shape(self) -> Any:
        """Of what it owes for a datum."""
        return self.shape if isinstance(self.part, Decoder) else getattr(self.part, "out_shape", None)

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Values from 0 to 1 for an encoder, normal ones for a decoder: (B, *shape)."""
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn if isinstance(self.part, Decoder) else torch.rand
        return (draw(count, *self.arguments[0], generator=generator),)

    def read(self, part: Any, *inputs: Tensor) -> Tensors:
        """Its output."""
        return (part(*inputs),)


class SamplerCase(Case):
    """A sampler; its shape is that of features."""

    batch = (0,)

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Features (B, *features)."""
        return (torch.randn(count, *self.shape, generator=torch.Generator().manual_seed(seed)),)

    def read(self, part: Any, *inputs: Tensor) -> Tensors:
        """Mean, KL, two draws (B, K, *latent_shape) and their log-ratio (B, K)."""
        latent = part(*inputs, 2)
        drawn = (latent.z, latent.log_ratio)
        return (*_some(latent.mean, latent.kl), *(value.transpose(0, 1) for value in _some(*drawn)))

    def settled(self, part: Any, *inputs: Tensor) -> Tensors:
        """Mean and KL."""
        latent = part(*inputs, 0)
        return _some(latent.mean, latent.kl)

    def posterior(self, count: int, draws: int, spread: float = 1.0) -> Latent:
        """What it makes of `count` data whose features have this standard deviation."""
        latent: Latent = self.part(self.inputs(count)[0] * spread, draws)
        return latent


class LikelihoodCase(Case):
    """A likelihood; the decoder's numbers are what gradients go back to."""

    batch = (0, 0)

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Parameters (B, *params_shape), and data (B, *shape) drawn from what they stand for."""
        generator = torch.Generator().manual_seed(seed)
        params = torch.randn(count, *self.part.params_shape, generator=generator)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            seed_torch(seed)
            return params, self.part.sample(params)

    def read(self, part: Any, *inputs: Tensor) -> Tensors:
        """log p(x|z) (B, 1) and the mean (B, *shape)."""
        params, x = inputs
        return part.log_prob(x, params.unsqueeze(0)).transpose(0, 1), part.mean(params)


class LossCase(Case):
    """A loss term, on the pass of a small model of its own."""

    batch = (1, 0, 0, 1, 1, 1, 0, 0)

    def __init__(self, part: Any, arguments: tuple[Shape, ...]) -> None:
        super().__init__(part, arguments)
        self.model = tiny_model(self.shape)
        self.draws = max(1, int(part.draws))

    def passed(self, count: int, seed: int = 0) -> Forward:
        """One pass of `count` data."""
        return made(self.model, count, self.draws, seed)

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """The tensors of a pass, the data last."""
        passed = self.passed(count, seed)
        assert passed.latent is not None
        tensors = (*passed.latent, passed.params, passed.log_prob, passed.generated, passed.x)
        return tuple(tensor.detach() for tensor in tensors if tensor is not None)

    def read(self, part: Any, *inputs: Tensor) -> Tensors:
        """The term: (B,) or ()."""
        return (part(self.again(*inputs)),)

    def again(self, *inputs: Tensor) -> Forward:
        """The pass that holds these tensors."""
        z, mean, kl, log_ratio, params, log_prob, generated, x = inputs
        if not torch.compiler.is_compiling():
            self.model.to(x.device, x.dtype)
        return Forward(x, Latent(z, mean, kl, log_ratio), params, log_prob, generated, self.model.likelihood)


def _some(*values: Tensor | None) -> Tensors:
    return tuple(value for value in values if value is not None)
