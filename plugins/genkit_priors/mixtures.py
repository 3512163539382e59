"""Mixtures of Gaussians: their density, and draws from them.

C components, D numbers of a latent.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genkit import normal, uniform


def log_density(z: Tensor, log_weights: Tensor, means: Tensor, roots: Tensor) -> Tensor:
    """Log Σ_c w_c N(z; mean_c, P_c⁻¹) for precisions P_c = R_c R_cᵀ: z (..., D) -> (...) nats.

    Args:
        z: the points.
        log_weights: log w (C,), normalized.
        means: (C, D).
        roots: R (C, D, D), lower triangles; or (C, D), their diagonals, where P is diagonal.
    """
    differences = z.unsqueeze(-2) - means  # (..., C, D)
    if roots.ndim == 2:
        scaled, logs = differences * roots, roots.log().sum(-1)
    else:
        scaled = torch.einsum("...ci,cij->...cj", differences, roots)
        logs = roots.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    each = logs - (scaled.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi)) / 2
    return torch.logsumexp(log_weights + each, -1)


def draws(n: int, log_weights: Tensor, means: Tensor, roots: Tensor) -> Tensor:
    """Draws (n, D) from the same mixture."""
    ends = log_weights.exp().cumsum(0)
    component = torch.searchsorted(ends, uniform(n, batch=0, like=means) * ends[-1]).clamp_max(len(ends) - 1)
    noise = normal(n, means.shape[1], batch=0, like=means)
    if roots.ndim == 2:
        return means[component] + noise / roots[component]
    solved: Tensor = torch.linalg.solve_triangular(
        roots[component].transpose(1, 2), noise.unsqueeze(2), upper=True
    ).squeeze(2)
    return means[component] + solved
