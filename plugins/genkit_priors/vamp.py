"""The VampPrior: a mixture of the posteriors of pseudo-inputs, which are learned with the model.

C components.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit import ComponentError, DensitySampler, Latent, Prior, Shape, uniform
from genkit.interfaces import Whole


class VampPrior(Prior):
    """p(z) = 1/C Σ_c q(z|u_c): the posteriors of C pseudo-inputs u_c, data that are learned with the weights.

    Tomczak & Welling 2018 (arXiv:1705.07120), equation 9. The encoder and the sampler of the model give the posteriors,
    so that they learn by the prior too; the sampler is one with a density (`genkit.DensitySampler`). Pseudo-inputs are
    data as the model sees them, after the transforms; where the likelihood bounds its data, they keep these bounds.

    Args:
        config: the number of pseudo-inputs, and where they start.
        latent_shape: any shape, that of the sampler's draws.
    """

    checked_with: ClassVar[Mapping[str, Any]] = {"partners": {"sampler": {"name": "gaussian", "latent": 3}}}

    class Config(Prior.Config):
        """Options of the VampPrior."""

        name: Literal["vamp"] = "vamp"
        components: Annotated[int, Field(ge=1, description="the number of pseudo-inputs, C")] = 50
        mean: Annotated[float, Field(description="the mean of the values with which pseudo-inputs start")] = 0.5
        deviation: Annotated[
            float, Field(gt=0, description="the standard deviation of these values, which are normal draws")
        ] = 0.25

    config: Config
    pseudo_inputs: nn.Parameter
    posterior: Callable[..., Latent]
    log_q: Callable[..., Tensor]

    def __init__(self, config: Config, latent_shape: Shape) -> None:
        super().__init__(config, latent_shape)
        self.config, self.latent_shape = config, latent_shape

    def attach(self, model: Whole) -> None:
        """Make the pseudo-inputs; raises ComponentError where their posteriors are not to be had."""
        _check(model)
        self.posterior, self.log_q = model.posterior, model.sampler.log_q
        self.low, self.high = model.likelihood.support
        start = torch.randn(self.config.components, *model.shape) * self.config.deviation + self.config.mean
        self.pseudo_inputs = nn.Parameter(start.clamp(self.low, self.high))

    def posteriors(self, chosen: Tensor | None = None, draws: int = 0) -> Latent:
        """q(z|u) of all pseudo-inputs, or of some by their numbers (n,), with draws from it."""
        inputs = self.pseudo_inputs if chosen is None else self.pseudo_inputs[chosen]
        return self.posterior(inputs.clamp(self.low, self.high), draws, {})

    def log_prob(self, z: Tensor) -> Tensor:
        """z (..., *latent_shape) -> (...) nats."""
        latent = self.posteriors()
        each = self.log_q(z.unsqueeze(z.ndim - len(self.latent_shape)), latent.mean, latent.extra)  # (..., C, G)
        return each.sum(-1).logsumexp(-1) - math.log(len(self.pseudo_inputs))

    def sample(self, n: int) -> Tensor:
        """N draws: (n, *latent_shape)."""
        count = len(self.pseudo_inputs)
        chosen = (uniform(n, batch=0, like=self.pseudo_inputs) * count).long().clamp_max(count - 1)
        return self.posteriors(chosen, 1).z[0]


def _check(model: Whole) -> None:
    """Refuse a model in which pseudo-inputs have no posterior; raises ComponentError."""
    if model.encoder is None:
        raise ComponentError("it is a mixture of posteriors q(z|u), and there is no encoder; choose prior: mixture")
    if not isinstance(model.sampler, DensitySampler):
        name = model.sampler.Config.model_fields["name"].default
        raise ComponentError(
            f"it is a mixture of posteriors q(z|u), and sampler '{name}' has no density at any z; choose sampler: "
            "gaussian, or prior: mixture"
        )
    reads = {name for part in (model.encoder, model.sampler) for name in (*part.reads, *part.may_read)}
    if model.condition_size or model.schema.is_padded or reads & model.schema.side.keys():
        raise ComponentError(
            "the encoder reads side data (a condition, a mask), of which pseudo-inputs have none; choose prior: mixture"
        )
    if any(name.endswith("running_mean") for name, _ in model.encoder.named_buffers()):
        raise ComponentError(
            "the encoder normalizes over the batch, and pseudo-inputs are none of its data; choose another "
            "normalization (layer)"
        )
