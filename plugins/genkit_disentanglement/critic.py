"""The total correlation of the latents, from a critic that tells them from latents shuffled along each dimension.

B data of this process, N data of the whole batch, K draws, D latent dimensions.
"""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit import Forward, LearnedLoss, Shape, gather, own_rows, uniform
from genkit.interfaces import Whole
from genkit.settings.optimizers import Adam, Optimizer
from genkit_disentanglement.total_correlation import check_several

SLOPE = 0.2
"""The slope of the leaky ReLU below 0."""


class FactorTerm(LearnedLoss):
    """KL(q(z) || Π_d q(z_d)) by the density-ratio trick: the term of the FactorVAE (Kim & Mnih 2018, arXiv:1802.05983).

    The critic tells draws from q(z) from the same draws whose every dimension is shuffled over the batch (algorithm 1),
    by which its logit T(z) learns log q(z) / Π_d q(z_d) (equation 3). The model minimises E[T(z)], with the weight γ.
    The paper shuffles a second batch (algorithm 2); here it is the same one. Its critic has six layers of 1,000 units.

    Args:
        config: the weight γ, the critic, and its optimizer.
        shape: any shape.
    """

    over = "batch"

    class Config(LearnedLoss.Config):
        """Options of the FactorVAE's term."""

        name: Literal["factor"] = "factor"
        hidden: Annotated[
            tuple[Annotated[int, Field(ge=1)], ...], Field(description="the widths of the critic's hidden layers")
        ] = (256, 256, 256)
        optimizer: Annotated[Optimizer, Field(description="the optimizer of the critic")] = Adam(
            lr=1e-4, betas=(0.5, 0.9)
        )

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.hidden = config.hidden

    def attach(self, model: Whole) -> None:
        """Make the critic of the latents; raises ComponentError where there is a single one."""
        check_several(model.sampler.latent_shape)
        widths = (math.prod(model.sampler.latent_shape), *self.hidden)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
        self.critic = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def log_ratio(self, z: Tensor) -> Tensor:
        """The critic's log q(z) / Π_d q(z_d) in nats: (..., D) -> (...)."""
        logits: Tensor = self.critic(z)
        return logits.squeeze(-1)

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats, the mean over draws."""
        return self.log_ratio(_latents(forward)).mean(0)

    def critic_loss(self, forward: Forward) -> Tensor:
        """(B,): the cross-entropy of each draw and a shuffled one, the mean over draws."""
        z = _latents(forward)
        order = gather(uniform(*z.shape, batch=1, like=z), batch=1).argsort(1)
        shuffled = own_rows(gather(z, batch=1).gather(1, order), batch=1)
        return (F.softplus(-self.log_ratio(z)) + F.softplus(self.log_ratio(shuffled))).mean(0) / 2


def _latents(forward: Forward) -> Tensor:
    """The draws from q(z|x), (K, B, D)."""
    assert forward.latent is not None
    return forward.latent.z.flatten(2)
