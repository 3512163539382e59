"""Cases: a component built for one shape, with its inputs and outputs in one form for every kind.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor

from genkit.interfaces import Decoder, Forward, Latent, Shape
from genkit.testing.passes import random_pass, tiny_model
from genkit.training.seeds import seed_torch

Tensors = tuple[Tensor, ...]


class Case(ABC):
    """A part under test.

    Args:
        part: the component.
        arguments: the shapes that the component was built for.
    """

    def __init__(self, part: Any, arguments: tuple[Shape, ...]) -> None:
        self.part = part
        self.arguments = arguments
        self.shape = arguments[-1]

    @property
    @abstractmethod
    def batch(self) -> tuple[int, ...]:
        """The batch dimension of each input."""

    @abstractmethod
    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Random inputs for `count` data; gradients go back to the first."""

    @abstractmethod
    def read(self, part: Any, *inputs: Tensor) -> Tensors:
        """All outputs of a part for the inputs, with the data along the first dimension."""

    def settled(self, part: Any, *inputs: Tensor) -> Tensors:
        """The outputs without those that are drawn at random."""
        return self.read(part, *inputs)


class NetworkCase(Case):
    """An encoder or a decoder."""

    batch = (0,)

    @property
    def out_shape(self) -> Any:
        """The shape of the output per datum."""
        return self.shape if isinstance(self.part, Decoder) else getattr(self.part, "out_shape", None)

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Values from 0 to 1 for an encoder, normal ones for a decoder: (B, *shape)."""
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn if isinstance(self.part, Decoder) else torch.rand
        return (draw(count, *self.arguments[0], generator=generator),)

    def read(self, part: Any, *inputs: Tensor) -> Tensors:
        """The output (B, *out_shape)."""
        return (part(*inputs),)


class SamplerCase(Case):
    """A sampler, built for a shape of features."""

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
        """The posteriors of `count` data whose features have the standard deviation `spread`."""
        latent: Latent = self.part(self.inputs(count)[0] * spread, draws)
        return latent


class PriorCase(Case):
    """A prior, built for a shape of latents."""

    batch = (0,)

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Latents (B, *latent_shape)."""
        return (torch.randn(count, *self.shape, generator=torch.Generator().manual_seed(seed)),)

    def read(self, part: Any, *inputs: Tensor) -> Tensors:
        """log p(z) (B,)."""
        return (part.log_prob(*inputs),)


class LikelihoodCase(Case):
    """A likelihood; gradients go back to its parameters, the decoder's output."""

    batch = (0, 0)

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Parameters (B, *params_shape), and data (B, *shape) drawn from p(x|z) with these parameters."""
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
    """A loss term, with a small model that makes its passes."""

    batch = (1, 0, 0, 1, 1, 1, 0, 0)

    def __init__(self, part: Any, arguments: tuple[Shape, ...]) -> None:
        super().__init__(part, arguments)
        self.model = tiny_model(self.shape)
        self.draws = max(1, int(part.draws))

    def passed(self, count: int, seed: int = 0) -> Forward:
        """A pass of `count` data."""
        return random_pass(self.model, count, self.draws, seed)

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """The tensors of a pass, the data last."""
        passed = self.passed(count, seed)
        assert passed.latent is not None
        tensors = (*passed.latent[:4], passed.params, passed.log_prob, passed.generated, passed.x)
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
