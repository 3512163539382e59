"""Estimates: means over many draws, and how far chance may move them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

DRAWS = 20_000
SIGMAS = 6.0
"""How many standard errors an estimate may be off; by chance, one in a hundred million is further off."""
ROUNDING = 2e-3


def off(values: Tensor, wanted: Tensor, error: Tensor | float = 0.0) -> bool:
    """Whether means over draws (N, ...) differ from the wanted values (...) by more than chance explains.

    Args:
        values: the draws.
        wanted: the means that they should have.
        error: the standard error of `wanted`, if that is an estimate too.
    """
    spread = (values.var(0) / len(values) + torch.as_tensor(error).square()).sqrt()
    return bool(((values.mean(0) - wanted).abs() > SIGMAS * spread + ROUNDING * (1 + wanted.abs())).any())


def tail(log_weights: Tensor) -> float:
    """The heaviness k of the tail of importance weights (N,): their mean has a finite standard error only below 1/2.

    k is the shape of a Pareto tail by the estimator of Hill 1975, over as many of the largest weights as Vehtari et al.
    (arXiv:1507.02646) take; they use k in the same way.
    """
    largest = log_weights.topk(int(3 * len(log_weights) ** 0.5)).values
    return float((largest[:-1] - largest[-1]).mean())


def is_gaussian(draws: Tensor) -> bool:
    """Whether each column of (N, D) has the skewness and the kurtosis of a Gaussian, and none is constant."""
    spread = draws.std(0)
    if not bool((spread > 1e-6).all()):
        return False
    standard = (draws - draws.mean(0)) / spread
    skewness, kurtosis = standard.pow(3).mean(0).abs().max(), (standard.pow(4).mean(0) - 3).abs().max()
    return bool(skewness < SIGMAS * math.sqrt(6 / len(draws))) and bool(kurtosis < SIGMAS * math.sqrt(24 / len(draws)))


def fitted(draws: Tensor) -> torch.distributions.MultivariateNormal:
    """The Gaussian with the mean and the covariance of draws (N, D)."""
    covariance = torch.cov(draws.T).reshape(draws.shape[1], draws.shape[1])
    return torch.distributions.MultivariateNormal(draws.mean(0), covariance)
