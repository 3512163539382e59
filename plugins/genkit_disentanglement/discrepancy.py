"""The maximum mean discrepancy between the latents of a batch and draws from the prior.

B data of this process, N data of the whole batch, K draws, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Forward, Loss, Shape, gather, own_rows
from genkit.interfaces import Whole


class MMD(Loss):
    """MMD²(q(z), p(z)): how far the latents of all data are from the prior, by a kernel.

    With z_i from q(z|x_i) and as many y_i from p(z), the unbiased estimate (Gretton et al. 2012, JMLR 13, lemma 6) is

    Σ_{i≠j} [k(z_i, z_j) + k(y_i, y_j)] / (N (N − 1)) − 2 Σ_ij k(z_i, y_j) / N².

    It takes the place of the KL in the Wasserstein autoencoder (Tolstikhin et al. 2018, arXiv:1711.01558, algorithm 2),
    with the weight λ. In the InfoVAE (Zhao et al. 2017, arXiv:1706.02262, equation 6) it stands beside a KL of the
    weight 1 − α, with the weight α + λ − 1. With c = 2 D s for each scale s, the kernels, summed over the scales, are

    - `rbf`: exp(−‖a − b‖² / c),
    - `imq`: c / (c + ‖a − b‖²), whose tails reach outliers.

    2 D is the mean of ‖a − b‖² for a standard normal prior. The prior is the model's, also one of the config. The value
    can be below 0; a batch of one datum has no pairs, and gives 0.

    Args:
        config: the weight, the kernel, and its scales.
        shape: any shape.
    """

    needs = ("encoder", "prior")
    over = "batch"
    expected_failures: ClassVar[Mapping[str, str]] = {
        "batch size": "draws from the prior are as many as data, and a datum that is there twice is a pair"
    }
    checked_with: ClassVar[Mapping[str, Any]] = {"partners": {"sampler": {"name": "gaussian", "latent": 3}}}

    class Config(Loss.Config):
        """Options of the discrepancy."""

        name: Literal["mmd"] = "mmd"
        kernel: Annotated[Literal["imq", "rbf"], Field(description="the kernel")] = "imq"
        scales: Annotated[
            tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...],
            Field(
                min_length=1,
                description="the scales s of the kernels that are summed; at 1 the kernel is as wide as the mean "
                "squared distance of two draws from a standard normal prior",
            ),
        ] = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.kernel, self.scales = config.kernel, config.scales

    def attach(self, model: Whole) -> None:
        """Keep the draws from the model's prior."""
        self.draw = model.draw

    def forward(self, forward: Forward) -> Tensor:
        """(B,): the mean over the data of the whole batch is the estimate, the mean over draws."""
        assert forward.latent is not None
        z = forward.latent.z.flatten(2)
        y = self.draw(z.shape[1]).flatten(1).unsqueeze(0).expand_as(z)
        every_z, every_y = gather(z, batch=1), gather(y, batch=1)
        count = every_z.shape[1]
        others = 1 - own_rows(torch.eye(count, dtype=z.dtype, device=z.device))  # (B, N)
        alike = (self.kernels(z, every_z) + self.kernels(y, every_y)) * others
        crossed = self.kernels(z, every_y) + self.kernels(y, every_z)
        each = alike.sum(2) / max(count - 1, 1) - crossed.mean(2)
        return each.mean(0) * float(count > 1)

    def kernels(self, one: Tensor, other: Tensor) -> Tensor:
        """The sum of the kernels of each two points: (K, B, D), (K, N, D) -> (K, B, N)."""
        squares = (one.unsqueeze(2) - other.unsqueeze(1)).square().sum(3)
        widths = [2 * one.shape[2] * scale for scale in self.scales]
        if self.kernel == "rbf":
            return torch.stack([torch.exp(-squares / c) for c in widths]).sum(0)
        return torch.stack([c / (c + squares) for c in widths]).sum(0)
