"""Priors by normalizing flows: one learned with the model, one fitted after training.

D numbers of a latent.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Prior, Shape, normal
from genkit_flows.autoregressive import AutoregressiveFlow
from genkit_flows.fitting import NetworkPrior

Form = Annotated[
    Literal["affine", "spline"], Field(description="the transformations of a number, given those before it")
]
Transforms = Annotated[int, Field(ge=1, description="how many transformations follow each other")]
Hidden = Annotated[
    tuple[Annotated[int, Field(ge=1)], ...],
    Field(min_length=1, description="the widths of the hidden layers of each transformation"),
]


class FlowPrior(Prior):
    """log p(z) = log N(f(z); 0, I) + log|det df/dz| for an autoregressive flow f, learned with the model.

    `affine` is the masked autoregressive flow (Papamakarios et al. 2017, arXiv:1705.07057, equation 3), `spline` the
    neural spline flow (Durkan et al. 2019, arXiv:1906.04032). A density takes one pass, a draw D of them. A flow as the
    prior is as rich as an inverse autoregressive posterior, and one more layer of the decoder (Chen et al. 2017,
    arXiv:1611.02731, section 3.2).

    Args:
        config: the flow.
        latent_shape: any shape, which is flattened.
    """

    class Config(Prior.Config):
        """Options of the flow."""

        name: Literal["flow"] = "flow"
        form: Form = "spline"
        transforms: Transforms = 2
        hidden: Hidden = (64,)

    origin: Tensor

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.latent_shape, size = latent_shape, math.prod(latent_shape)
        self.flow = AutoregressiveFlow(size, config.form, config.transforms, config.hidden, to_noise=True)
        self.register_buffer("origin", torch.zeros(size), persistent=False)

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        return log_density(self.flow, z.flatten(z.ndim - len(self.latent_shape)))

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        return draws(self.flow, n, self.origin).reshape(n, *self.latent_shape)


class FittedFlowPrior(NetworkPrior):
    """The density of the prior `flow`, fitted to the latents of the training data by maximum likelihood after training.

    Args:
        config: the flow, and the steps of the fit.
        latent_shape: any shape, which is flattened.
    """

    class Config(NetworkPrior.Config):
        """Options of the flow and of its fit."""

        name: Literal["fitted_flow"] = "fitted_flow"
        form: Form = "spline"
        transforms: Transforms = 2
        hidden: Hidden = (64,)

    config: Config
    network: AutoregressiveFlow

    def new_network(self) -> AutoregressiveFlow:
        """A flow before its fit."""
        options = self.config
        return AutoregressiveFlow(self.size, options.form, options.transforms, options.hidden, to_noise=True)

    def loss(self, values: Tensor) -> Tensor:
        """−log p of standardized latents (B, D) under the flow, a mean: ()."""
        return -log_density(self.network, values).mean()

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        return log_density(self.network, self.standardized(z)) - self.scale.log().sum()

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        return self.in_units(draws(self.network, n, self.shift))


def log_density(flow: AutoregressiveFlow, z: Tensor) -> Tensor:
    """log p(z) of a flow of standard normal noise: (..., D) -> (...) nats."""
    noise, log_det = flow.back_with_jacobian(z, None)
    return log_det - (noise.square() + math.log(2 * math.pi)).sum(-1) / 2


def draws(flow: AutoregressiveFlow, n: int, like: Tensor) -> Tensor:
    """Draws (n, D) from a flow of standard normal noise."""
    z: Tensor = flow(normal(n, *like.shape, batch=0, like=like), None)[0]
    return z
