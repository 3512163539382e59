"""The total correlation of the latents, from the posteriors of a batch.

B data of this process, N data of the whole batch, M training data, K draws, G groups of latent dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import ComponentError, DensitySampler, Forward, Loss, Shape, gather, own_rows
from genkit.interfaces import Whole


def check_several(shape: Shape) -> None:
    """Refuse latents of one dimension, which correlate with nothing; raises ComponentError."""
    if math.prod(shape) < 2:
        raise ComponentError(
            "it is the dependence between latent dimensions, and there is one: give the sampler two or more (latent)"
        )


class TotalCorrelation(Loss):
    """KL(q(z) || Π_g q(z_g)): how much the latent dimensions depend on each other (Chen et al. 2018, arXiv:1802.04942).

    The KL of the ELBO is the mutual information of x and z, this total correlation, and the KL of each dimension to its
    prior (equation 2). Beside `kl` with the weight 1, the weight here is β − 1 of the β-TCVAE (equation 4, α = γ = 1).

    Of log q(z) = log Σ_n q(z|x_n) / M over the M training data a batch of N gives an estimate at the draws of its data:

    | estimator | weight of q(z|x) of the datum itself | of each other datum |
    |---|---|---|
    | weighted | 1 / N | 1 / N |
    | stratified | 1 / M | (M − 1) / (M (N − 1)) |

    `weighted` is equation 3 without its constant (G − 1) log M, which has no gradient: it takes the batch for all data.
    `stratified` is the stratified sampling of appendix C, with the mean over all orders of the batch in place of one
    order: its q(z) has no bias, but its logarithm does, and varies much where q(z) is a sum of few sharp posteriors.
    Both are exact where the batch is all data.

    Args:
        config: the weight and the estimator.
        shape: any shape.
        training_data: the number of training data, M; None: those of the batch.
    """

    over = "batch"
    asks = ("training_data",)
    checked_with: ClassVar[Mapping[str, Any]] = {"partners": {"sampler": {"name": "gaussian", "latent": 3}}}

    class Config(Loss.Config):
        """Options of the total correlation."""

        name: Literal["tc"] = "tc"
        estimator: Annotated[
            Literal["weighted", "stratified"],
            Field(description="how the batch stands for the training data in the estimate of log q(z)"),
        ] = "weighted"

    def __init__(self, config: Config, shape: Shape, training_data: int | None) -> None:
        super().__init__(config, shape)
        self.estimator, self.training_data = config.estimator, training_data

    def attach(self, model: Whole) -> None:
        """Keep the density of the posterior; raises ComponentError where there is none, or a single latent."""
        if not isinstance(model.sampler, DensitySampler):
            raise ComponentError(
                "it needs q(z|x) at any z: choose a sampler that has such a density (a genkit.DensitySampler)"
            )
        check_several(model.sampler.latent_shape)
        self.log_q = model.sampler.log_q

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats, the mean over draws."""
        latent = forward.latent
        assert latent is not None
        mean, extra = gather(latent.mean), {name: gather(value) for name, value in latent.extra.items()}
        pairs = self.log_q(latent.z.unsqueeze(2), mean, extra)  # (K, B, N, G): own draws, all posteriors
        if pairs.shape[3] < 2:
            raise ComponentError(
                "loss 'tc': the posterior's density is no product over latent dimensions (its log_q has one column), "
                "and the total correlation needs one: choose a posterior with independent dimensions"
            )
        log_weights = self.log_weights(pairs)
        joint = (pairs.sum(3) + log_weights).logsumexp(2)
        single = (pairs + log_weights.unsqueeze(2)).logsumexp(2).sum(2)
        return (joint - single).mean(0)

    def log_weights(self, pairs: Tensor) -> Tensor:
        """The logarithms of the weights of all posteriors at the own draws: pairs (K, B, N, G) -> (B, N)."""
        count = pairs.shape[2]
        total = count if self.training_data is None else self.training_data
        own = own_rows(torch.eye(count, dtype=pairs.dtype, device=pairs.device))
        if self.estimator == "weighted":
            return torch.zeros_like(own) - math.log(count)
        others = max(total - 1, 1) / (total * max(count - 1, 1))
        return own * -math.log(total) + (1 - own) * math.log(others)
