"""Discrete latents whose draws are relaxed in training, so that gradients pass them.

B data, K draws, n variables, C classes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from genkit import Latent, Sampler, Shape, uniform
from genkit.settings.schedules import Schedule, last_of, value_at


class RelaxedSampler(Sampler):
    """q(z|x) of n independent discrete variables, whose logits are one linear layer of the features.

    In training a draw is a smooth function of logits, noise and a temperature τ, near a discrete one for small τ; with
    `straight_through` it is discrete, with the gradients of the smooth one. In eval mode it is discrete, so that the
    ELBO is that of a model with discrete latents. The KL is exact, of the discrete variables against uniform ones.

    Args:
        config: the temperature, and whether draws are discrete in training too.
        features: any shape, which is flattened; None: only the prior, without heads.
        shape: the shape of the logits.
    """

    class Config(Sampler.Config):
        """Options of every relaxed sampler."""

        temperature: Annotated[
            Schedule,
            Field(description="the temperature τ of the draws in training: a number above 0, or a schedule"),
        ] = 1.0
        straight_through: Annotated[
            bool,
            Field(description="whether draws are discrete in training too, with the gradients of the smooth ones"),
        ] = False

        @field_validator("temperature")
        @classmethod
        def _stays_above_zero(cls, temperature: Schedule) -> Schedule:
            if value_at(temperature, 0) <= 0 or last_of(temperature) <= 0:
                raise PydanticCustomError(
                    "temperature", "the temperature must stay above 0, where draws have no gradients"
                )
            return temperature

    own_prior = "uniform"
    bounds = (0.0, 1.0)
    temperature: Tensor

    def __init__(self, config: Config, features: Shape | None, shape: Shape) -> None:
        super().__init__(config, features)
        self.latent_shape, self.schedule, self.straight_through = shape, config.temperature, config.straight_through
        if features is not None:
            self.logits = nn.Linear(math.prod(features), math.prod(shape))
        self.register_buffer("temperature", torch.tensor(float(value_at(config.temperature, 0))))

    def stepped(self, step: int, epoch: float) -> None:
        """Follow the schedule of the temperature."""
        self.temperature.fill_(value_at(self.schedule, epoch))

    @abstractmethod
    def posterior(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """The probabilities (B, *latent_shape), and the KL of each variable (B, n), for logits (B, *latent_shape)."""

    @abstractmethod
    def draw(self, logits: Tensor, chance: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
        """Smooth and discrete draws of the same noise, made of `chance` from U(0, 1): (K, B, *latent_shape) each."""

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """features (B, *features) -> z (K, B, *latent_shape), mean (B, *latent_shape), kl (B, n).

        The mean is the probabilities, and `extra` has logits (B, *latent_shape). There is no density of the draws.
        """
        logits = self.logits(features.flatten(1)).unflatten(1, self.latent_shape)
        mean, kl = self.posterior(logits)
        chance = uniform(draws, *logits.shape, batch=1, like=logits)
        smooth, discrete = self.draw(logits, chance, self.temperature)
        hard = self.straight_through or not self.training
        z = discrete + (smooth - smooth.detach()) if hard else smooth
        return Latent(z, mean, kl, None, extra={"logits": logits})

    def prior(self, n: int) -> Tensor:
        """N draws of uniform discrete variables: (n, *latent_shape)."""
        chance = uniform(n, *self.latent_shape, batch=0, like=self.temperature)
        return self.draw(torch.zeros_like(chance), chance, self.temperature)[1]


class CategoricalSampler(RelaxedSampler):
    """n variables of C classes each: z (n, C) is one-hot, or probabilities near it.

    A relaxed draw is softmax((logits + g) / τ) with Gumbel noise g = -ln(-ln u) (Jang et al. 2017, arXiv:1611.01144,
    equation 2; Maddison et al. 2017, arXiv:1611.00712, equation 10). KL = Σ_c q_c ln q_c + ln C for each variable.

    Args:
        config: the number of variables and classes, and the temperature.
        features: any shape, which is flattened; None: only the prior.

    Example:
        >>> sampler = CategoricalSampler(CategoricalSampler.Config(variables=3, classes=5), features=(8,))
        >>> latent = sampler(torch.randn(4, 8))
        >>> latent.z.shape, latent.kl.shape
        (torch.Size([1, 4, 3, 5]), torch.Size([4, 3]))
    """

    support = "simplex"
    expected_failures = {"gradients": "in eval mode draws are discrete, straight-through"}  # noqa: RUF012

    class Config(RelaxedSampler.Config):
        """Options of categorical latents."""

        name: Literal["categorical"] = "categorical"
        variables: Annotated[int, Field(ge=1, description="the number n of variables")] = 10
        classes: Annotated[int, Field(ge=2, description="the number C of classes of each variable")] = 10

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features, (config.variables, config.classes))

    def posterior(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Softmax, and its KL to equal probabilities."""
        log_q = logits.log_softmax(-1)
        return log_q.exp(), (log_q.exp() * log_q).sum(-1) + math.log(logits.shape[-1])

    def draw(self, logits: Tensor, chance: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
        """Softmax and maximum of logits and Gumbel noise."""
        gumbel = -torch.log(-torch.log(inside(chance)))
        smooth = ((logits + gumbel) / temperature).softmax(-1)
        return smooth, F.one_hot((logits + gumbel).argmax(-1), logits.shape[-1]).to(smooth)


class BernoulliSampler(RelaxedSampler):
    """D bits: z is 0 or 1, or a number between them.

    A relaxed draw is sigmoid((logit + l) / τ) with logistic noise l = ln u - ln(1 - u) (Maddison et al. 2017,
    arXiv:1611.00712, appendix B). KL = q ln q + (1 - q) ln(1 - q) + ln 2 for each bit.

    Args:
        config: the number of bits, and the temperature.
        features: any shape, which is flattened; None: only the prior.
    """

    support = "unit_interval"
    expected_failures = {"gradients": "in eval mode draws are discrete, straight-through"}  # noqa: RUF012

    class Config(RelaxedSampler.Config):
        """Options of latent bits."""

        name: Literal["bernoulli"] = "bernoulli"
        latent: Annotated[int, Field(ge=1, description="the number D of bits")] = 32

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features, (config.latent,))

    def posterior(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities of 1, and the KL to one half."""
        q = torch.sigmoid(logits)
        return q, q * F.logsigmoid(logits) + (1 - q) * F.logsigmoid(-logits) + math.log(2)

    def draw(self, logits: Tensor, chance: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
        """Sigmoid and sign of logits and logistic noise."""
        noisy = logits + torch.logit(inside(chance))
        return torch.sigmoid(noisy / temperature), (noisy > 0).to(noisy)


def inside(chance: Tensor) -> Tensor:
    """Numbers from U(0, 1) without the two ends, where logarithms are infinite."""
    return chance.clamp(torch.finfo(chance.dtype).tiny, 1 - torch.finfo(chance.dtype).eps)
