"""The focal frequency loss.

N images, C channels, H height, W width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genkit import Shape

SMALLEST = 1e-12
"""The least largest distance by which weights are divided: images may be the same."""


class FocalFrequency(nn.Module):
    """Σ w |F(x) − F(x̂)|² over the frequencies and channels of images (Jiang et al. 2021, arXiv:2012.12821, equation 9).

    F is the orthonormal discrete Fourier transform, and w = |F(x) − F(x̂)|^α, divided by its greatest value in a channel
    and without gradient (equation 8): frequencies that are far off count more. With α = 0 the distance is ‖x − x̂‖², by
    Parseval. The transform is a product with matrices, which is one graph for compilers.

    Args:
        shape: (C, H, W).
        alpha: the exponent α.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, shape: Shape, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.register_buffer("rows", _transform(shape[1]), persistent=False)
        self.register_buffer("columns", _transform(shape[2]), persistent=False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Images (N, C, H, W) and others -> (N,)."""
        difference = one - other
        across = difference.unsqueeze(0) @ self.columns.transpose(1, 2).unsqueeze(1).unsqueeze(1)  # real, imaginary
        (cosine, sine), (real, imaginary) = self.rows, across
        power = (cosine @ real - sine @ imaginary).square() + (cosine @ imaginary + sine @ real).square()
        weights = power.detach() ** (self.alpha / 2)
        weights = weights / weights.amax((2, 3), keepdim=True).clamp_min(SMALLEST)
        distances: Tensor = (weights * power).flatten(1).sum(1)
        return distances


def _transform(size: int) -> Tensor:
    """The real and the imaginary part of the orthonormal discrete Fourier transform: (2, size, size)."""
    places = torch.arange(size, dtype=torch.float64)
    turns = -2 * math.pi * torch.outer(places, places) / size
    return (torch.stack([turns.cos(), turns.sin()]) / math.sqrt(size)).float()
