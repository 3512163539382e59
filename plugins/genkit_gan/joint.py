"""Adversarial inference: a critic of pairs of a datum and its latent, which trains encoder and decoder.

B data, D latent dimensions.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit.interfaces import Forward, LearnedLoss, Shape, Whole
from genkit.settings.optimizers import Adam, Optimizer
from genkit_gan.forms import (
    CriticField,
    R1Field,
    R2Field,
    SpectralField,
    against,
    iterate,
    leaves,
    network,
    normalized,
    scaled,
    slope,
    told_apart,
)


class JointAdversarial(LearnedLoss):
    """The critic's verdict on (x, z): z drawn from q(z|x) for data x, or x generated for z drawn from the prior.

    ALI (Dumoulin et al. 2017, arXiv:1606.00704) and, with a sampler without noise, BiGAN (Donahue et al. 2017,
    arXiv:1605.09782). The critic minimises −log σ(D(x, z)) for data and −log(1 − σ(D(g, z))) for generated ones; the
    model, encoder and decoder, minimises both with the signs turned (equations 5 and 6 of ALI with the usual gradient).
    Where both joint distributions are the same, the decoder generates the data and the encoder inverts it; the best
    critic is ln q(x, z) / p(x, z). In the relativistic form the two are paired, as in the term `adversarial`.

    D(x, z) is a hidden layer and a linear one, of the features of x by any encoder, and of z and the condition, if
    there is one.

    Args:
        config: the critic, the form of the losses, and the critic's optimizer.
        shape: any shape that the critic takes.
    """

    needs = ("encoder", "generated")

    class Config(LearnedLoss.Config):
        """Options of the adversarial term of data with their latents."""

        name: Literal["joint_adversarial"] = "joint_adversarial"
        critic: CriticField
        hidden: Annotated[
            int, Field(ge=1, description="the width of the hidden layer that reads the features of x and z")
        ] = 256
        form: Annotated[
            Literal["non_saturating", "relativistic"], Field(description="the form of the losses of critic and model")
        ] = "non_saturating"
        r1: R1Field = 0.0
        r2: R2Field = 0.0
        spectral_norm: SpectralField = False
        optimizer: Annotated[Optimizer, Field(description="the optimizer of the critic")] = Adam(
            lr=2e-4, betas=(0.5, 0.999)
        )

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.config = config
        self.critic = network(config.critic, shape, "joint_adversarial")
        self.head: nn.Module = nn.Identity()
        if config.spectral_norm:
            normalized(self.critic)

    def attach(self, model: Whole) -> None:
        """Build the layers that read the latents of the model."""
        inputs = math.prod(self.critic.out_shape) + math.prod(model.sampler.latent_shape) + model.condition_size
        hidden = self.config.hidden
        self.head = nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, 1))
        if self.config.spectral_norm:
            normalized(self.head)

    def stepped(self, step: int, epoch: float) -> None:
        """Follow the weights by a power iteration, where they are normalized."""
        iterate(self)

    def judge(self, x: Tensor, z: Tensor, condition: Tensor | None) -> Tensor:
        """D(x, z): x (B, *shape), scaled, z (B, *latent_shape), condition (B, C) -> (B,)."""
        parts = [self.critic(x).flatten(1), z.flatten(1), *([] if condition is None else [condition])]
        logits: Tensor = self.head(torch.cat(parts, 1))
        return logits.squeeze(1)

    def forward(self, forward: Forward) -> Tensor:
        """(B,): the loss of each pair."""
        real, fake = (self.judge(*pair, forward.condition) for pair in _pairs(forward))
        loss = against(self.config.form, real, fake)
        return loss if self.config.form == "relativistic" else loss + against(self.config.form, fake, -real)

    def critic_loss(self, forward: Forward) -> Tensor:
        """(B,): the critic's loss of each pair."""
        own, generated = _pairs(forward)
        real, fake = (self.judge(*pair, forward.condition) for pair in (own, generated))
        loss = told_apart(self.config.form, real, fake)
        for factor, pair in ((self.config.r1, own), (self.config.r2, generated)):
            if factor:
                x, z = leaves(*pair)
                loss = loss + factor / 2 * slope(self.judge(x, z, forward.condition), x, z).square().sum(1)
        return loss


def _pairs(forward: Forward) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Data with a draw from q(z|x), and generated data with their draw from the prior."""
    assert forward.latent is not None
    assert forward.generated is not None
    assert forward.drawn is not None
    own = scaled(forward.x, forward), forward.latent.z[0]
    return own, (scaled(forward.generated, forward), forward.drawn)
