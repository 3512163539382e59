"""Terms over codes.

B data, K codes, n places of a datum, D numbers of a vector.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Forward, Loss, Shape, batch_mean
from genkit.errors import ComponentError


class Commitment(Loss):
    """|v - sg(e)|² of the vectors v of a datum and their codes e, summed over its places; sg stops gradients.

    It is the third term of van den Oord et al. 2017 (arXiv:1711.00937, equation 3), with β as the weight. Where codes
    are learned by gradients, `codebook` · |sg(v) - e|² is added, the second term: weight 0.25 and codebook 4 are those
    of the paper. In nats per datum beside −log p(x|z), as −log N(v; e, I/2) without its constant.

    Args:
        config: the weight, and the factor of the second term.
        shape: any shape.
    """

    checked_with = {"partners": {"sampler": {"name": "vq", "size": 8, "latent": 4}}}  # noqa: RUF012
    expected_failures = {"gradients": "it stops gradients by design"}  # noqa: RUF012

    class Config(Loss.Config):
        """Options of the commitment term."""

        name: Literal["commitment"] = "commitment"
        codebook: Annotated[
            float,
            Field(ge=0, description="the factor of the term that brings codes near their vectors, beside the weight"),
        ] = 4.0

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.codebook = config.codebook

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats."""
        assert forward.latent is not None
        vectors, codes = handed_on(forward, "commitment", "vectors"), handed_on(forward, "commitment", "codes")
        term = (vectors - codes.detach()).square().flatten(1).sum(1)
        if (learned := forward.latent.extra.get("learned_codes")) is not None:
            term = term + self.codebook * (vectors.detach() - learned).square().flatten(1).sum(1)
        return term


def handed_on(forward: Forward, term: str, name: str) -> Tensor:
    """A tensor that the sampler hands on; raises ComponentError where it does not."""
    assert forward.latent is not None
    if name not in forward.latent.extra:
        raise ComponentError(
            f"loss '{term}' reads the {name} of codes, and the sampler gives none; it goes with samplers whose "
            "`Latent.extra` has them, as that of a learned codebook does"
        )
    return forward.latent.extra[name]


class Entropy(Loss):
    """n · (E[H(q(k|v))] - γ H(E[q(k|v)])): each vector is sure of its code, and all codes are used alike.

    q(k|v) is the softmax of -|v - e_k|² / τ over the K codes e_k, v a vector of a datum with n places; the means are
    over all vectors of the batch. Yu et al. 2023 (arXiv:2310.05737, equation 5), with γ = 1. It lies between
    -γ n ln K and n ln K nats.

    Args:
        config: the weight, γ and τ.
        shape: any shape.
    """

    over = "batch"
    checked_with = {"partners": {"sampler": {"name": "lfq", "bits": 3}}}  # noqa: RUF012

    class Config(Loss.Config):
        """Options of the entropy term."""

        name: Literal["entropy"] = "entropy"
        diversity: Annotated[
            float, Field(ge=0, description="the factor γ of the entropy of the batch, which is made larger")
        ] = 1.0
        temperature: Annotated[
            float, Field(gt=0, description="the temperature τ, by which squared distances are divided")
        ] = 1.0

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.diversity, self.temperature = config.diversity, config.temperature

    def forward(self, forward: Forward) -> Tensor:
        """() nats, a statistic of the batch."""
        log_q = (handed_on(forward, "entropy", "scores") * (2 / self.temperature)).log_softmax(-1)
        each = batch_mean(-(log_q.exp() * log_q).sum(-1)).sum()
        of_all = torch.special.entr(batch_mean(log_q.exp().mean(1))).sum()
        difference: Tensor = each - self.diversity * log_q.shape[1] * of_all
        return difference
