"""The adversarial term: a critic that tells data from generated data, trained against the model.

B data. D(x) is the critic's output, a logit for the non-saturating form. Data that the likelihood bounds (0 to 1) are
scaled to −1 to 1 for the critic: most of an image is background, and a critic that sees it as 0 gets too far ahead of
the generator.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit import uniform
from genkit.errors import ComponentError
from genkit.interfaces import ChosenByName, Encoder, Forward, LearnedLoss, Shape, Whole
from genkit.model.building import build_part
from genkit.settings.optimizers import Adam, Optimizer


class Adversarial(LearnedLoss):
    """The critic's verdict on generated data. The generator is the decoder, with draws from the prior as input.

    | form | the model minimises | the critic minimises |
    |---|---|---|
    | non_saturating | −log σ(D(g)) | −log σ(D(x)) − log(1 − σ(D(g))) |
    | hinge | −D(g) | max(0, 1 − D(x)) + max(0, 1 + D(g)) |
    | wasserstein | −D(g) | D(g) − D(x) + penalty · (‖∇D(x̃)‖ − 1)² |

    Non-saturating: Goodfellow et al. 2014 (arXiv:1406.2661), section 3. Hinge: Lim & Ye 2017 (arXiv:1705.02894).
    Wasserstein with gradient penalty: Gulrajani et al. 2017 (arXiv:1704.00028), equation 3, x̃ uniform between a datum
    and a generated one. The critic is any encoder, with a linear layer from its features to one number. Where the model
    has a condition, the critic is a projection discriminator (Miyato & Koyama 2018, arXiv:1802.05637).

    In each form, `r1` adds r1/2 · ‖∇D(x)‖² to what the critic minimises (Mescheder et al. 2018, arXiv:1801.04406,
    equation 9). Without it, training need not converge where the data fill fewer dimensions than they have values, and
    classes may get lost.

    Args:
        config: the critic, the form of the losses, and the critic's optimizer.
        shape: any shape that the critic takes.
    """

    needs = ("generated",)

    class Config(LearnedLoss.Config):
        """Options of the adversarial term."""

        name: Literal["adversarial"] = "adversarial"
        critic: Annotated[
            Encoder.Config,
            ChosenByName("encoder"),
            Field(description="the network that tells real data from generated ones: any encoder"),
        ]
        form: Annotated[
            Literal["non_saturating", "hinge", "wasserstein"],
            Field(description="the form of the losses of critic and model"),
        ] = "non_saturating"
        penalty: Annotated[
            float, Field(ge=0, description="the factor of the gradient penalty in the wasserstein form")
        ] = 10.0
        r1: Annotated[
            float, Field(ge=0, description="the factor of half the critic's squared gradient at the data, in each form")
        ] = 0.0
        optimizer: Annotated[Optimizer, Field(description="the optimizer of the critic")] = Adam(
            lr=2e-4, betas=(0.5, 0.999)
        )

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.form = config.form
        self.penalty = config.penalty
        self.r1 = config.r1
        try:
            encoder: Encoder = build_part(config.critic, shape)
        except ComponentError as error:
            raise ComponentError(f"the critic of loss 'adversarial': {error}") from None
        self.features = math.prod(encoder.out_shape)
        self.critic = nn.Sequential(encoder, nn.Flatten(), nn.Linear(self.features, 1))
        self.projection: nn.Linear | None = None

    def attach(self, model: Whole) -> None:
        """Project the features on the condition, where the model has one (Miyato & Koyama 2018, equation 4)."""
        if model.condition_size:
            self.projection = nn.Linear(model.condition_size, self.features, bias=False)

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
        output = self.judge(_scaled(forward.generated, forward), forward.condition)
        return F.softplus(-output) if self.form == "non_saturating" else -output

    def critic_loss(self, forward: Forward) -> Tensor:
        """(B,): the loss of each pair of a datum and a generated one."""
        assert forward.generated is not None
        x, generated = _scaled(forward.x, forward), _scaled(forward.generated, forward)
        real, fake = self.judge(x, forward.condition), self.judge(generated, forward.condition)
        loss = self._told_apart(real, fake)
        if self.form == "wasserstein":
            fraction = uniform(len(x), *[1] * (x.ndim - 1), batch=0, like=x)
            slope = self._slope(torch.lerp(x, generated, fraction), forward.condition)
            loss = loss + self.penalty * (torch.linalg.vector_norm(slope, dim=1) - 1).square()
        if self.r1:
            loss = loss + self.r1 / 2 * self._slope(x, forward.condition).square().sum(1)
        return loss

    def _told_apart(self, real: Tensor, fake: Tensor) -> Tensor:
        """The critic's loss without penalties, from D(x) and D(g): (B,), (B,) -> (B,)."""
        if self.form == "non_saturating":
            return F.softplus(-real) + F.softplus(fake)
        if self.form == "hinge":
            return F.relu(1 - real) + F.relu(1 + fake)
        return fake - real

    def _slope(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """∇D(x), with a graph for a second derivative: (B, *shape) -> (B, values)."""
        x = x.detach().requires_grad_()
        with torch.backends.cudnn.flags(enabled=False):  # cuDNN's recurrent layers have no second derivative
            (gradient,) = torch.autograd.grad(self.judge(x, condition).sum(), x, create_graph=True)
        return gradient.flatten(1)


def _scaled(x: Tensor, forward: Forward) -> Tensor:
    """Data (B, *shape) as the critic sees them: from −1 to 1 where the likelihood bounds them."""
    low, high = forward.likelihood.support
    if math.isinf(low) or math.isinf(high):
        return x
    middle, half = (low + high) / 2, (high - low) / 2
    return x.mul(1 / half).sub_(middle / half)
