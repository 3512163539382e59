"""The multi-scale structural similarity of images.

N images, C channels, H height, W width, M scales.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ComponentError, Shape

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""The exponents of the five scales of Wang et al. 2003, section 3.2."""
SPREAD = 1.5
"""The standard deviation of the Gaussian windows in pixels."""
LUMINANCE, CONTRAST = 0.01, 0.03
"""K_1 and K_2 of Wang et al. 2004, which keep fractions of small numbers finite."""
LEAST = 1e-4
"""The least similarity of a scale: its power has a gradient there, and none below."""


class MultiScaleSimilarity(nn.Module):
    """C · H · W · (1 − MS-SSIM) of pairs of images.

    MS-SSIM is l_M^{α_M} Π_m cs_m^{α_m}: the products of the means of contrast and structure at each of M scales, and of
    luminance at the coarsest (Wang, Simoncelli & Bovik 2003, "Multiscale structural similarity for image quality
    assessment", equation 7), in Gaussian windows that lie within the image. With fewer than five scales the first
    exponents are used, in proportion, so that they add up to 1.

    Args:
        shape: (C, H, W).
        window: the size of the windows, odd.
        scales: M; None: as many as fit, at most five.
        data_range: the greatest value less the least.

    Raises:
        ComponentError: the window is even, or larger than the coarsest image; with the least size of images.
    """

    window: Tensor

    def __init__(self, shape: Shape, window: int, scales: int | None, data_range: float) -> None:
        super().__init__()
        if window % 2 == 0:
            raise ComponentError(f"window: {window} is even, and a window has a pixel in its middle: take {window + 1}")
        smaller = min(shape[1:])
        most = max(1, min(len(EXPONENTS), math.floor(math.log2(max(1, smaller / window))) + 1))
        count = scales or most
        least = window * 2 ** (count - 1)
        if smaller < least:
            raise ComponentError(
                f"images of {shape[1]}x{shape[2]} are too small for {count} scales with windows of {window}: the least "
                f"size is {least}x{least}; lower scales or window"
            )
        self.values = math.prod(shape)
        self.exponents = [each / sum(EXPONENTS[:count]) for each in EXPONENTS[:count]]
        self.small = (LUMINANCE * data_range) ** 2, (CONTRAST * data_range) ** 2
        distance = torch.arange(window) - window // 2
        bell = torch.exp(-distance.square() / (2 * SPREAD**2))
        self.register_buffer("window", bell / bell.sum(), persistent=False)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Images (N, C, H, W) and others -> (N,)."""
        result = one.new_ones(one.shape[0])
        for place, exponent in enumerate(self.exponents):
            if place > 0:
                one, other = F.avg_pool2d(one, 2), F.avg_pool2d(other, 2)
            whole, structure = self._similarities(one, other)
            value = whole if place == len(self.exponents) - 1 else structure
            result = result * value.clamp_min(LEAST) ** exponent
        return self.values * (1 - result)

    def _similarities(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """The means of the structural similarity, and of contrast and structure alone, at one scale: (N,) each."""
        mean, other_mean = self._blurred(one), self._blurred(other)
        variances = self._blurred(one.square() + other.square()) - mean.square() - other_mean.square()
        covariance = self._blurred(one * other) - mean * other_mean
        luminance, contrast = self.small
        structure = (2 * covariance + contrast) / (variances + contrast)
        light = (2 * mean * other_mean + luminance) / (mean.square() + other_mean.square() + luminance)
        return (light * structure).flatten(1).mean(1), structure.flatten(1).mean(1)

    def _blurred(self, x: Tensor) -> Tensor:
        """The means in windows that lie within the image: (N, C, H, W) -> (N, C, H − window + 1, W − window + 1)."""
        channels = x.shape[1]
        rows = self.window.view(1, 1, 1, -1).expand(channels, 1, 1, -1)
        return F.conv2d(F.conv2d(x, rows, groups=channels), rows.transpose(2, 3), groups=channels)
