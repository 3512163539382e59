"""The code of an autoencoder: a point in latent space, without a distribution around it.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit.activations import Activation, activation
from genkit.errors import ComponentError
from genkit.interfaces import Latent, Sampler, Shape


class PointSampler(Sampler):
    """z = activation(W features + b), the same at every draw. There is no KL, no density and no prior to generate from.

    With `top_k` only the k largest activations of each datum are kept, and the others are 0 (Makhzani & Frey 2014,
    arXiv:1312.5663, the k-sparse autoencoder).

    Args:
        config: the width of the code, its activation, and the number of units that may be active.
        features: any shape, which is flattened.

    Raises:
        ComponentError: there is no encoder, or top_k is larger than the code is wide.

    Example:
        >>> sampler = PointSampler(PointSampler.Config(latent=100, activation="relu", top_k=5), features=(64,))
        >>> latent = sampler(torch.randn(8, 64))
        >>> latent.z.shape, int((latent.mean != 0).sum(1).max()) <= 5
        (torch.Size([1, 8, 100]), True)
    """

    has_prior = False

    class Config(Sampler.Config):
        """Options of the point sampler."""

        name: Literal["point"] = "point"
        latent: Annotated[int, Field(ge=1, description="the number of latent dimensions, D: the width of the code")] = (
            32
        )
        activation: Annotated[Activation, Field(description="the function that gives the code")] = "identity"
        top_k: Annotated[
            int | None, Field(ge=1, description="how many of the largest units of a code are kept; null: all")
        ] = None

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        if features is None:
            raise ComponentError("sampler 'point' needs an encoder: it has no prior to draw from")
        if config.top_k is not None and config.top_k > config.latent:
            raise ComponentError(
                f"sampler 'point': a code of {config.latent} units cannot keep the {config.top_k} largest"
            )
        self.latent_shape = (config.latent,)
        self.bounds = _BOUNDS.get(config.activation, self.bounds)
        self.top_k = config.top_k
        self.code = nn.Linear(math.prod(features), config.latent)
        self.activation = activation(config.activation)

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """features (B, *features) -> z (K, B, D), the same K times, and mean (B, D)."""
        code = self.activation(self.code(features.flatten(1)))
        if self.top_k is not None:
            kept = torch.topk(code, self.top_k, dim=1)
            code = torch.zeros_like(code).scatter(1, kept.indices, kept.values)
        return Latent(code.expand(draws, *code.shape), code, None, None)

    def prior(self, n: int) -> Tensor:
        """There is none; raises ComponentError."""
        raise ComponentError(
            "sampler 'point' has no prior, so an autoencoder cannot generate; decode codes of data, or use a sampler "
            "with a prior"
        )


_BOUNDS: dict[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, math.inf),
    "softplus": (0.0, math.inf),
}
