"""What samplers with codes have in common.

B data, K codes, n places of a datum, Q codes at each of them, D numbers of a vector.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from genkit import CodeSampler, Latent, Shape, uniform
from genkit.errors import ComponentError
from genkit.interfaces import Whole
from genkit_codes.layout import Layout


class Quantized(NamedTuple):
    """Vectors, and the codes that stand for them."""

    codes: Tensor
    """(B, n, Q·D)"""
    indices: Tensor
    """(B, n) or (B, n, Q), int64."""
    through: Tensor
    """(B, n, Q·D): what gradients of the codes are handed on to, as they are."""
    extra: Mapping[str, Tensor] = MappingProxyType({})
    """Further tensors (B, ...) for loss terms."""


class Quantizer(CodeSampler):
    """Features -> vectors -> codes: z is the vectors of the codes, and gradients pass it straight to the features.

    The straight-through estimator (Bengio et al. 2013, arXiv:1308.3432) takes the gradient with respect to a code for
    that with respect to the vector which it stands for. p(z) is uniform over the codes, so that the KL is ln K at each
    position, exactly.

    Args:
        config: the options.
        features: (C,), (n, C) or maps (C, H, W), which become the vectors by one linear layer.
        width: the number D.
        size: the number K.
        levels: the number Q of codes at each place, side by side; None: one, and indices have no axis for it.
    """

    class Config(CodeSampler.Config):
        """Options of every sampler with codes."""

        positions: Annotated[
            int, Field(ge=1, description="the number of codes of a datum, where its features have one axis alone")
        ] = 1

    own_prior = "uniform"

    def __init__(
        self, config: Config, features: Shape | None, width: int, size: int, levels: int | None = None
    ) -> None:
        super().__init__(config, features)
        self.layout = Layout(features, width, config.positions, levels or 1)
        self.latent_shape, self.codebook_size = self.layout.latent_shape, size
        self.positions = self.layout.places if levels is None else (*self.layout.places, levels)
        self.codebooks = levels or 1
        self.depth = len(self.positions) - len(self.layout.places)
        self.register_buffer("origin", torch.zeros(()), persistent=False)

    origin: Tensor

    def attach(self, model: Whole) -> None:
        """Refuse a codebook that is larger than the training data; raises ComponentError."""
        data, places = model.schema.training_data, self.layout.count
        if data is not None and self.codebook_size > data * places:
            raise ComponentError(
                f"a codebook of {self.codebook_size:,} is larger than the training data, {data:,} with {places:,} "
                f"{'code' if places == 1 else 'codes'} each: most codes would never be used; make it smaller"
            )

    @abstractmethod
    def quantize(self, vectors: Tensor) -> Quantized:
        """The codes of vectors (B, n, D)."""

    @abstractmethod
    def nearest(self, vectors: Tensor) -> Tensor:
        """The indices of codes: (..., n, Q·D) -> (..., n) or (..., n, Q)."""

    @abstractmethod
    def look_up(self, indices: Tensor) -> Tensor:
        """The codes of indices: (..., n) or (..., n, Q) -> (..., n, Q·D)."""

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """features (B, *features) -> z (K, B, *latent_shape), the same K times, and kl (B, G), ln K for each position.

        `extra` has indices (B, *positions).
        """
        quantized = self.quantize(self.layout(features))
        through = quantized.through
        z = self.layout.shaped(quantized.codes.detach() + (through - through.detach()))
        kl = z.new_full((1, 1), math.log(self.codebook_size)).expand(z.shape[0], math.prod(self.positions))
        indices = quantized.indices.unflatten(1, self.layout.places)
        log_ratio = kl.sum(1).expand(draws, -1)
        extra = {"indices": indices, **quantized.extra}
        return Latent(z.expand(draws, *z.shape), z, kl, log_ratio, torch.zeros_like(log_ratio), extra)

    def prior(self, n: int) -> Tensor:
        """The vectors of n times uniform codes: (n, *latent_shape)."""
        chance = uniform(n, *self.positions, batch=0, like=self.origin)
        return self.embed((chance * self.codebook_size).long().clamp_max(self.codebook_size - 1))

    def indices(self, z: Tensor) -> Tensor:
        """The indices of the codes whose vectors are z."""
        flat = self.nearest(self.layout.codes(z))
        unfolded: Tensor = flat.unflatten(-1 - self.depth, self.layout.places)
        return unfolded

    def embed(self, indices: Tensor) -> Tensor:
        """The vectors of codes."""
        flat = indices.flatten(-len(self.positions), -1 - self.depth)
        return self.layout.shaped(self.look_up(flat))
