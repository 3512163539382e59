"""Cases: a component built for one shape, with its inputs and outputs in one form for every kind.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit.interfaces import Attached, AutoregressiveDecoder, Decoder, Forward, Latent, Shape
from genkit.model.model import Model
from genkit.testing.passes import joined_again, random_pass, tensors_of
from genkit.testing.supply import Supply, on
from genkit.training.seeds import seed_torch

Tensors = tuple[Tensor, ...]
Keywords = dict[str, Tensor]


class Case(ABC):
    """A part under test.

    Args:
        part: the component.
        arguments: the shapes that the component was built for.
        build: makes a small model around the part, with its partners.
        supply: the side data that the part reads.
        latent: the shape of latents in that model.
    """

    def __init__(
        self, part: Any, arguments: tuple[Shape, ...], build: Callable[[], Model], supply: Supply, latent: Shape
    ) -> None:
        self.part, self.arguments, self.shape = part, arguments, arguments[-1]
        self.build, self.supply, self.latent = build, supply, latent
        if isinstance(part, Attached):
            part.attach(self.model.eval())  # what a partner draws or drops in training is not the part's
            self.part.train()

    @cached_property
    def model(self) -> Model:
        """A small model around the part, with its partners."""
        return self.build()

    def move(self, target: str | torch.dtype) -> None:
        """Bring the part to a device or a type, with the model that it is attached to."""
        self.part.to(target)
        if isinstance(self.part, Attached):
            self.model.to(target)

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch dimension of each input."""
        return (0,) * len(self.inputs(1))

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Random inputs for `count` data, side data last; gradients go back to the first."""
        return (*self.main(count, seed), *self.supply.drawn(count, seed).values())

    def apart(self, inputs: Tensors) -> tuple[Tensors, Keywords]:
        """The inputs without side data, and the side data by name."""
        count = len(inputs) - len(self.supply.sides)
        return inputs[:count], dict(zip(self.supply.sides, inputs[count:], strict=True))

    def read(self, part: Any, *inputs: Tensor) -> Tensors:
        """All outputs of a part for the inputs, with the data along the first dimension."""
        main, side = self.apart(inputs)
        return self.outputs(part, main, side)

    def settled(self, part: Any, *inputs: Tensor) -> Tensors:
        """The outputs without those that are drawn at random."""
        return self.read(part, *inputs)

    @abstractmethod
    def main(self, count: int, seed: int = 0) -> Tensors:
        """Random inputs for `count` data, without side data."""

    @abstractmethod
    def outputs(self, part: Any, main: Tensors, side: Keywords) -> Tensors:
        """The outputs for inputs and side data."""


class NetworkCase(Case):
    """An encoder or a decoder."""

    @property
    def out_shape(self) -> Any:
        """The shape of the output per datum."""
        return self.shape if isinstance(self.part, Decoder) else getattr(self.part, "out_shape", None)

    def main(self, count: int, seed: int = 0) -> Tensors:
        """Values from 0 to 1 for an encoder, normal ones for a decoder, and data where it reads them: (B, *shape)."""
        generator = torch.Generator().manual_seed(seed)
        draw = torch.randn if isinstance(self.part, Decoder) else torch.rand
        first = draw(count, *self.arguments[0], generator=generator)
        if not isinstance(self.part, AutoregressiveDecoder):
            return (first,)
        return first, torch.rand(count, *self.shape, generator=generator)

    def outputs(self, part: Any, main: Tensors, side: Keywords) -> Tensors:
        """The output (B, *out_shape)."""
        return (part(*main, **side),)


class SamplerCase(Case):
    """A sampler, built for a shape of features."""

    def main(self, count: int, seed: int = 0) -> Tensors:
        """Features (B, *features)."""
        return (torch.randn(count, *self.shape, generator=torch.Generator().manual_seed(seed)),)

    def outputs(self, part: Any, main: Tensors, side: Keywords) -> Tensors:
        """Mean, KL, two draws (B, K, *latent_shape) and their log-ratio (B, K)."""
        latent = part(*main, 2, **side)
        drawn = (latent.z, latent.log_ratio)
        return (*_some(latent.mean, _by_datum(latent.kl)), *(value.transpose(0, 1) for value in _some(*drawn)))

    def settled(self, part: Any, *inputs: Tensor) -> Tensors:
        """Mean and KL."""
        main, side = self.apart(inputs)
        latent = part(*main, 0, **side)
        return _some(latent.mean, _by_datum(latent.kl))

    def posterior(self, count: int, draws: int, spread: float = 1.0) -> Latent:
        """The posteriors of `count` data whose features have the standard deviation `spread`."""
        latent: Latent = self.part(self.main(count)[0] * spread, draws)
        return latent


class PriorCase(Case):
    """A prior, built for a shape of latents."""

    def latents(self, *leading: int, seed: int = 0) -> Tensor:
        """Latents (..., *latent_shape) of the model's sampler, if that has the support, else random points of it."""
        generator, support, count = torch.Generator().manual_seed(seed), self.part.support, math.prod(leading)
        if support != "reals" and self.model.sampler.support == support:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                seed_torch(seed)
                flat = self.model.posterior(torch.rand(count, *self.model.shape), 1).z[0]
        else:
            flat = torch.randn(count, *self.shape, generator=generator)
            within = {"sphere": F.normalize(flat, dim=-1), "simplex": flat.softmax(-1), "unit_interval": flat.sigmoid()}
            flat = within.get(support, flat)
        return flat.reshape(*leading, *self.shape)

    def inputs(self, count: int, seed: int = 0) -> Tensors:
        """Latents alone: a prior gets no side data."""
        return self.main(count, seed)

    def apart(self, inputs: Tensors) -> tuple[Tensors, Keywords]:
        """The latents, and no side data."""
        return inputs, {}

    def main(self, count: int, seed: int = 0) -> Tensors:
        """Latents (B, *latent_shape)."""
        return (self.latents(count, seed=seed),)

    def outputs(self, part: Any, main: Tensors, side: Keywords) -> Tensors:
        """log p(z) (B,)."""
        return (part.log_prob(*main),)


class LikelihoodCase(Case):
    """A likelihood; gradients go back to its parameters, the decoder's output."""

    def main(self, count: int, seed: int = 0) -> Tensors:
        """Parameters (B, *params_shape), and data (B, *shape) drawn from p(x|z) with these parameters."""
        generator = torch.Generator().manual_seed(seed)
        params = torch.randn(count, *self.part.params_shape, generator=generator)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            seed_torch(seed)
            return params, self.part.sample(params, **self.placed(self.supply.drawn(count, seed), params))

    def placed(self, side: Keywords, like: Tensor) -> Keywords:
        """Side data on the device of a tensor and in its type."""
        return {name: on(value, like) for name, value in side.items()}

    def alike(self, count: int) -> Keywords:
        """The side data of one datum, for each of `count` copies of it."""
        return {name: value.expand(count, *value.shape[1:]) for name, value in self.supply.drawn(1).items()}

    def outputs(self, part: Any, main: Tensors, side: Keywords) -> Tensors:
        """log p(x|z) (B, 1) and the mean (B, *shape)."""
        params, x = main
        return part.log_prob(x, params.unsqueeze(0), **side).transpose(0, 1), part.mean(params, **side)


class LossCase(Case):
    """A loss term, with a small model that makes its passes."""

    def __init__(
        self, part: Any, arguments: tuple[Shape, ...], build: Callable[[], Model], supply: Supply, latent: Shape
    ) -> None:
        super().__init__(part, arguments, build, supply, latent)
        self.names = tuple(tensors_of(self.passed(1)))
        """The names of the tensors of a pass."""

    @property
    def draws(self) -> int:
        """The number of draws that the term asks for, at least one."""
        return max(1, int(self.part.draws))

    @property
    def batch(self) -> tuple[int, ...]:
        """The batch dimension of each input: 1 for what there is of each draw."""
        dimensions = tensors_of(self.passed(1)).values()
        return (*(dimension for _, dimension in dimensions), *(0 for _ in self.supply.sides))

    def passed(self, count: int, seed: int = 0) -> Forward:
        """A pass of `count` data."""
        return random_pass(self.model, count, self.draws, seed)

    def main(self, count: int, seed: int = 0) -> Tensors:
        """The tensors of a pass, the data last."""
        return tuple(value.detach() for value, _ in tensors_of(self.passed(count, seed)).values())

    def outputs(self, part: Any, main: Tensors, side: Keywords) -> Tensors:
        """The term: (B,) or ()."""
        return (part(self.again(*main), **side),)

    def again(self, *main: Tensor) -> Forward:
        """The pass that holds these tensors."""
        if not torch.compiler.is_compiling():
            self.model.to(main[-1].device, main[-1].dtype)
        return joined_again(self.names, main, self.model.likelihood)


def _by_datum(kl: Tensor | None) -> Tensor | None:
    """A KL with the data along its first dimension: (B, G), or of each draw (B, K, G)."""
    return kl.transpose(0, 1) if kl is not None and kl.ndim == 3 else kl


def _some(*values: Tensor | None) -> Tensors:
    return tuple(value for value in values if value is not None)
