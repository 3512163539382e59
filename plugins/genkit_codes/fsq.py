"""Finite scalar quantization.

n places of a datum, D dimensions of a code, L_d levels of dimension d.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Shape
from genkit_codes.quantizer import Quantized, Quantizer

MARGIN = 1e-3
"""The ε by which the bounds lie beyond the outermost levels."""


class FSQSampler(Quantizer):
    """Each dimension is rounded to one of a few levels: the codes are a grid, and there is no codebook to learn.

    v_d is bounded to a range of L_d levels by h tanh(v_d + s) - o with h = (L_d - 1) (1 + ε) / 2, o = 1/2 for even L_d,
    else 0, and s = artanh(o / h), so that 0 stays 0; it is rounded, and divided by ⌊L_d / 2⌋, so that codes lie from -1
    to 1. Gradients pass the rounding. Mentzer et al. 2023 (arXiv:2309.15505, section 3.1 and appendix A.1, whose code
    takes tan for artanh).

    Args:
        config: the levels of each dimension; the number of codes K is their product.
        features: (C,), (n, C) or maps (C, H, W); None: only the prior.

    Example:
        >>> sampler = FSQSampler(FSQSampler.Config(levels=(8, 5, 5)), features=(32, 7, 7))
        >>> sampler.codebook_size, sampler.latent_shape
        (200, (3, 7, 7))
    """

    bounds = (-1.0, 1.0)
    expected_failures = {"gradients": "straight-through: the gradient is not the derivative"}  # noqa: RUF012

    class Config(Quantizer.Config):
        """Options of finite scalar quantization."""

        name: Literal["fsq"] = "fsq"
        levels: Annotated[
            tuple[Annotated[int, Field(ge=2, le=1024)], ...],
            Field(min_length=1, max_length=32, description="the number of levels of each dimension of a code"),
        ] = (5, 5, 3)

    counts: Tensor
    places: Tensor

    def __init__(self, config: Config, features: Shape | None) -> None:
        size = math.prod(config.levels)
        super().__init__(config, features, len(config.levels), size)
        self.register_buffer("counts", torch.tensor(config.levels), persistent=False)
        values = [math.prod(config.levels[:d]) for d in range(len(config.levels))]
        self.register_buffer("places", torch.tensor(values), persistent=False)

    def bounded(self, vectors: Tensor) -> Tensor:
        """Vectors (..., D) in units of levels, from -⌊L_d / 2⌋ to ⌈L_d / 2⌉ - 1 once they are rounded."""
        half = (self.counts - 1) * (1 + MARGIN) / 2
        offset = torch.where(self.counts % 2 == 0, 0.5, 0.0)
        half, offset = half.to(vectors), offset.to(vectors)
        return torch.tanh(vectors + torch.atanh(offset / half)) * half - offset

    def quantize(self, vectors: Tensor) -> Quantized:
        """The rounded vectors, with the gradients of those before they are rounded."""
        bounded = self.bounded(vectors)
        digits = bounded.round() + self.counts // 2
        width = self.counts // 2
        return Quantized(bounded.round() / width, self._indices(digits), bounded / width)

    def nearest(self, vectors: Tensor) -> Tensor:
        """The indices of codes (..., D), as numbers whose digits are the levels."""
        digits = (vectors * (self.counts // 2)).round() + self.counts // 2
        return self._indices(digits.clamp_min(0).minimum(self.counts - 1))

    def _indices(self, digits: Tensor) -> Tensor:
        return (digits.long() * self.places).sum(-1)

    def look_up(self, indices: Tensor) -> Tensor:
        """The codes of these indices."""
        digits = indices.unsqueeze(-1) // self.places % self.counts
        half = self.counts // 2
        return ((digits - half) / half).to(self.origin)
