"""The adversarial term: a critic that tells data from generated data, trained against the model.

B data. D(x) is the critic's output, a logit for the non-saturating form. Data that the likelihood bounds (0 to 1) are
scaled to −1 to 1 for the critic: most of an image is background, and a critic that sees it as 0 gets too far ahead of
the generator.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit import uniform
from genkit.interfaces import Forward, LearnedLoss, Shape, Whole
from genkit.settings.optimizers import Adam, Optimizer
from genkit_gan.forms import (
    CriticField,
    Form,
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


class Adversarial(LearnedLoss):
    """The critic's verdict on generated data. The generator is the decoder, with draws from the prior as input.

    | form | the model minimises | the critic minimises |
    |---|---|---|
    | non_saturating | −log σ(D(g)) | −log σ(D(x)) − log(1 − σ(D(g))) |
    | hinge | −D(g) | max(0, 1 − D(x)) + max(0, 1 + D(g)) |
    | wasserstein | −D(g) | D(g) − D(x) + penalty · (‖∇D(x̃)‖ − 1)² |
    | relativistic | −log σ(D(g) − D(x)) | −log σ(D(x) − D(g)) |

    Non-saturating: Goodfellow et al. 2014 (arXiv:1406.2661), section 3. Hinge: Lim & Ye 2017 (arXiv:1705.02894).
    Wasserstein with gradient penalty: Gulrajani et al. 2017 (arXiv:1704.00028), equation 3, x̃ uniform between a datum
    and a generated one. Relativistic: each generated datum is paired with a datum (Jolicoeur-Martineau 2018,
    arXiv:1807.00734); with `r1` and `r2` it is that of R3GAN (Huang et al. 2024, arXiv:2501.05441, section 2), which
    converges locally, and in which modes cannot be dropped. The critic is any encoder, with a linear layer from its
    features to one number. Where the model has a condition, the critic is a projection discriminator (Miyato & Koyama
    2018, arXiv:1802.05637).

    In each form, `r1` adds r1/2 · ‖∇D(x)‖² to what the critic minimises (Mescheder et al. 2018, arXiv:1801.04406,
    equation 9), and `r2` adds r2/2 · ‖∇D(g)‖² (equation 10). Without them, training need not converge where the data
    fill fewer dimensions than they have values, and classes may get lost.

    Args:
        config: the critic, the form of the losses, and the critic's optimizer.
        shape: any shape that the critic takes.
    """

    needs = ("generated",)

    class Config(LearnedLoss.Config):
        """Options of the adversarial term."""

        name: Literal["adversarial"] = "adversarial"
        critic: CriticField
        form: Annotated[Form, Field(description="the form of the losses of critic and model")] = "non_saturating"
        penalty: Annotated[
            float, Field(ge=0, description="the factor of the gradient penalty in the wasserstein form")
        ] = 10.0
        r1: R1Field = 0.0
        r2: R2Field = 0.0
        spectral_norm: SpectralField = False
        optimizer: Annotated[Optimizer, Field(description="the optimizer of the critic")] = Adam(
            lr=2e-4, betas=(0.5, 0.999)
        )

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.config = config
        encoder = network(config.critic, shape, "adversarial")
        self.features = math.prod(encoder.out_shape)
        self.critic = nn.Sequential(encoder, nn.Flatten(), nn.Linear(self.features, 1))
        self.projection: nn.Linear | None = None
        if config.spectral_norm:
            normalized(self.critic)

    def attach(self, model: Whole) -> None:
        """Project the features on the condition, where the model has one (Miyato & Koyama 2018, equation 4)."""
        if model.condition_size:
            self.projection = nn.Linear(model.condition_size, self.features, bias=False)
            if self.config.spectral_norm:
                normalized(self.projection)

    def stepped(self, step: int, epoch: float) -> None:
        """Follow the weights by a power iteration, where they are normalized."""
        iterate(self)

    def judge(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """D(x) or, with a condition y (B, C), D(x, y) = ψ(φ(x)) + yᵀVφ(x): (B, *shape), scaled -> (B,)."""
        if self.projection is None or condition is None:
            logits: Tensor = self.critic(x)
            return logits.squeeze(1)
        encoder, flatten, last = self.critic
        features = flatten(encoder(x))
        judged: Tensor = last(features).squeeze(1) + (self.projection(condition) * features).sum(1)
        return judged

    def forward(self, forward: Forward) -> Tensor:
        """(B,): the loss of each generated datum."""
        assert forward.generated is not None
        fake = self.judge(scaled(forward.generated, forward), forward.condition)
        if self.config.form != "relativistic":
            return against(self.config.form, fake, fake)
        return against(self.config.form, self.judge(scaled(forward.x, forward), forward.condition), fake)

    def critic_loss(self, forward: Forward) -> Tensor:
        """(B,): the loss of each pair of a datum and a generated one."""
        assert forward.generated is not None
        config = self.config
        x, generated = scaled(forward.x, forward), scaled(forward.generated, forward)
        real, fake = self.judge(x, forward.condition), self.judge(generated, forward.condition)
        loss = told_apart(config.form, real, fake)
        if config.form == "wasserstein":
            fraction = uniform(len(x), *[1] * (x.ndim - 1), batch=0, like=x)
            between = self._slope(torch.lerp(x, generated, fraction), forward.condition)
            loss = loss + config.penalty * (torch.linalg.vector_norm(between, dim=1) - 1).square()
        for factor, inputs in ((config.r1, x), (config.r2, generated)):
            if factor:
                loss = loss + factor / 2 * self._slope(inputs, forward.condition).square().sum(1)
        return loss

    def _slope(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """∇D(x), with a graph for a second derivative: (B, *shape) -> (B, values)."""
        (x,) = leaves(x)
        return slope(self.judge(x, condition), x)
