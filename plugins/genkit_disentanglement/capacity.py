"""A target for the KL, in place of its minimum.

B data, G groups of latent dimensions.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from torch import Tensor

from genkit import Forward, Loss, Shape, batch_mean
from genkit.settings.schedules import Curve, Ramp, Schedule, last_of, value_at


class Capacity(Loss):
    """|KL(q(z|x) || p(z)) − C|, with the KL's mean over the batch and a capacity C that grows during training.

    It takes the place of `kl`, with the weight γ (Burgess et al. 2018, arXiv:1804.03599, equation 8; the paper has
    γ = 1000, and C from 0 to 25 nats). Below C it raises the KL. Figures and ELBO are those of the KL itself.

    Args:
        config: the weight γ and the capacity C.
        shape: any shape.
    """

    needs = ("encoder", "kl")
    over = "batch"
    target: Tensor

    class Config(Loss.Config):
        """Options of the capacity."""

        name: Literal["capacity"] = "capacity"
        capacity: Annotated[
            Schedule, Field(description="the nats that the KL is to have: a number, or a schedule, of at least 0")
        ] = Ramp.model_validate({"from": 0, "to": 25, "epochs": 100})

        @model_validator(mode="after")
        def _is_no_less_than_nothing(self) -> Capacity.Config:
            first = self.capacity.start if isinstance(self.capacity, Curve) else self.capacity
            if min(first, last_of(self.capacity)) < 0:
                raise PydanticCustomError("capacity", "no KL is below 0: capacity must start and end at 0 or above")
            return self

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.schedule = config.capacity
        self.register_buffer("target", torch.tensor(value_at(config.capacity, 0.0)))

    def stepped(self, step: int, epoch: float) -> None:
        """Follow the schedule."""
        self.target.fill_(value_at(self.schedule, epoch))

    def forward(self, forward: Forward) -> Tensor:
        """() nats, a statistic of the batch."""
        assert forward.latent is not None
        kl = forward.latent.divergence
        assert kl is not None
        return (batch_mean(kl.sum(1)) - self.target).abs()
