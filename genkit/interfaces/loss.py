"""Loss terms, and the pass through the model that they read.

B data, K draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal, NamedTuple

from pydantic import Field
from torch import Tensor

from genkit.interfaces.component import Component, Shape
from genkit.interfaces.likelihood import Likelihood
from genkit.interfaces.part import Part
from genkit.interfaces.sampler import Latent
from genkit.settings.optimizers import Adam, Optimizer
from genkit.settings.schedules import Schedule


class Forward(NamedTuple):
    """One pass through the model, computed once and read by every loss term."""

    x: Tensor
    """(B, *shape)"""
    latent: Latent | None
    """None: the model has no encoder."""
    params: Tensor | None
    """(K, B, *params_shape): the decoder's output for the draws; None: the model has no encoder."""
    log_prob: Tensor | None
    """(K, B): log p(x|z) in nats; None: the model has no encoder."""
    generated: Tensor | None
    """(B, *shape): the mean of p(x|z) for z from the prior; None where no term needs it."""
    likelihood: Likelihood
    """The likelihood that reads `params`; its `support` bounds the values of the data."""
    condition: Tensor | None = None
    """(B, C): what the config's `condition` says of each datum; None: the model has no condition."""
    drawn: Tensor | None = None
    """(B, *latent_shape): the draws z from the prior that `generated` is decoded from; None as for `generated`."""

    def detached(self) -> Forward:
        """The same numbers, without gradients back into the model."""
        latent = None if self.latent is None else self.latent.detached()
        rest = (_detached(self.params), _detached(self.log_prob), _detached(self.generated))
        return Forward(self.x, latent, *rest, self.likelihood, _detached(self.condition), _detached(self.drawn))


def _detached(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.detach()


Need = Literal["encoder", "kl", "log_ratio", "log_q", "unit_interval", "generated", "prior"]
"""What a term can need: an encoder; a KL; a density against the prior; log q(z|x) alone; latents from 0 to 1; data
generated from the prior; a prior to draw latents from."""
ENCODER_NEEDS: frozenset[Need] = frozenset({"encoder", "kl", "log_ratio", "log_q", "unit_interval"})
"""The needs that only a model with an encoder can meet."""


class Loss(Part, ABC):
    """One term of the objective, in nats per datum.

    Args:
        config: the term's options.
        shape: the shape of one datum.
    """

    kind = "loss"
    needs: tuple[Need, ...] = ("encoder",)
    """What the term reads from a pass; a model that lacks it is refused when it is built.

    A term whose options change it sets it in `__init__`."""
    draws: int = 1
    """The number of draws from q(z|x) that the term needs; the model draws as many as the largest of them."""

    over: Literal["datum", "batch"] = "datum"
    """What a value of the term depends on: a datum alone, or its batch, as a statistic or a term over pairs does.

    Terms of batches cannot be accumulated."""

    class Config(Component.Config):
        """Options that every loss term has."""

        weight: Annotated[
            Schedule,
            Field(description="the factor in the objective: a number, or a schedule (linear, cosine, steps)"),
        ] = 1.0

    def __init__(self, config: Component.Config, shape: Shape) -> None:
        super().__init__()

    @abstractmethod
    def forward(self, forward: Forward) -> Tensor:
        """The unweighted term: (B,), one value per datum, or (), one for the batch, the same in all processes."""


class LearnedLoss(Loss, ABC):
    """A term with parameters of its own (a critic), trained against the model by an optimizer of its own.

    Args:
        config: the term's options.
        shape: the shape of one datum.
    """

    class Config(Loss.Config):
        """Options that every learned term has."""

        optimizer: Annotated[Optimizer, Field(description="the optimizer of the term's own parameters")] = Adam()
        steps: Annotated[
            int,
            Field(
                ge=1,
                le=1000,
                description="how many updates the term's own parameters get for one of the model; each update has a "
                "batch of its own",
            ),
        ] = 1
        clip_norm: Annotated[
            float | None,
            Field(gt=0, description="the greatest norm of the gradients of the term's own parameters; null: any"),
        ] = None

    @abstractmethod
    def critic_loss(self, forward: Forward) -> Tensor:
        """The loss of the term's own parameters, on a detached pass: (B,) or ()."""
