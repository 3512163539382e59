"""The posterior whose draws go through a normalizing flow.

B data, K draws, D latent dimensions, H numbers of context.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit import DensitySampler, Latent, Shape, normal
from genkit_flows.autoregressive import AutoregressiveFlow
from genkit_flows.flow import Flow
from genkit_flows.planar import PlanarFlow

Width = Annotated[int, Field(ge=1)]


class FlowSampler(DensitySampler):
    """q(z|x): a draw from N(mean, diag exp(log_var)) goes through a flow; p(z) = N(0, I).

    Mean, log-variance and the context of the flow are linear heads of the features. Then
    log q(z|x) = log N(z_0; mean, diag exp(log_var)) − log|det dz/dz_0|.

    | form | flow | source |
    |---|---|---|
    | planar | z + û tanh(wᵀz + b), with u, w and b of each datum | Rezende & Mohamed 2015, arXiv:1505.05770 |
    | iaf | inverse autoregressive: exp(a) z + b, with a and b of the dimensions before | Kingma et al. 2016, arXiv:1606.04934 |
    | spline | the same with a monotonic rational-quadratic spline | Durkan et al. 2019, arXiv:1906.04032 |

    A draw and its density take one pass. The density at another z takes D passes (`iaf`, `spline`); only terms over
    pairs, some estimators of `iwae` and the prior `vamp` ask for it. `Latent.mean` is where the flow brings the mean.

    Args:
        config: the number of latent dimensions, and the flow.
        features: any shape, which is flattened; None: only the prior, without heads.
    """  # noqa: E501 - a table

    class Config(DensitySampler.Config):
        """Options of the posterior."""

        name: Literal["flow"] = "flow"
        latent: Annotated[int, Field(ge=1, description="the number of latent dimensions, D")] = 2
        form: Annotated[
            Literal["planar", "iaf", "spline"],
            Field(description="the transformations; iaf and spline need zuko, of the extra flows"),
        ] = "iaf"
        transforms: Annotated[int, Field(ge=1, description="how many transformations follow each other")] = 2
        hidden: Annotated[
            tuple[Width, ...],
            Field(min_length=1, description="the widths of the hidden layers of each transformation (iaf, spline)"),
        ] = (64,)
        context: Annotated[
            int, Field(ge=1, description="the numbers by which transformations depend on the datum (iaf, spline), H")
        ] = 32

    own_prior = "normal"
    origin: Tensor

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.latent_shape = (config.latent,)
        self.register_buffer("origin", torch.zeros(config.latent), persistent=False)
        if features is None:
            return
        size = math.prod(features)
        self.mean, self.log_var = nn.Linear(size, config.latent), nn.Linear(size, config.latent)
        self.flow = _flow_of(config)
        self.context = nn.Linear(size, self.flow.context_size)
        if isinstance(self.flow, PlanarFlow):
            self.flow.start(self.context.bias)

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Features (B, *features) -> z (K, B, D), mean (B, D), log_ratio and log_q (K, B); there is no exact KL.

        `extra` has base_mean and log_var (B, D), and context (B, H).
        """
        flat = features.flatten(1)
        mean, log_var, context = self.mean(flat), self.log_var(flat), self.context(flat)
        eps = normal(draws, *mean.shape, batch=1, like=mean)
        starts = mean + torch.exp(log_var / 2) * torch.cat([torch.zeros_like(mean).unsqueeze(0), eps])
        ends, log_det = self.flow(starts, context)
        z = ends[1:]
        log_q = _log_normal(eps) - log_var.sum(-1) / 2 - log_det[1:]
        extra = {"base_mean": mean, "log_var": log_var, "context": context}
        return Latent(z, ends[0], None, log_q - _log_normal(z), log_q, extra)

    def prior(self, n: int) -> Tensor:
        """N draws from N(0, I): (n, D)."""
        return normal(n, *self.latent_shape, batch=0, like=self.origin)

    def log_q(self, z: Tensor, mean: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        """Log q(z|x) at any z, by the inverse of the flow: (..., 1)."""
        log_var, context = extra["log_var"], extra["context"]
        start = self.flow.back(z, context)
        _, log_det = self.flow(start, context)
        eps = (start - extra["base_mean"]) * torch.exp(-log_var / 2)
        log_q: Tensor = _log_normal(eps) - log_var.sum(-1) / 2 - log_det
        return log_q.unsqueeze(-1)


def _flow_of(config: FlowSampler.Config) -> Flow:
    if config.form == "planar":
        return PlanarFlow(config.latent, config.transforms)
    form: Literal["affine", "spline"] = "affine" if config.form == "iaf" else "spline"
    return AutoregressiveFlow(config.latent, form, config.transforms, config.hidden, config.context)


def _log_normal(z: Tensor) -> Tensor:
    """Log N(z; 0, I): (..., D) -> (...)."""
    return -(z.square() + math.log(2 * math.pi)).sum(-1) / 2
