"""Estimates of each datum's evidence: the parts of its evidence lower bound, and the importance-weighted bound.

B data, K draws.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from genkit.data.places import spans
from genkit.interfaces import Pass


class Estimate(NamedTuple):
    """Estimates for each datum of a batch from K draws of q(z|x), (B,) each, in nats and in float64 where there is one.

    They are in the units of the passes.
    """

    reconstruction: Tensor
    """E[−log p(x|z)]: the mean over draws."""
    kl: Tensor | None
    """KL(q(z|x) ‖ p(z)); None: the model has none."""
    bound: Tensor | None
    """The importance-weighted bound −log (1/K) Σ_k p(x|z_k) p(z_k) / q(z_k|x) ≥ −log p(x), in expectation (Burda et al.
    2016, arXiv:1509.00519, equation 8); None: there is no density of q(z|x), or of x."""
    is_density: bool
    """Whether −log p(x|z) is that of a density."""

    @property
    def negative_elbo(self) -> Tensor | None:
        """Minus the evidence lower bound; None: there is no KL, or no density of x."""
        return None if self.kl is None or not self.is_density else self.reconstruction + self.kl

    @property
    def score(self) -> Tensor:
        """How unlikely each datum is: minus the evidence lower bound, else the reconstruction."""
        return self.reconstruction if self.negative_elbo is None else self.negative_elbo


def estimate(passed: Pass, draws: int, chunk: int = 1024) -> Estimate:
    """The estimates of one batch; memory does not grow with the number of draws.

    Args:
        passed: the passes of the batch, of a model with an encoder.
        draws: the number K of draws from q(z|x) per datum.
        chunk: the greatest number of draws in one pass.
    """
    first, *others = [count for _, count in spans(draws, chunk)]
    sums = _sums(passed, first)
    for count in others:
        sums = sums.plus(_sums(passed, count))
    reconstruction, kl, weights, is_density = sums
    bound = None if weights is None else math.log(draws) - weights
    return Estimate(reconstruction / draws, None if kl is None else kl / draws, bound, is_density)


class _Sums(NamedTuple):
    """Sums over draws for each datum of a batch, (B,) each."""

    reconstruction: Tensor
    kl: Tensor | None
    weights: Tensor | None
    """The logarithm of the sum of the importance weights."""
    is_density: bool

    def plus(self, other: _Sums) -> _Sums:
        """The sums over the draws of both."""
        kl = None if self.kl is None or other.kl is None else self.kl + other.kl
        pair = (self.weights, other.weights)
        weights = None if pair[0] is None or pair[1] is None else torch.logaddexp(pair[0], pair[1])
        return _Sums(self.reconstruction + other.reconstruction, kl, weights, self.is_density)


def _sums(passed: Pass, draws: int) -> _Sums:
    """The sums over the draws of one pass."""
    forward = passed(draws)
    latent, log_prob, is_density = forward.latent, forward.log_prob, forward.likelihood.is_density
    assert latent is not None
    assert log_prob is not None
    divergence, weights = latent.divergence, None
    if latent.log_ratio is not None and is_density:
        weights = _wide(log_prob - latent.log_ratio).logsumexp(0)
    kl = None if divergence is None else draws * _wide(divergence).sum(1)
    return _Sums(-_wide(log_prob).sum(0), kl, weights, is_density)


def _wide(values: Tensor) -> Tensor:
    """The values in float64, which not every device has."""
    return values.cpu().double()
