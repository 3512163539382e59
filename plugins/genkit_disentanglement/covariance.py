"""The covariance of the latents over the batch, which is pulled to the identity.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Forward, Loss, Shape, batch_mean


class DIP(Loss):
    """Σ_{i≠j} C_ij² + r Σ_i (C_ii − 1)², with C a covariance of the latents (Kumar et al. 2018, arXiv:1711.00848).

    The weight is λ_od, and r = λ_d / λ_od, `diagonal`. In form I (DIP-VAE-I, equation 6) C is the covariance of the
    posterior means; in form II (DIP-VAE-II, equation 7) that of the draws, Cov[μ] + E[Σ] in expectation for any
    posterior. C has the divisor N, the number of data in the batch: it is a statistic of the batch, and noisy over few
    data. The paper has r = 10 in form I and r = 1 in form II, and weights of 1 to 500.

    Args:
        config: the weight, the form, and the ratio of the weights.
        shape: any shape.
    """

    over = "batch"

    class Config(Loss.Config):
        """Options of the DIP term."""

        name: Literal["dip"] = "dip"
        form: Annotated[
            Literal["I", "II"], Field(description="I: the covariance of posterior means; II: that of draws")
        ] = "I"
        diagonal: Annotated[
            float | None,
            Field(
                ge=0,
                description="the weight of the variances' distance from 1, as a multiple of that of the covariances; "
                "null: 10 in form I, 1 in form II",
            ),
        ] = None

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.form = config.form
        self.diagonal = config.diagonal if config.diagonal is not None else 10.0 if config.form == "I" else 1.0

    def forward(self, forward: Forward) -> Tensor:
        """(), a statistic of the batch."""
        latent = forward.latent
        assert latent is not None
        points = latent.mean.flatten(1).unsqueeze(0) if self.form == "I" else latent.z.flatten(2)
        distance = _covariance(points) - torch.eye(points.shape[2], dtype=points.dtype, device=points.device)
        on_diagonal = distance.diagonal().square().sum()
        return distance.square().sum() + (self.diagonal - 1) * on_diagonal


def _covariance(points: Tensor) -> Tensor:
    """The covariance of points (K, B, D) of the whole batch, with the divisor of all points: (D, D)."""
    centred = points - batch_mean(points.mean(0))
    return batch_mean(torch.einsum("kbi,kbj->bij", centred, centred) / points.shape[0])
