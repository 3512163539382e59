"""The importance-weighted bound as a loss term, with three estimators of its gradient.

B data, K draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import ComponentError, DensitySampler, Forward, Latent, Loss, Shape
from genkit.interfaces import Whole


class ImportanceWeightedBound(Loss):
    """−log (1/K) Σ_k w_k, w_k = p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x): it takes the place of reconstruction and KL.

    It is −ELBO for K = 1 and falls to −log p(x) as K grows (Burda et al. 2016, arXiv:1509.00519, equation 8). Its value
    does not depend on the estimator; the gradient of the decoder and the prior is Σ_k w̃_k ∇ log w_k with the normalized
    weights w̃_k. For the encoder and the sampler, whose draws are z_k(φ):

    | estimator | gradient | what it is |
    |---|---|---|
    | plain | Σ w̃_k ∇_φ log w_k | that of the bound (equation 14); as K grows its noise outgrows it (Rainforth et al. 2018, arXiv:1802.04537) |
    | dreg | Σ w̃_k² ∂log w_k/∂z_k ∂z_k/∂φ | the same in the mean, with less variance: doubly reparameterized (Tucker et al. 2019, arXiv:1810.04152, equation 8) |
    | stl | Σ w̃_k ∂log w_k/∂z_k ∂z_k/∂φ | "sticking the landing" (Roeder et al. 2017, arXiv:1703.09194); for K = 1 that of the ELBO in the mean, for more draws biased |

    In ∂log w/∂z the parameters of q(z|x) are held still. `dreg` and `stl` evaluate log q(z|x) at the draws once more, so
    that they need a sampler that can (`genkit.DensitySampler`); `dreg` takes a second pass back through the decoder.

    All draws of a pass count: where another term asks for more of them, K is larger.

    Args:
        config: the weight, the number of draws and the estimator.
        shape: any shape.
    """  # noqa: E501 - a table

    class Config(Loss.Config):
        """Options of the bound."""

        name: Literal["iwae"] = "iwae"
        draws: Annotated[int, Field(ge=1, description="the number K of draws from q(z|x) per datum")] = 5
        estimator: Annotated[
            Literal["plain", "dreg", "stl"],
            Field(description="how the gradient of the encoder is estimated; dreg has less variance than plain"),
        ] = "plain"

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.draws, self.estimator = config.draws, config.estimator
        self.needs = ("encoder", "log_ratio") if config.estimator == "plain" else ("encoder", "log_ratio", "log_q")
        self.log_q: Callable[..., Tensor] | None = None

    def attach(self, model: Whole) -> None:
        """Keep the sampler's density; raises ComponentError where the estimator needs one and there is none."""
        if isinstance(model.sampler, DensitySampler):
            self.log_q = model.sampler.log_q
        elif self.estimator != "plain":
            raise ComponentError(
                f"estimator '{self.estimator}' evaluates log q(z|x) at any z, and this sampler gives it at its draws "
                "alone: choose estimator: plain"
            )

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats."""
        latent, log_prob = forward.latent, forward.log_prob
        assert latent is not None
        assert latent.log_ratio is not None
        assert log_prob is not None
        if self.estimator == "plain" or not torch.is_grad_enabled() or not latent.z.requires_grad:
            return _bound(log_prob - latent.log_ratio)
        assert latent.log_q is not None
        log_weights = log_prob + (latent.log_q - latent.log_ratio) - self._by_the_draws_alone(latent)
        bound = _bound(log_weights)
        return bound if self.estimator == "stl" else bound + _correction(log_weights, latent.z)

    def _by_the_draws_alone(self, latent: Latent) -> Tensor:
        """log q(z|x) (K, B) whose gradient reaches z, and not the parameters of q."""
        assert self.log_q is not None
        assert latent.log_q is not None
        z = latent.z.detach().requires_grad_()
        extra = {name: value.detach() for name, value in latent.extra.items()}
        (slope,) = torch.autograd.grad(self.log_q(z, latent.mean.detach(), extra).sum(), z)
        return latent.log_q.detach() + _move(latent.z, slope)


def _bound(log_weights: Tensor) -> Tensor:
    """−log of the mean weight: (K, B) -> (B,)."""
    return math.log(len(log_weights)) - log_weights.logsumexp(0)


def _correction(log_weights: Tensor, z: Tensor) -> Tensor:
    """0 (B,), with the gradient by z that turns the weights w̃ of a bound's gradient into w̃²."""
    (slope,) = torch.autograd.grad(log_weights.sum(), z, retain_graph=True)
    shares = log_weights.detach().softmax(0)
    return ((shares - shares.square()) * _move(z, slope)).sum(0)


def _move(z: Tensor, slope: Tensor) -> Tensor:
    """0 (K, B), whose gradient by z is `slope` (K, B, *latent_shape)."""
    return ((z - z.detach()) * slope).flatten(2).sum(2)
