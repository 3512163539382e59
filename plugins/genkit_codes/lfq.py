"""Lookup-free quantization.

n places of a datum, D bits of a code, K = 2^D codes.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Shape
from genkit_codes.quantizer import Quantized, Quantizer


class LFQSampler(Quantizer):
    """The sign of each dimension: codes are the corners of a cube, and there is no codebook to learn.

    Yu et al. 2023 (arXiv:2310.05737, section 3.1, equations 3 and 4). The index of a code has a bit for each dimension,
    1 where it is positive. It goes with the term `entropy`, without which few codes are used.

    Args:
        config: the number of bits.
        features: (C,), (n, C) or maps (C, H, W); None: only the prior.

    Example:
        >>> sampler = LFQSampler(LFQSampler.Config(bits=6), features=(32, 7, 7))
        >>> sampler.codebook_size, sampler.latent_shape
        (64, (6, 7, 7))
    """

    bounds = (-1.0, 1.0)
    checked_with = {"partners": {"loss": "entropy"}}  # noqa: RUF012
    expected_failures = {"gradients": "straight-through: the gradient is not the derivative"}  # noqa: RUF012

    class Config(Quantizer.Config):
        """Options of lookup-free quantization."""

        name: Literal["lfq"] = "lfq"
        bits: Annotated[int, Field(ge=1, le=16, description="the number of bits of a code, D; there are 2^D codes")] = 6

    places: Tensor
    corners: Tensor

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features, config.bits, 2**config.bits)
        self.register_buffer("places", 2 ** torch.arange(config.bits), persistent=False)
        corners = torch.arange(2**config.bits).unsqueeze(1) // self.places % 2 * 2 - 1
        self.register_buffer("corners", corners.float(), persistent=False)

    def quantize(self, vectors: Tensor) -> Quantized:
        """The signs; `extra` has scores (B, n, K), as those of `vq`, and vectors and codes (B, n, D)."""
        indices = self.nearest(vectors)
        codes = self.look_up(indices)
        scores = vectors @ self.corners.T - self.corners.square().sum(1) / 2
        return Quantized(codes, indices, vectors, {"vectors": vectors, "codes": codes, "scores": scores})

    def nearest(self, vectors: Tensor) -> Tensor:
        """The index of the corner nearest to vectors (..., D)."""
        return ((vectors > 0) * self.places).sum(-1)

    def look_up(self, indices: Tensor) -> Tensor:
        """The corners of these indices."""
        return self.corners[indices]
