"""The two terms of the evidence lower bound.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from genkit import Forward, Loss, Shape, batch_mean


class Reconstruction(Loss):
    """E_q[-log p(x|z)], from the draws of the pass (Kingma & Welling 2014, arXiv:1312.6114, equation 8).

    Args:
        config: the weight.
        shape: any shape.
    """

    class Config(Loss.Config):
        """Options of the reconstruction term."""

        name: Literal["reconstruction"] = "reconstruction"

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats."""
        assert forward.log_prob is not None
        return -forward.log_prob.mean(0)


class KL(Loss):
    """KL(q(z|x) || p(z)) (Kingma & Welling 2014, arXiv:1312.6114, equation 8).

    Its weight is the beta of the beta-VAE (Higgins et al. 2017). With `free_bits`, the batch mean of each group of
    dimensions counts for at least that many nats: Σ_g max(free_bits, mean_b KL_bg) (Kingma et al. 2016,
    arXiv:1606.04934, equation 15). Independent dimensions are a group each; the sampler says which groups there are.
    The term is then a statistic of the batch, and no longer the KL itself.

    Args:
        config: the weight and the free bits.
        shape: any shape.
    """

    needs = ("encoder", "kl")

    class Config(Loss.Config):
        """Options of the KL term."""

        name: Literal["kl"] = "kl"
        free_bits: Annotated[
            float,
            Field(
                ge=0,
                description="the nats of each latent dimension, or of each group that the sampler has, below which its "
                "KL is not reduced further",
            ),
        ] = 0.0

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.free_bits = config.free_bits
        self.over = "datum" if config.free_bits == 0 else "batch"

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats; with free bits (), a statistic of the batch."""
        assert forward.latent is not None
        kl = forward.latent.divergence
        assert kl is not None
        if self.free_bits == 0:
            return kl.sum(1)
        return batch_mean(kl).clamp_min(self.free_bits).sum()
