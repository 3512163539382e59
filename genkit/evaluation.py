"""The figures of a trained model, in nats per datum.

B data, K draws, D latent dimensions.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from genkit.data import Dataset
from genkit.errors import DataError
from genkit.model import BATCH, Model, evaluating

ACTIVE = 0.01
"""The variance of a posterior mean over the data above which it is active (Burda et al. 2016, arXiv:1509.00519)."""


@dataclass(frozen=True)
class Evaluation:
    """Means over a split, in nats per datum; None where the model has no encoder, or its sampler no KL."""

    split: str
    count: int
    """How many data."""
    draws: int
    """Draws from q(z|x) a datum."""
    elbo: float | None
    """The evidence lower bound: -reconstruction - kl."""
    reconstruction: float | None
    """E_q[-log p(x|z)]."""
    kl: float | None
    """KL(q(z|x) || p(z))."""
    bits_per_dim: float | None
    """-elbo / (ln 2 · values in a datum)."""
    kl_per_latent: list[float] | None
    """The KL's part of each latent dimension; near 0 where it is not used."""
    active_units: int | None
    """Latent dimensions whose posterior mean varies by more than 0.01 over the data."""
    latents: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def evaluate(model: Model, data: Dataset, split: str = "test", draws: int = 1, seed: int = 0) -> Evaluation:
    """Estimate the ELBO and its parts on a split; the same seed gives the same figures.

    Raises:
        DataError: the split is empty, or its data do not fit the model.
    """
    part = data.split(split)
    if tuple(part.x.shape[1:]) != model.shape:
        raise DataError(f"the data have shape {tuple(part.x.shape[1:])}, and the model is for {model.shape}")
    if draws < 1:
        raise DataError(f"the ELBO needs at least one draw a datum, not {draws}")
    if model.encoder is None:
        latents = math.prod(model.sampler.latent_shape)
        return Evaluation(split, len(part.x), draws, None, None, None, None, None, None, latents)
    reconstruction, kl, means = 0.0, None, []
    with torch.random.fork_rng(), evaluating(model):
        torch.manual_seed(seed)
        for x in data.batches(part, max(1, BATCH // draws)):
            passed = model(x.to(model.device), draws)
            reconstruction -= float(passed.log_prob.to(model.wide).mean(0).sum())
            means.append(passed.latent.mean.flatten(1).cpu())
            if passed.latent.kl is not None:
                row = passed.latent.kl.to(model.wide).sum(0).cpu()
                kl = row if kl is None else kl + row
    return _summary(split, len(part.x), draws, reconstruction, kl, torch.cat(means), math.prod(model.shape))


def _summary(
    split: str, count: int, draws: int, reconstruction: float, kl: Tensor | None, means: Tensor, values: int
) -> Evaluation:
    """From sums over the data (kl: (D,)) and the posterior means (N, D) to means."""
    reconstruction /= count
    total = None if kl is None else float(kl.sum()) / count
    elbo = None if total is None else -reconstruction - total
    return Evaluation(
        split=split,
        count=count,
        draws=draws,
        elbo=elbo,
        reconstruction=reconstruction,
        kl=total,
        bits_per_dim=None if elbo is None else -elbo / (math.log(2) * values),
        kl_per_latent=None if kl is None else (kl / count).tolist(),
        active_units=int((means.var(0, correction=0) > ACTIVE).sum()),
        latents=means.shape[1],
    )
