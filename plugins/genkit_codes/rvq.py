"""Residual vector quantization.

B data, Q levels, K codes of each, n places of a datum, D numbers of a vector.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit import Shape
from genkit_codes.codebook import Codebook, LearnedConfig, handed_on
from genkit_codes.quantizer import Quantized, Quantizer


class RVQSampler(Quantizer):
    """Q codebooks, each of which stands for what those before it have left of a vector.

    Level 1 takes the nearest code e_1 of v, level q that of v - e_1 - ... - e_(q-1), and Σ_q e_q stands for v
    (Zeghidour et al. 2021, arXiv:2107.03312, algorithm 1). The codes of the levels lie side by side in z, (Q·D, ...),
    of which the decoder can take the sum by a linear layer; a sum alone would not say which codes it is of.
    `commitment` brings each level's residual near its code.

    Args:
        config: the number of levels, the codes of each, their dimensions, and how they are learned.
        features: (C,), (n, C) or maps (C, H, W); None: only the prior.

    Example:
        >>> sampler = RVQSampler(RVQSampler.Config(levels=2, size=8, latent=4), features=(32, 7, 7))
        >>> sampler.latent_shape, sampler.positions
        ((8, 7, 7), (7, 7, 2))
    """

    checked_with = {"partners": {"loss": "commitment"}}  # noqa: RUF012
    expected_failures = {"gradients": "straight-through: the gradient is not the derivative"}  # noqa: RUF012

    class Config(LearnedConfig):
        """Options of residual vector quantization."""

        name: Literal["rvq"] = "rvq"
        levels: Annotated[int, Field(ge=1, le=64, description="the number Q of codebooks")] = 4

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features, config.latent, config.size, config.levels)
        self.levels = nn.ModuleList(Codebook(config) for _ in range(config.levels))

    @property
    def books(self) -> list[Codebook]:
        """The codebooks by level."""
        return [book for book in self.levels if isinstance(book, Codebook)]

    def stepped(self, step: int, epoch: float) -> None:
        """Let the codebooks follow the vectors of the step."""
        for book in self.books:
            book.update()

    def quantize(self, vectors: Tensor) -> Quantized:
        """The codes of each level; `extra` has residuals as vectors, and codes, (B, n, Q·D)."""
        rest, residuals, codes, indices = vectors, [], [], []
        for book in self.books:
            nearest = book.nearest(rest)
            if self.training:
                book.observe(rest, nearest)
            residuals.append(rest)
            codes.append(book.codes[nearest])
            indices.append(nearest)
            rest = rest - codes[-1].detach()
        through, chosen = torch.cat(residuals, -1), torch.cat(codes, -1)
        return Quantized(chosen, torch.stack(indices, -1), through, handed_on(self.books[0], through, chosen))

    def nearest(self, vectors: Tensor) -> Tensor:
        """The indices (..., n, Q) of the codes that lie side by side in vectors (..., n, Q·D)."""
        parts = vectors.unflatten(-1, (len(self.books), -1)).unbind(-2)
        return torch.stack([book.nearest(part) for book, part in zip(self.books, parts, strict=True)], -1)

    def look_up(self, indices: Tensor) -> Tensor:
        """The codes of each level side by side: indices (..., n, Q) -> (..., n, Q·D)."""
        levels = indices.unbind(-1)
        return torch.cat([book.codes[level] for book, level in zip(self.books, levels, strict=True)], -1)
