"""Forms of the losses of critic and model, penalties on a critic's gradient, and critics as networks.

B data. D is the critic's output, (B,) each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genkit.errors import ComponentError
from genkit.interfaces import ChosenByName, Encoder, Forward, Shape
from genkit.model.building import build_part

Form = Literal["non_saturating", "hinge", "wasserstein", "relativistic"]
CriticField = Annotated[
    Encoder.Config,
    ChosenByName("encoder"),
    Field(description="the network that tells real data from generated ones: any encoder"),
]
R1Field = Annotated[
    float, Field(ge=0, description="the factor of half the critic's squared gradient at the data, in each form")
]
R2Field = Annotated[
    float, Field(ge=0, description="the factor of half the critic's squared gradient at generated data, in each form")
]
SpectralField = Annotated[
    bool,
    Field(
        description="whether each layer of the critic has weights of spectral norm 1, so that its slope is bounded "
        "(Miyato et al. 2018, arXiv:1802.05957)"
    ),
]


def against(form: Form, real: Tensor, fake: Tensor) -> Tensor:
    """What the model minimises, from D of a datum and D of a generated one: (B,), (B,) -> (B,)."""
    if form == "non_saturating":
        return F.softplus(-fake)
    return F.softplus(real - fake) if form == "relativistic" else -fake


def told_apart(form: Form, real: Tensor, fake: Tensor) -> Tensor:
    """What the critic minimises without penalties, from D of a datum and D of a generated one: (B,), (B,) -> (B,)."""
    if form == "non_saturating":
        return F.softplus(-real) + F.softplus(fake)
    if form == "hinge":
        return F.relu(1 - real) + F.relu(1 + fake)
    return F.softplus(fake - real) if form == "relativistic" else fake - real


def slope(judged: Tensor, *inputs: Tensor) -> Tensor:
    """The gradient of D by its inputs, with a graph for a second derivative: D (B,), (B, ...) each -> (B, values)."""
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN's recurrent layers have no second derivative
        gradients = torch.autograd.grad(judged.sum(), inputs, create_graph=True)
    return torch.cat([gradient.flatten(1) for gradient in gradients], 1)


def leaves(*inputs: Tensor) -> Sequence[Tensor]:
    """The same numbers, by which a gradient can be taken."""
    return [value.detach().requires_grad_() for value in inputs]


def scaled(x: Tensor, forward: Forward) -> Tensor:
    """Data (B, *shape) as the critic sees them: from −1 to 1 where the likelihood bounds them."""
    low, high = forward.likelihood.support
    if math.isinf(low) or math.isinf(high):
        return x
    middle, half = (low + high) / 2, (high - low) / 2
    return x.mul(1 / half).sub_(middle / half)


def network(config: Encoder.Config, shape: Shape, term: str) -> Encoder:
    """The network of a critic; raises ComponentError, which names the term, where it cannot be built."""
    try:
        encoder: Encoder = build_part(config, shape)
    except ComponentError as error:
        raise ComponentError(f"the critic of loss '{term}': {error}") from None
    return encoder


class SpectralNorm(nn.Module):
    """Weights (outputs, ...) divided by their largest singular value, uᵀWv, with u and v from power iteration.

    Miyato et al. 2018 (arXiv:1802.05957), algorithm 1. The iteration goes on with each step and not with each pass, so
    that passes do not depend on how many there were.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(matrix.shape[0]), dim=0))
        self.register_buffer("v", torch.zeros(matrix.shape[1]))
        for _ in range(FIRST):
            self.iterate(weight)

    def forward(self, weight: Tensor) -> Tensor:
        """The weights, normalized."""
        return weight / (self.u @ weight.flatten(1) @ self.v)

    @torch.no_grad()
    def iterate(self, weight: Tensor) -> None:
        """One more power iteration."""
        matrix = weight.flatten(1)
        self.v.copy_(F.normalize(self.u @ matrix, dim=0))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0))


FIRST = 20
"""The power iterations before training."""


def normalized(module: nn.Module) -> None:
    """Let the weights of all dense and convolutional layers have spectral norm 1."""
    for layer in [*module.modules()]:
        if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))


def iterate(module: nn.Module) -> None:
    """Follow the weights of all normalized layers by a power iteration."""
    for layer in module.modules():
        if isinstance(layer, parametrize.ParametrizationList) and isinstance(layer[0], SpectralNorm):
            layer[0].iterate(layer.original)
