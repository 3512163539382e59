"""The latents of a model: how much each says of the data, the range in which it varies, and the set in which all lie.

N data, D latent dimensions.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genkit import CodeSampler, Model, Split
from genkit.data.units import as_float
from genkit.evaluation.figures import ACTIVE
from genkit.model.network import evaluating
from genkit.model.paths import onto
from genkit.model.side import own_side

MEASURED = 512
"""The number of data whose KL is measured."""
LEAST = 0.01
"""The least KL in nats of an active latent."""
SLIDERS = 64
"""The largest number of latents that have a slider."""
ENDS = (0.005, 0.995)
"""The quantiles between which a slider moves."""


class Latents(NamedTuple):
    """What is known of each latent dimension."""

    amounts: Tensor
    """(D,): the KL in nats, or the variance over the data where the KL of each dimension is not known."""
    is_kl: bool
    low: Tensor
    """(D,): the least value of a slider."""
    high: Tensor
    mean: Tensor
    """(D,): the mean over the data."""

    @property
    def order(self) -> list[int]:
        """The latents, those that say most first."""
        return self.amounts.argsort(descending=True, stable=True).tolist()

    @property
    def active(self) -> Tensor:
        """(D,): whether the latent says something: a KL, or else a variance (Burda et al. 2016), of at least 0.01.

        Without a KL the scale of a latent is free: its variance counts beside the largest one.
        """
        return self.amounts >= (LEAST if self.is_kl else ACTIVE * self.amounts.max().clamp(max=1.0))

    def sliders(self) -> list[dict[str, Any]]:
        """The sliders of the page, those that say most first."""
        low, high, amounts, active = (each.tolist() for each in (self.low, self.high, self.amounts, self.active))
        return [
            {"index": i, "low": low[i], "high": high[i], "amount": amounts[i], "active": active[i]}
            for i in self.order[:SLIDERS]
        ]


def latents_of(model: Model, z: Tensor, split: Split | None) -> Latents:
    """The latents of a model.

    Args:
        model: the model.
        z: points of data (N, D).
        split: the data whose KL is measured; None: there are none, and the variance of z counts.
    """
    kl = None if split is None else kl_per_latent(model, split.first(MEASURED))
    amounts = z.var(0, correction=0) if kl is None else kl
    low, high = torch.quantile(z[: 2**24 // z.shape[1]], torch.tensor(ENDS), dim=0)
    room = (0.15 * (high - low)).clamp_min(0.5 if kl is not None else 1e-3)
    least, greatest = model.sampler.bounds
    return Latents(amounts, kl is not None, (low - room).clamp_min(least), (high + room).clamp_max(greatest), z.mean(0))


def kl_per_latent(model: Model, split: Split) -> Tensor | None:
    """The mean KL of each latent dimension in nats, (D,); None: the model has none per dimension."""
    if model.encoder is None:
        return None
    side = {name: values.to(model.device) for name, values in own_side(model.encoder_inputs, split.named()).items()}
    with torch.random.fork_rng(), evaluating(model):
        torch.manual_seed(0)
        x = model.transforms(as_float(split.x[:].to(model.device)))
        divergence = model.posterior(x, 1, side).divergence
    if divergence is None or divergence.shape[1] != math.prod(model.sampler.latent_shape):
        return None
    return divergence.mean(0).cpu()


def on_support(model: Model, z: Tensor) -> Tensor:
    """Points (N, D) brought to where latents can lie: within bounds, on the sphere, to probabilities, to codes."""
    sampler = model.sampler
    shaped = z.view(-1, *sampler.latent_shape)
    if sampler.support == "sphere":
        return onto(shaped, sampler.support).flatten(1)
    shaped = shaped.clamp(*sampler.bounds)
    if isinstance(sampler, CodeSampler):
        with evaluating(model):
            shaped = sampler.embed(sampler.indices(shaped.to(model.device))).cpu()
    elif sampler.support == "simplex":
        shaped = shaped / shaped.sum(-1, keepdim=True).clamp_min(1e-12)
    return shaped.flatten(1)
