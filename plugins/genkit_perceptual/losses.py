"""The perceptual term: how unlike a datum the mean of p(x|z) is.

B data, K draws, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from genkit import ComponentError, Forward, Loss, Shape
from genkit_perceptual.frequency import FocalFrequency
from genkit_perceptual.similarity import EXPONENTS, MultiScaleSimilarity


class Perceptual(Loss):
    """A distance between images x and the means of p(x|z), for each draw; it stands beside the reconstruction.

    | form | the distance |
    |---|---|
    | ms_ssim | C · H · W · (1 − MS-SSIM), the multi-scale structural similarity (Wang et al. 2003) |
    | focal_frequency | Σ w · ∣F(x) − F(x̂)∣² over frequencies, the focal frequency loss (Jiang et al. 2021) |

    Both are sums over a datum, as the reconstruction is: C · H · W times the mean that the papers have. They are no
    likelihoods, so that a model with this term has an ELBO that it does not maximise.

    Args:
        config: the weight, the form, and the options of each form.
        shape: images (C, H, W).

    Raises:
        ComponentError: the data are no images, or the images are smaller than the windows; with the least size.
    """

    class Config(Loss.Config):
        """Options of the perceptual term."""

        name: Literal["perceptual"] = "perceptual"
        form: Annotated[
            Literal["ms_ssim", "focal_frequency"],
            Field(description="ms_ssim: structure in windows at several scales; focal_frequency: spectra"),
        ] = "ms_ssim"
        scales: Annotated[
            int | None,
            Field(
                ge=1,
                le=len(EXPONENTS),
                description="the number of scales of ms_ssim, each half as fine as the one before; null: as many as "
                "the images have room for, at most 5",
            ),
        ] = None
        window: Annotated[
            int, Field(ge=3, le=101, description="the height and the width of the windows of ms_ssim in pixels, odd")
        ] = 11
        range: Annotated[
            float, Field(gt=0, description="the greatest value of the data less the least, for ms_ssim")
        ] = 1.0
        alpha: Annotated[
            float,
            Field(ge=0, description="how much more focal_frequency weighs frequencies that are far off; 0: all alike"),
        ] = 1.0

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        if len(shape) != 3:
            raise ComponentError(f"it compares images (C, H, W), not data of shape {shape}")
        self.distance: nn.Module = (
            MultiScaleSimilarity(shape, config.window, config.scales, config.range)
            if config.form == "ms_ssim"
            else FocalFrequency(shape, config.alpha)
        )

    def forward(self, forward: Forward) -> Tensor:
        """(B,), the mean over draws."""
        assert forward.params is not None
        mean = forward.likelihood.mean(forward.params)
        distance: Tensor = self.distance(forward.x.expand_as(mean).flatten(0, 1), mean.flatten(0, 1))
        return distance.reshape(mean.shape[:2]).mean(0)
