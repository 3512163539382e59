"""A critic that brings the latents of all data to the prior.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit import ComponentError, Encoder, FittedPrior, Forward, LearnedLoss, Shape, build_part
from genkit.interfaces import ChosenByName, Whole
from genkit.settings.optimizers import Adam, Optimizer


class LatentCritic(LearnedLoss):
    """−log σ(D(z)) for z ~ q(z|x): the adversarial term of the adversarial autoencoder.

    Makhzani et al. 2016 (arXiv:1511.05644), section 2. The critic D learns to tell draws from the prior, which it calls
    real, from the latents of data: its logit learns log p(z) / q(z), where q(z) is the mean of the posteriors. It takes
    the place of the KL, and needs no density. The prior is the model's, also one of the config.

    Args:
        config: the weight, the critic and its optimizer.
        shape: any shape.
    """

    class Config(LearnedLoss.Config):
        """Options of the critic of latents."""

        name: Literal["latent_critic"] = "latent_critic"
        critic: Annotated[
            Encoder.Config,
            ChosenByName("encoder"),
            Field(description="the network that tells draws from the prior from latents of data: any encoder"),
        ]
        optimizer: Annotated[Optimizer, Field(description="the optimizer of the critic")] = Adam(
            lr=1e-3, betas=(0.5, 0.999)
        )

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.config = config

    def attach(self, model: Whole) -> None:
        """Make the critic for the latents; raises ComponentError where there is no prior to draw from."""
        generates = model.sampler.has_prior or (model.prior is not None and not isinstance(model.prior, FittedPrior))
        if not generates:
            raise ComponentError("it compares latents with draws from a prior, and the model has none to draw from")
        encoder: Encoder = build_part(self.config.critic, model.sampler.latent_shape)
        self.critic = nn.Sequential(encoder, nn.Flatten(), nn.Linear(math.prod(encoder.out_shape), 1))
        self.draw = model.draw

    def judge(self, z: Tensor) -> Tensor:
        """The critic's logit log p(z) / q(z): (B, *latent_shape) -> (B,)."""
        logits: Tensor = self.critic(z)
        return logits.squeeze(1)

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats, the mean over draws."""
        assert forward.latent is not None
        z = forward.latent.z
        each = F.softplus(-self.judge(z.flatten(0, 1)))
        return each.view(z.shape[:2]).mean(0)

    def critic_loss(self, forward: Forward) -> Tensor:
        """(B,): the cross-entropy of a draw from the prior and the first draw of each datum."""
        assert forward.latent is not None
        z = forward.latent.z[0]
        return (F.softplus(-self.judge(self.draw(len(z)))) + F.softplus(self.judge(z))) / 2
